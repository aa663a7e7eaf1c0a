"""What of the models stays in the device's memory between requests: the policies of June §5.2 and §5.3 at work.

Decisions are those of `policy`; this applies them to the counters of `Memory` and says what is left to be loaded.
`serving` is the model that is being served; its pages are nobody's cache.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..config import System
from ..policy.cache import ModelUse, desired, kept_histories, kept_parts
from ..policy.invocations import History, InvocationLog
from ..policy.reclaim import Victim, select
from ..policy.workflow import WorkflowLog
from .catalogue import Catalogue
from .memory import Memory

NEVER = History(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Given:
    """Bytes that were given back."""

    weights: int = 0
    kv: int = 0

    @property
    def nbytes(self) -> int:
        return self.weights + self.kv


@dataclass(frozen=True)
class Load:
    """A part that is to be restored in the background."""

    model: str
    part: int
    nbytes: int


class Residency:
    """Keeps at most `cache_bytes` of models that are not being served, by the system's cache policy."""

    def __init__(
        self, system: System, catalogue: Catalogue, memory: Memory, cache_bytes: int, seed: int
    ) -> None:
        self.system, self.catalogue, self.memory = system, catalogue, memory
        self.cache_bytes, self.seed = cache_bytes, seed
        self.log, self.workflows = InvocationLog(), WorkflowLog()
        self.expected: tuple[str, ...] = ()
        """Models that the current workflow is expected to call next, in order."""

    @property
    def claims(self) -> bool:
        """Whether memory that is given back is claimed first and scrubbed later."""
        return self.system.alloc == "flex" and self.system.async_reclaim

    @property
    def cooperates(self) -> bool:
        """Whether applications get memory back from the cache when they want it."""
        return self.system.cache == "cooperative"

    def cached_bytes(self, serving: str | None = None) -> int:
        """Bytes held for models other than the one being served."""
        memory = self.memory
        own = memory.weight_bytes(serving) + memory.kv.get(serving, 0) if serving else 0
        return memory.flex_weight + memory.flex_kv - own

    def missing(self, model: str) -> dict[int, int]:
        """Parts (index → bytes) of a model that are not in memory."""
        held = self.memory.weights.get(model, {})
        return {part: n for part, n in enumerate(self.catalogue.parts(model)) if n and part not in held}

    def settle(self, now: float, serving: str | None) -> tuple[Given, list[Load]]:
        """Give back what should not stay; returns it, and what should be loaded while nothing else is to do."""
        limit = room = self._limit(serving)
        history = self.log.history(now)
        target = desired(self.system, self.log, self._uses(history), limit, now, self.seed)
        keep: dict[str, set[int]] = {}
        for model in (*self.expected, *target):
            if model == serving or model in keep:
                continue
            held = self.memory.weights.get(model, {})
            # What the workflow needs next stays whole; of the others, what the policy wants.
            wanted = set(held) if model in self.expected else set(target[model]) & held.keys()
            budget = min(room, sum(held[part] for part in wanted))
            keep[model] = self._within(model, wanted, budget)
            room -= sum(held[part] for part in keep[model])
        loads = self._to_load(target, keep, serving, room) if self.cooperates else []
        room -= sum(load.nbytes for load in loads)
        kv = self._histories(history, serving, room)
        return self._keep_only(keep, kv, serving), loads

    def reclaim(self, now: float, nbytes: int, serving: str | None, claimed: bool) -> Given:
        """Give back at least so many bytes of the cache, or all of it, cheapest first (two-stage, stage 1)."""
        victims = select(
            self._cached_parts(serving),
            {model: n for model, n in self.memory.kv.items() if model != serving},
            self._rates(now),
            nbytes,
            cheapest_first=self.system.two_stage,
        )
        return self._drop(victims, claimed)

    def prefetch(self, now: float, serving: str, seconds: float) -> list[Load]:
        """Parts of the expected models that can be restored in `seconds`; makes room for them in the cache.

        They have the cache before everything else, for they are certain to be used, and now.
        """
        room = self._limit(serving) - self.cached_bytes(serving)
        others = set(self.memory.weights) - {serving, *self.expected}
        loads: list[Load] = []
        for model in dict.fromkeys(self.expected):
            if model == serving:
                continue
            for part, nbytes in self.missing(model).items():
                seconds -= self.catalogue.restore_s(nbytes)
                if seconds < 0:
                    return loads
                if nbytes > room:
                    room += self._evict(now, nbytes - room, others)
                if nbytes > room:
                    return loads
                room -= nbytes
                loads.append(Load(model, part, nbytes))
        return loads

    def _limit(self, serving: str | None) -> int:
        """Bytes the cache may hold now; a cooperative one leaves applications and the served model what they want."""
        if self.system.cache == "none":
            return 0
        if not self.cooperates:
            return self.cache_bytes
        memory = self.memory
        own = memory.weight_bytes(serving) + memory.kv.get(serving, 0) if serving else 0
        spoken_for = memory.wanted_anon + memory.wanted_cache + own
        return max(0, min(self.cache_bytes, memory.total - spoken_for))

    def _uses(self, history: Mapping[str, History]) -> Iterator[ModelUse]:
        for model, _ in self.log.latest_first():
            seen = history.get(model, NEVER)
            yield self.catalogue.use(model, seen.rate, seen.frequency, seen.mean_prompt)

    def _rates(self, now: float) -> dict[str, float]:
        return _rates(self.log.history(now))

    def _within(self, model: str, wanted: Collection[int], budget: int) -> set[int]:
        """The parts, of those wanted, that the policy would keep within a budget."""
        parts = self.catalogue.parts(model)
        use = ModelUse(
            model, tuple(n if part in wanted else 0 for part, n in enumerate(parts)), 0, 0, 0, 0, 0
        )
        return set(kept_parts(use, budget, self.system.kept, self.seed))

    def _to_load(
        self,
        target: Mapping[str, tuple[int, ...]],
        keep: Mapping[str, set[int]],
        serving: str | None,
        room: int,
    ) -> list[Load]:
        loads: list[Load] = []
        for model, parts in target.items():
            if model == serving:
                continue
            sizes = self.catalogue.parts(model)
            for part in parts:
                if part in keep[model]:
                    continue
                if sizes[part] > room:
                    break
                room -= sizes[part]
                loads.append(Load(model, part, sizes[part]))
        return loads

    def _histories(self, history: Mapping[str, History], serving: str | None, room: int) -> Collection[str]:
        if not self.cooperates:
            return ()
        idle = {model: n for model, n in self.memory.kv.items() if model != serving}
        return kept_histories(idle, _rates(history), room)

    def _keep_only(self, keep: Mapping[str, set[int]], kv: Collection[str], serving: str | None) -> Given:
        weights = histories = 0
        claimed = self.claims
        for model in [name for name in self.memory.weights if name != serving]:
            gone = self.memory.weights[model].keys() - keep.get(model, set())
            weights += self.memory.drop_weights(model, gone, claimed)
        for model in [name for name in self.memory.kv if name != serving and name not in kv]:
            histories += self.memory.drop_kv(model, claimed)
        return Given(weights, histories)

    def _cached_parts(self, serving: str | None) -> dict[str, list[int]]:
        return {
            model: [held.get(part, 0) for part in range(len(self.catalogue.parts(model)))]
            for model, held in self.memory.weights.items()
            if model != serving
        }

    def _evict(self, now: float, nbytes: int, models: Collection[str]) -> int:
        """Bytes of other models' weights that make way for a prefetch; they are reused at once, not given back."""
        cached = {model: parts for model, parts in self._cached_parts(None).items() if model in models}
        return self._drop(select(cached, {}, self._rates(now), nbytes), claimed=False).nbytes

    def _drop(self, victims: Iterable[Victim], claimed: bool) -> Given:
        weights = kv = 0
        parts: dict[str, list[int]] = {}
        for victim in victims:
            if victim.part is None:
                kv += self.memory.drop_kv(victim.model, claimed)
            else:
                parts.setdefault(victim.model, []).append(victim.part)
        for model, gone in parts.items():
            weights += self.memory.drop_weights(model, gone, claimed)
        return Given(weights, kv)


def _rates(history: Mapping[str, History]) -> dict[str, float]:
    return {model: seen.rate for model, seen in history.items()}
