"""The result cache (§5): an answer is given again until it is too old."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from remeasure.errors import UserError

Answer = TypeVar("Answer")


class ResultCache(Generic[Answer]):
    """Answers by key, each for `ttl_s` seconds after it was put, by the caller's clock, which never goes back.

    All live equally long, so they expire in the order in which they were put, and the oldest go whenever one is put.
    """

    def __init__(self, ttl_s: float = 60.0) -> None:
        """Raises UserError for a time to live below 0; with 0 nothing is ever found."""
        if not ttl_s >= 0:
            raise UserError(f"the cache's time to live is {ttl_s} s; give at least 0 (0 keeps nothing).")
        self.ttl_s = ttl_s
        self._held: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()

    def get(self, key: Hashable, now: float) -> Answer | None:
        """What was put less than `ttl_s` ago, else None."""
        held = self._held.get(key)
        return held[1] if held is not None and now - held[0] < self.ttl_s else None

    def put(self, key: Hashable, answer: Answer, now: float) -> None:
        """Replaces an older answer of the key."""
        self._held.pop(key, None)
        self._held[key] = now, answer
        while self._held and now - next(iter(self._held.values()))[0] >= self.ttl_s:
            self._held.popitem(last=False)

    def clear(self) -> None:
        """Forgets everything, as when another model begins to answer."""
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)
