"""Proof that a response belongs to a request, in the session between a client and the trusted application.

A signature over the two hashes. What binds the public key to a trusted application (attestation) and what keeps the
prompt secret on its way (the channel) need TrustZone and are not here. A proof says nothing about time: the same pair
always verifies.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class Session:
    """The trusted application's end."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw()
        """32 bytes that a client verifies with."""

    def prove(self, request: bytes, response: bytes) -> bytes:
        """64 bytes that verify for exactly this request and response."""
        return self._key.sign(statement(request, response))


def statement(request: bytes, response: bytes) -> bytes:
    """What is signed: both hashes, so that no byte can move from one to the other."""
    return sha256(request).digest() + sha256(response).digest()


def verifies(public_key: bytes, request: bytes, response: bytes, proof: bytes) -> bool:
    """Whether the owner of `public_key` gave this response to this request."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(proof, statement(request, response))
    except InvalidSignature:
        return False
    return True
