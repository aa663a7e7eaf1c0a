"""Reading encrypted weights: past the page cache into staging, then decrypted into the caller's memory (June §5.1).

Reading and decrypting are two calls so that different threads can do them at the same time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from cryptography.exceptions import InvalidTag

from remeasure.errors import UserError

from . import manifest as manifests
from .cipher import chunk_cipher
from .manifest import ALIGN, Manifest, padded, place
from .pool import zero
from .staging import Staging

IO = Literal["O_DIRECT", "fadvise"]


def open_model(
    folder: Path,
    model: str,
    device_key: bytes,
    minimum_version: int = 0,
    direct: bool = True,
    buffers: int = 2,
) -> Shards:
    """The encrypted weights of `model`, after its manifest and the sizes of its files were checked.

    minimum_version: what a roll-back may not go below; only somebody outside the folder can know it.
    direct: read past the page cache with O_DIRECT where the file system allows it.
    buffers: how many reads may be waiting for their decryption; one more blocks.
    Raises UserError for a folder that this device did not write so, or only half.
    """
    manifest = manifests.read(folder, model, device_key)
    if manifest.version < minimum_version:
        raise UserError(
            f"{folder / manifests.FILE} is version {manifest.version} of {model!r}, and {minimum_version} is the "
            "oldest allowed; fetch the newer one."
        )
    for part, entry in enumerate(manifest.parts):
        path = folder / entry.name
        if not path.is_file() or path.stat().st_size != padded(manifest.stored_bytes(part)):
            raise UserError(f"{path} is missing or has another size than was written; write the model again.")
    return Shards(folder, manifest, device_key, direct, Staging(buffers))


@dataclass(eq=False)
class Ciphertext:
    """Chunks of a part as they were read; holds a staging buffer until it is decrypted or released."""

    part: int
    first_chunk: int
    nbytes: int
    """Of plaintext."""
    records: memoryview
    give_back: Callable[[], None] | None

    def release(self) -> None:
        """Give the staging buffer back; the ciphertext is gone. Again does nothing."""
        give_back, self.give_back = self.give_back, None
        if give_back:
            self.records.release()
            give_back()


class Shards:
    """The files of one model. Any thread may read and any thread may decrypt, different ciphertexts at a time."""

    def __init__(
        self, folder: Path, manifest: Manifest, device_key: bytes, direct: bool, staging: Staging
    ) -> None:
        self.manifest = manifest
        self.chunk_bytes = manifest.chunk_bytes
        self._record_bytes = manifest.record_bytes
        self.part_bytes = [part.nbytes for part in manifest.parts]
        self._paths = [folder / part.name for part in manifest.parts]
        self._cipher = chunk_cipher(manifest.cipher, manifest.key(device_key))
        self._staging = staging
        self.io: IO = "O_DIRECT" if direct and all(map(_reads_directly, self._paths)) else "fadvise"
        """How files are read: past the page cache, or with their cached pages dropped before."""
        self._files = [_opened(path, os.O_DIRECT if self.io == "O_DIRECT" else 0) for path in self._paths]

    def read(self, part: int, offset: int, nbytes: int) -> Ciphertext:
        """Read the chunks that hold plaintext [offset, offset + nbytes) of a part; blocks while no buffer is free.

        `offset` is a multiple of chunk_bytes, and so is the end unless it is the part's; else ValueError. Raises
        UserError where the file became shorter or cannot be read.
        """
        end, size = offset + nbytes, self.chunk_bytes
        whole = end == self.part_bytes[part] or end % size == 0
        if offset % size or not whole or not 0 <= offset < end <= self.part_bytes[part]:
            raise ValueError(f"[{offset}, {end}) of part {part} are not whole chunks of {size} bytes")
        first, after = offset // size, -(-end // size)
        start = first * self._record_bytes
        stop = min(after * self._record_bytes, self.manifest.stored_bytes(part))
        skipped = start % ALIGN
        buffer = self._staging.take(padded(stop) - start + skipped)
        try:
            pages = memoryview(buffer)
            self._fill(part, start - skipped, pages[: padded(stop) - start + skipped])
            records = pages[skipped : skipped + stop - start]
        except BaseException:
            self._staging.give(buffer)
            raise
        return Ciphertext(part, first, nbytes, records, lambda: self._staging.give(buffer))

    def decrypt(self, ciphertext: Ciphertext, out: memoryview) -> None:
        """Fill `out`, of ciphertext.nbytes, chunk by chunk, and release the ciphertext.

        On any failure the whole of `out` is zeroed. Raises UserError for a chunk that is not the one written at this
        place of this version of this model.
        """
        plain = memoryview(out).cast("B")
        if plain.nbytes != ciphertext.nbytes:
            raise ValueError(f"{ciphertext.nbytes} bytes do not fill {plain.nbytes}")
        chunk, records = ciphertext.first_chunk, ciphertext.records
        bound = self.manifest.bound_to(ciphertext.part)
        try:
            for at in range(0, plain.nbytes, self.chunk_bytes):
                record, records = records[: self._record_bytes], records[self._record_bytes :]
                self._open(ciphertext.part, chunk, record, bound, plain[at : at + self.chunk_bytes])
                chunk += 1
        except BaseException as error:
            zero(plain)
            if isinstance(error, InvalidTag):
                raise UserError(
                    f"chunk {chunk} of {self._paths[ciphertext.part]} is not what was written there; "
                    "write the model again."
                ) from None
            raise
        finally:
            ciphertext.release()

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, part: int, chunk: int, record: memoryview, bound: bytes, plain: memoryview) -> None:
        if record[plain.nbytes :] != self.manifest.tag(part, chunk):
            raise InvalidTag
        where = place(part, chunk)
        self._cipher.open(where, record, bound + where, plain)

    def _fill(self, part: int, start: int, pages: memoryview) -> None:
        """Read the range of the file that begins at `start`, in as few calls as the kernel takes it."""
        file = self._files[part]
        if self.io == "fadvise":
            os.posix_fadvise(file, start, len(pages), os.POSIX_FADV_DONTNEED)
        done = 0
        while done < len(pages):
            try:
                got = os.preadv(file, [pages[done:]], start + done)
            except OSError as error:
                raise UserError(
                    f"{self._paths[part]} cannot be read ({error.strerror}); write the model again."
                ) from None
            done += got
            if not got or (
                done < len(pages) and done % ALIGN
            ):  # a direct read cannot go on from within a block
                chunk = (start + done) // self._record_bytes
                raise UserError(f"{self._paths[part]} ends in chunk {chunk}; write the model again.")


def _reads_directly(path: Path) -> bool:
    """Whether the file system takes O_DIRECT, which some refuse on opening and others on reading."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        return False
    try:
        with mmap.mmap(-1, ALIGN) as page:
            os.preadv(file, [page], 0)
        return True
    except OSError:
        return False
    finally:
        os.close(file)


def _opened(path: Path, flag: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | flag)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from None
