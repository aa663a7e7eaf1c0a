"""Threads that wait for the disk while others hash, one a core: neither holds Python's lock.

What does hold it, and every waking of a thread, takes longer than to hash a small object. So small ones stay in one
thread from beginning to end, beside the largest one, and nobody waits for one thing after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

K = TypeVar("K")
A = TypeVar("A")
B = TypeVar("B")
SMALL = 64 << 10
"""Bytes from which on it pays to hand an object from thread to thread."""


def bundles(sizes: Mapping[K, int]) -> list[list[K]]:
    """In which order things of so many bytes are begun: the largest, all small ones together, the others by size."""
    largest_first = sorted(sizes, key=lambda item: -sizes[item])
    large = [[item] for item in largest_first if sizes[item] >= SMALL]
    small = [item for item in largest_first if sizes[item] < SMALL]
    return [*large[:1], *([small] if small else []), *large[1:]]


def pipelined(
    sizes: Mapping[K, int],
    first: Callable[[K], A | None],
    then: Callable[[K, A], B],
    threads: tuple[int, int],
) -> dict[K, B]:
    """What `then` makes of that which `first` makes of each item, without those that it makes nothing of.

    sizes: bytes, by item. threads: how many do `first`, and `then` for what is large. Raises the first error of either.
    """
    done: dict[K, B] = {}
    handed: list[Future[None]] = []

    def finish(item: K, between: A) -> None:
        done[item] = then(item, between)

    def begin(items: Sequence[K]) -> None:
        for item in items:
            between = first(item)
            if between is None:
                continue
            if len(items) == 1:
                handed.append(later.submit(finish, item, between))
            else:
                finish(item, between)

    with ThreadPoolExecutor(threads[1]) as later, ThreadPoolExecutor(threads[0]) as sooner:
        _finished([sooner.submit(begin, items) for items in bundles(sizes)])
        _finished(handed)
    return done


def for_each(items: Iterable[K], work: Callable[[K], B], threads: int) -> list[B]:
    """Do `work`, which reads and hashes a file, for each: `threads` hash while as many wait for the disk."""
    with ThreadPoolExecutor(2 * threads) as pool:
        return list(pool.map(work, items))


def _finished(futures: Sequence[Future[None]]) -> None:
    """Wait for all of them, waking once; raises the error of one that failed, and begins no more then."""
    for future in wait(futures, return_when=FIRST_EXCEPTION).not_done:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()
