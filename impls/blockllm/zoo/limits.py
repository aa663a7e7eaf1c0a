"""What this machine's disk and its SHA-256 allow at best: the two limits that the zoo's speed is judged by.

Both are measured on a zoo's own objects and without the costs that a zoo has beside them: no fresh memory, no tensors,
no parsing. Decimal megabytes throughout. `limits` reads into a few megabytes again and again, which is the fastest a
disk can be; `seconds_to_fill` reads to where everything could stay, which on virtual machines can take much longer.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from remeasure.errors import UserError

from .memory import Place, fresh, whole_pages

T = TypeVar("T")
PIECE = 4 << 20
"""Bytes read at a time."""
SAMPLE = 64 << 20
"""Bytes that are hashed, at most: more than caches hold."""
TRIES = 2
"""Times that each thing is measured; the best counts, for a limit is what nothing disturbed."""
DISK_THREADS = (1, 2, 4, 8)
"""Readers that are tried; a fast disk wants several requests at a time."""
FILLERS = 4
"""Readers that fill memory."""


@dataclass(frozen=True)
class Limits:
    """Megabytes (1e6 bytes) per second of wall time."""

    nbytes: int
    """What was read, and hashed."""
    disk_mb_s: dict[int, float]
    """By number of threads that read past the page cache (O_DIRECT)."""
    sha256_mb_s: dict[int, float]
    """By number of threads that hash from memory: one, and one for each core that a zoo would use."""

    @property
    def slower_mb_s(self) -> float:
        """The slower of the best disk and the best SHA-256: no store that does both can be faster."""
        return self.slower_of(max(self.disk_mb_s.values()))

    @property
    def slower_one_mb_s(self) -> float:
        """The slower of the best disk and one thread's SHA-256: what a store that hashes on one core could reach."""
        return min(max(self.disk_mb_s.values()), self.sha256_mb_s[1])

    def slower_of(self, disk_mb_s: float) -> float:
        """The slower of a disk in another state and the best SHA-256."""
        return min(disk_mb_s, max(self.sha256_mb_s.values()))


def limits(paths: Iterable[Path]) -> Limits:
    """Measure on these files. Raises UserError where they cannot be read past the page cache."""
    pieces = _pieces(paths)
    nbytes = sum(path.stat().st_size for path in {path for path, _ in pieces})
    if not nbytes:
        raise UserError("there are no objects to measure the disk with; insert a model first.")
    disk = {threads: nbytes / 1e6 / _best(_seconds_to_reread, pieces, threads) for threads in DISK_THREADS}
    content = _sample(dict.fromkeys(path for path, _ in pieces))
    cores = len(os.sched_getaffinity(0))
    sha256 = {
        threads: len(content) / 1e6 / _best(_seconds_to_hash, content, threads)
        for threads in sorted({1, cores})
    }
    return Limits(nbytes, disk, sha256)


def seconds_to_fill(paths: Iterable[Path], place: Place) -> float:
    """Wall time of reading files past the page cache, every byte to a place of its own. Raises UserError as `limits`.

    place: gives a file's memory, before the time begins.
    """
    pieces = _pieces(paths)
    sizes = {path: path.stat().st_size for path, _ in pieces}
    memory = {path: place(nbytes)[: whole_pages(nbytes)] for path, nbytes in sizes.items()}
    return _seconds_to_read(
        pieces, [memory[path].data[start : start + PIECE] for path, start in pieces], FILLERS
    )


def evict(paths: Iterable[Path]) -> float:
    """Put files out of the page cache, so that the next to read them waits for the disk; what somebody maps stays.

    Returns the share of their pages that is still there, 0 to 1.
    """
    pages = left = 0
    for path in paths:
        with path.open("rb", buffering=0) as file:
            descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
            if not size:
                continue
            os.fsync(descriptor)  # what is not yet on the disk stays
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            there = _in_cache(descriptor, size)
            pages, left = pages + len(there), left + sum(byte & 1 for byte in there)
    return left / pages if pages else 0.0


def _in_cache(descriptor: int, size: int) -> bytes:
    """A byte for each page of a file, odd where the page cache has it (mincore)."""
    libc = ctypes.CDLL(None, use_errno=True)
    there = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
    with mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), there)
        del first  # a mapping that is still looked at cannot be closed
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return bytes(there)


def _pieces(paths: Iterable[Path]) -> list[tuple[Path, int]]:
    """Which file is read from where on, a piece at a time."""
    return [(path, start) for path in paths for start in range(0, path.stat().st_size, PIECE)]


def _seconds_to_reread(pieces: Sequence[tuple[Path, int]], threads: int) -> float:
    """To read all pieces into memory that is there already: a piece of it for each thread."""
    buffers = [fresh(PIECE) for _ in range(threads)]
    for buffer in buffers:
        buffer[:] = 0
    return _seconds_to_read(pieces, [buffers[n % threads].data for n in range(len(pieces))], threads)


def _seconds_to_read(pieces: Sequence[tuple[Path, int]], places: Sequence[memoryview], threads: int) -> float:
    """To read all pieces past the page cache, each to its place; the n-th thread every n-th one."""
    descriptors: dict[Path, int] = {}

    def read(reader: int) -> None:
        for (path, start), place in zip(pieces[reader::threads], places[reader::threads], strict=True):
            os.preadv(descriptors[path], [place], start)

    paths = dict.fromkeys(path for path, _ in pieces)
    try:
        for path in paths:
            descriptors[path] = os.open(path, os.O_RDONLY | os.O_DIRECT)
        return _seconds(read, threads)
    except OSError as error:
        raise UserError(
            f"{next(iter(paths)).parent} cannot be read past the page cache ({error.strerror}); "
            "measure where a disk's file system is."
        ) from None
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def _best(seconds: Callable[[T, int], float], of: T, threads: int) -> float:
    return min(seconds(of, threads) for _ in range(TRIES))


def _sample(paths: Iterable[Path]) -> bytes:
    """The beginning of all files, one after the other."""
    content = bytearray()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            content += file.read(SAMPLE - len(content))
    return bytes(content)


def _seconds_to_hash(content: bytes, threads: int) -> float:
    """To hash as many equal shares of some bytes as there are threads."""
    whole, share = memoryview(content), -(-len(content) // threads)
    return _seconds(lambda n: hashlib.sha256(whole[n * share : (n + 1) * share]).digest(), threads)


def _seconds(work: Callable[[int], object], threads: int) -> float:
    """Wall time of work(0) … work(threads - 1), each in a thread."""
    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(work, range(threads)))
        return time.perf_counter() - begun
