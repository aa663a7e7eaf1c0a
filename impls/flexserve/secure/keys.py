"""Keys of the trusted side, all derived from one device key.

The paper says only that weights lie encrypted and the secure world decrypts them; HKDF-SHA256 with a label for each
purpose is our choice.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from remeasure.errors import UserError

KEY_BYTES = 32


def derive(device_key: bytes, salt: bytes, purpose: str, *context: str | int) -> bytes:
    """A 32-byte key for one purpose and context; another salt, purpose or context gives an unrelated key.

    Raises UserError unless `device_key` has 32 bytes.
    """
    if len(device_key) != KEY_BYTES:
        raise UserError(f"the device key has {len(device_key)} bytes; give one of {KEY_BYTES} random bytes.")
    return HKDF(SHA256(), KEY_BYTES, salt, bound(purpose, *context)).derive(device_key)


def bound(*fields: str | int) -> bytes:
    """The fields as bytes, each with its length before it, so that no two lists of fields look alike."""
    encoded = [str(field).encode() for field in fields]
    return b"".join(len(field).to_bytes(4, "big") + field for field in encoded)
