"""What a folder of encrypted weights says of itself, and that it may be believed.

The file `manifest` is a line of JSON and a line with its HMAC-SHA256, under a key of this device and this model; it is
checked before it is parsed. A *part* is what is computed as one step (embedding, a layer, head), a file each; a file is
a row of records `ciphertext‖tag`, one a chunk, padded with zeros to whole 4 KiB for direct reads. The papers show no
format and no authentication of weights; all of this is ours.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import msgspec

from remeasure.errors import UserError

from .cipher import NONCE_BYTES, TAG_BYTES, Name
from .keys import bound, derive

FILE = "manifest"
FORMAT = 1
ALIGN = 4096
"""Offsets, sizes and memory of direct reads are multiples of it."""


class Part(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    nbytes: int
    """Of plaintext."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is needed to find, decrypt and check the chunks of one written model."""

    format: int
    model: str
    version: int
    cipher: Name
    chunk_bytes: int
    """Of plaintext; the last chunk of a part may be shorter."""
    salt: bytes
    """Random at each writing, so that a rewritten model has another key and no (key, nonce) comes twice."""
    parts: tuple[Part, ...]
    tags: tuple[bytes, ...]
    """Of every part the tags of its chunks in a row, 16 bytes each; empty without authentication."""

    @property
    def record_bytes(self) -> int:
        """Of a whole chunk in its file."""
        return self.chunk_bytes + TAG_BYTES[self.cipher]

    def key(self, device_key: bytes) -> bytes:
        """The key of the chunks."""
        return derive(device_key, self.salt, "weights", self.model, self.version, self.cipher)

    def chunks(self, part: int) -> int:
        return -(-self.parts[part].nbytes // self.chunk_bytes)

    def stored_bytes(self, part: int) -> int:
        """Of the file without its padding."""
        return self.parts[part].nbytes + self.chunks(part) * TAG_BYTES[self.cipher]

    def tag(self, part: int, chunk: int) -> bytes:
        size = TAG_BYTES[self.cipher]
        return self.tags[part][chunk * size : (chunk + 1) * size]

    def bound_to(self, part: int) -> bytes:
        """What the tags of a part's chunks bind, each together with its place: model, version, part and its sizes."""
        return bound("chunk", self.model, self.version, part, self.chunks(part), self.parts[part].nbytes)


def place(part: int, chunk: int) -> bytes:
    """Where a chunk stands; its nonce, because no other chunk under the key of this writing stands there."""
    return part.to_bytes(4, "big") + chunk.to_bytes(NONCE_BYTES - 4, "big")


def padded(nbytes: int) -> int:
    """The next multiple of 4 KiB."""
    return -(-nbytes // ALIGN) * ALIGN


def encode(manifest: Manifest, device_key: bytes) -> bytes:
    """Content of the file `manifest`."""
    body = msgspec.json.encode(manifest)
    return body + b"\n" + _mac(body, manifest.model, device_key)


def read(folder: Path, model: str, device_key: bytes) -> Manifest:
    """The manifest of `model` in `folder`; raises UserError unless this device wrote exactly it."""
    path = folder / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no {FILE}: nothing or half a model; write the model again."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from None
    body, _, mac = content.rpartition(b"\n")
    if not verifies(body, mac, model, device_key):
        raise UserError(
            f"{path} was not written by this device for the model {model!r}, or was changed since; "
            "give the key and model it was written with, or write the model again."
        )
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise UserError(f"{path} has another format ({error}); write the model again.") from None
    if manifest.format != FORMAT:
        raise UserError(f"{path} has format {manifest.format}, not {FORMAT}; write the model again.")
    return manifest


def verifies(body: bytes, mac: bytes, model: str, device_key: bytes) -> bool:
    """Whether `mac` is the code of `body` under the model's key on this device."""
    return hmac.compare_digest(mac, _mac(body, model, device_key))


def _mac(body: bytes, model: str, device_key: bytes) -> bytes:
    return hmac.digest(derive(device_key, b"", "manifest", model), body, "sha256").hex().encode()
