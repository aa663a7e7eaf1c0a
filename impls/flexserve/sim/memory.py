"""Where every byte of the modelled device is: one owner a byte, counters that only move between each other.

Applications say what they want; they hold it unless inference holds it. Protected memory comes first from free
memory, then from the applications' file cache (dropped), last from their own data (swapped out). Whatever comes free
goes back to them at once, so memory is free only when no application misses any. Of a protected system, what inference
holds, drops and has scrubbed goes through the monitor's page states as well; bytes decide, pages follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remeasure.errors import UserError

from .monitor import Monitor, kv_of, weights_of


@dataclass(frozen=True)
class Counters:
    """Bytes by owner; their sum is the device's memory."""

    free: int
    app_anon: int
    """Applications' own data."""
    app_cache: int
    """Applications' file cache."""
    flex_weight: int
    """Weights held for inference, protected or not."""
    flex_kv: int
    """KV caches of running and of earlier requests."""
    claimed: int
    """Given back by inference but not scrubbed yet; nobody may touch it."""

    @property
    def total(self) -> int:
        return self.free + self.app_anon + self.app_cache + self.flex_weight + self.flex_kv + self.claimed


class Memory:
    """The device's memory. All sizes are whole bytes; a model's weights are held part by part.

    `monitor` owns the device's pages; None: nothing is protected.
    """

    def __init__(self, total_bytes: int, monitor: Monitor | None = None) -> None:
        self.monitor = monitor
        self.total = self.free = total_bytes
        self.app_anon = self.app_cache = self.flex_weight = self.flex_kv = self.claimed = 0
        self.wanted_anon = self.wanted_cache = 0
        self.weights: dict[str, dict[int, int]] = {}
        """Model → part → bytes; only what is held."""
        self.kv: dict[str, int] = {}
        """Model → bytes; only what is held."""

    def counters(self) -> Counters:
        return Counters(
            self.free, self.app_anon, self.app_cache, self.flex_weight, self.flex_kv, self.claimed
        )

    @property
    def missed_by_apps(self) -> int:
        """Bytes that applications want and do not hold."""
        return self.wanted_anon - self.app_anon + self.wanted_cache - self.app_cache

    @property
    def held(self) -> int:
        """Bytes that inference keeps from applications, claimed ones included."""
        return self.flex_weight + self.flex_kv + self.claimed

    def weight_bytes(self, model: str) -> int:
        return sum(self.weights.get(model, {}).values())

    def apps_want(self, anon: int, cache: int) -> None:
        """Applications now want `anon` bytes of data and `cache` bytes of files; they get what inference leaves."""
        self.wanted_anon, self.wanted_cache = anon, cache
        surplus_anon = max(0, self.app_anon - anon)
        surplus_cache = max(0, self.app_cache - cache)
        self.app_anon -= surplus_anon
        self.app_cache -= surplus_cache
        self.free += surplus_anon + surplus_cache
        self._back_to_apps()

    def hold_weights(self, model: str, parts: Mapping[int, int]) -> None:
        """Parts (index → bytes) of a model are now in memory; those held before stay. UserError if they cannot be."""
        held = self.weights.get(model, {})
        new = {part: nbytes for part, nbytes in parts.items() if part not in held}
        if not new:
            return
        what = f"the weights of {model}"
        self._protect(weights_of(model), new, what)
        self.flex_weight += self._take(sum(new.values()), what)
        self.weights.setdefault(model, {}).update(new)

    def hold_kv(self, model: str, nbytes: int) -> None:
        """The KV cache of a model now takes `nbytes`, which is not less than before."""
        what = f"the KV cache of {model}"
        self._protect(kv_of(model), {0: nbytes}, what)
        self.flex_kv += self._take(nbytes - self.kv.get(model, 0), what)
        if nbytes:
            self.kv[model] = nbytes

    def drop_weights(self, model: str, parts: Iterable[int], claimed: bool = False) -> int:
        """Give parts back (claimed: they still have to be scrubbed); returns their bytes."""
        held, gone = self.weights.get(model, {}), list(parts)
        if not gone:
            return 0
        nbytes = sum(held.pop(part) for part in gone)
        if not held:
            self.weights.pop(model, None)
        if self.monitor is not None:
            self.monitor.drop(weights_of(model), gone, claimed)
        self.flex_weight -= nbytes
        return self._give(nbytes, claimed)

    def drop_kv(self, model: str, claimed: bool = False) -> int:
        """Give a model's KV cache back; returns its bytes."""
        nbytes = self.kv.pop(model, 0)
        if self.monitor is not None:
            self.monitor.drop(kv_of(model), (0,), claimed)
        self.flex_kv -= nbytes
        return self._give(nbytes, claimed)

    def scrubbed(self, nbytes: int) -> None:
        """Claimed bytes are zero now and free."""
        self.claimed -= nbytes
        if self.monitor is not None:
            self.monitor.scrub(self.claimed)
        self.free += nbytes
        self._back_to_apps()

    def faults(self) -> list[str]:
        """What is wrong with the books, a sentence each; empty is sound."""
        counters = self.counters()
        wrong = [f"{name} is negative" for name, nbytes in vars(counters).items() if nbytes < 0]
        if counters.total != self.total:
            wrong.append(f"counters sum to {counters.total}, the device has {self.total}")
        if self.flex_weight != sum(sum(parts.values()) for parts in self.weights.values()):
            wrong.append("flex_weight is not the sum of the parts held")
        if self.flex_kv != sum(self.kv.values()):
            wrong.append("flex_kv is not the sum of the KV caches held")
        if self.app_anon > self.wanted_anon or self.app_cache > self.wanted_cache:
            wrong.append("applications hold more than they want")
        if self.free and self.missed_by_apps:
            wrong.append("memory is free while applications miss some")
        if self.monitor is not None:
            wrong += self.monitor.faults(self.weights, self.kv, self.claimed)
        return wrong

    def _protect(self, owner: str, pieces: Mapping[int, int], what: str) -> None:
        """Pages for these pieces, before their bytes are taken: where the pages suffice, the bytes do."""
        if self.monitor is not None and not self.monitor.hold(owner, pieces):
            raise UserError(_too_large(what))

    def _take(self, nbytes: int, what: str) -> int:
        if nbytes > self.free + self.app_cache + self.app_anon:
            raise UserError(_too_large(what))
        from_free = min(nbytes, self.free)
        from_cache = min(nbytes - from_free, self.app_cache)
        self.free -= from_free
        self.app_cache -= from_cache
        self.app_anon -= nbytes - from_free - from_cache
        return nbytes

    def _give(self, nbytes: int, claimed: bool) -> int:
        if claimed:
            self.claimed += nbytes
        else:
            self.free += nbytes
            self._back_to_apps()
        return nbytes

    def _back_to_apps(self) -> None:
        anon = min(self.free, self.wanted_anon - self.app_anon)
        self.app_anon += anon
        self.free -= anon
        cache = min(self.free, self.wanted_cache - self.app_cache)
        self.app_cache += cache
        self.free -= cache


def _too_large(what: str) -> str:
    return (
        f"{what} do not fit the device's memory beside what is held; lower cache_gib or use a smaller model."
    )
