"""Hours of a phone that serves one request at a time: the event flow (June §5, §7.4, §7.5).

The NPU is exclusive, so requests and runs of applications are taken in the order they come, each after the one before
has ended. Around them happen, in virtual time: memory pressure, reclaim and scrubbing, cache time-outs, prefetch
during decoding, and rebuilding of the cache while the device is idle. A part whose background load is cut off by a
request is loaded again from its start. While a request is served its model holds all of its memory. Of a protected
system the monitor's page states, the NPU's switch and on-demand protection run beside it; they take no time of their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import nextafter
from typing import Any

from remeasure.errors import UserError
from remeasure.impls.common.events import Loop

from ..config import System
from .apps import App, AppRun
from .arrivals import Request, Steps
from .catalogue import Catalogue, to_bytes, to_gib
from .costs import Costs
from .facts import BACKGROUND_GB, MEMORY_GIB
from .loader import Loader
from .memory import Memory
from .monitor import Monitor
from .outcome import Outcome, Recorder
from .residency import Given, Load, Residency

Background = Callable[[float], float]
Observer = Callable[[float, Memory, str | None], object]
ALWAYS_THE_SAME = Steps((0.0,), (BACKGROUND_GB.value,))


def simulate(
    system: System,
    requests: Iterable[Request | AppRun],
    costs: Costs,
    *,
    cache_gib: float,
    background: Background = ALWAYS_THE_SAME,
    seed: int = 0,
    observe: Observer | None = None,
) -> Outcome:
    """Serve requests (and applications' runs), given in order of `at_s`, and return what was seen of each.

    `cache_gib` bounds what is held for models that are not being served. `background` is the memory that other
    applications hold, in GB, as a function of time, the paper's default load if none is given; a `Steps` also says
    when it changes, any other function is looked at when requests begin and end. `observe` is called after every
    event with the time, the memory and the model being served. Nothing but the result grows with the number of
    requests. Raises UserError for requests out of order and for a model that does not fit the device.
    """
    total = to_bytes(MEMORY_GIB.value)
    memory = Memory(total, Monitor(total, system.on_demand) if system.protected else None)
    residency = Residency(system, Catalogue(system, costs), memory, to_bytes(cache_gib), seed)
    return _Device(residency, iter(requests), background, observe).run()


class _Device:
    """State and events of one simulation."""

    def __init__(
        self,
        residency: Residency,
        source: Iterator[Request | AppRun],
        background: Background,
        observe: Observer | None,
    ) -> None:
        self.residency, self.source, self.background, self.observe = residency, source, background, observe
        self.system, self.memory, self.catalogue = residency.system, residency.memory, residency.catalogue
        self.monitor = self.memory.monitor
        """None: nothing is protected."""
        self.secure_npu = self.monitor if self.system.compute == "npu" else None
        """None: the NPU stays the normal world's."""
        self.loop, self.recorder = Loop(), Recorder(self.memory, self.catalogue.stage2_tax)
        self.serving: str | None = None
        self.app: App | None = None
        self.over = False
        self.free_at = 0.0
        """When the last release of memory has returned; nothing begins before."""
        self.scrubbed_at = 0.0
        """When everything that is claimed now will have been scrubbed; one after the other."""
        self.loader = Loader(
            self.memory,
            self.catalogue,
            lambda delay, act, argument: self._at(self.loop.now + delay, act, argument),
        )

    def run(self) -> Outcome:
        self._rest()
        self._look()
        if isinstance(self.background, Steps):
            self._watch(self.background)
        self._turn_to(self._next(0.0))
        events = self.loop.run()
        return self.recorder.outcome(events)

    # --- turns: one request or application after the other ---------------------------------------------------------

    def _next(self, previous_s: float) -> Request | AppRun | None:
        """The next of the trace; None: there is no more."""
        item = next(self.source, None)
        if item is not None and item.at_s < previous_s:
            raise UserError(
                f"a request for {item.at_s} s follows one for {previous_s} s; give them in order of time."
            )
        return item

    def _turn_to(self, item: Request | AppRun | None) -> None:
        if item is None:
            self.over = True
            return
        act = self._begin if isinstance(item, Request) else self._begin_app
        self._at(max(item.at_s, self.free_at, self.loop.now), act, item)

    def _begin(self, request: Request) -> None:
        """A request's turn: switch protection on and make room, which both take time before anything is restored."""
        now = self.loop.now
        self.loader.stop()
        enable = self.catalogue.enable_s if self.system.on_demand and not self._stage2_on() else 0.0
        self.serving = request.model
        if self.monitor is not None:
            self.monitor.wake()
        self._look()
        self.residency.workflows.note(request.session, request.model)
        if not self._reused(request):
            self.memory.drop_kv(request.model)
        self._at(now + enable + self._make_room(self._needed(request)), self._restore, (request, now))

    def _restore(self, turn: tuple[Request, float]) -> None:
        """Restore what the model lacks and compute the prompt."""
        request, start = turn
        memory, model = self.memory, request.model
        needed, missing = self._needed(request), self.residency.missing(model)
        # Claimed pages are zeroed several times faster than layers are restored into them: nothing waits for that.
        self._scrubbed(max(0, needed - memory.free))
        prefill = self.catalogue.prefill_s(
            model,
            request.prompt_tokens - self._reused(request),
            self._background_gib(needed),
            tuple(memory.weights.get(model, ())),
        )
        self.recorder.request(request, start, memory.weight_bytes(model), sum(missing.values()))
        memory.hold_weights(model, missing)
        memory.hold_kv(model, max(memory.kv.get(model, 0), self._kv(request)))
        if self.secure_npu is not None:
            self.secure_npu.enter(model)
            self.secure_npu.npu.launch("secure")
        ttft = self.loop.now - start + prefill
        self._at(self.loop.now + prefill, self._first_token, (request, ttft))

    def _first_token(self, turn: tuple[Request, float]) -> None:
        """Decode the other tokens; a workflow's next models are loaded beside it, which slows it down."""
        request, ttft = turn
        if self.secure_npu is not None:
            self.secure_npu.npu.launch("secure")
        decode = (request.new_tokens - 1) * self.catalogue.decode_s(request.model)
        if self.system.prefetch:
            self.residency.expected = self.residency.workflows.next_models(request.session)
            loads = self.residency.prefetch(self.loop.now, request.model, decode)
            decode += self.catalogue.contention_s(sum(load.nbytes for load in loads))
            self.loader.start(loads)
        self._at(self.loop.now + decode, self._end, (request, ttft, decode))

    def _end(self, turn: tuple[Request, float, float]) -> None:
        """The last token: decide what stays, give the rest back, turn to what comes next."""
        request, ttft, decode = turn
        now, residency = self.loop.now, self.residency
        if self.secure_npu is not None:
            self.secure_npu.npu.leave()
        self.loader.stop()
        residency.log.note(request.model, now, request.prompt_tokens)
        if request.last:
            residency.workflows.end(request.session)
            residency.expected = ()
        self.serving = None
        self._look()
        self._load_while_idle(self._settle())
        self._rest()
        if self.system.cache == "timeout":
            self._at(_expiry(now, self.system.timeout_s), self._expire)
        self.recorder.generation(request, ttft, decode, residency.cached_bytes())
        self._turn_to(self._next(request.at_s))

    def _begin_app(self, run: AppRun) -> None:
        self.app = run.app
        self.recorder.app_begins()
        self._look()
        self._at(self.loop.now + run.duration_s, self._end_app, run)

    def _end_app(self, run: AppRun) -> None:
        self.recorder.app_ends(run)
        self.app = None
        self._look()
        self._turn_to(self._next(run.at_s))

    # --- memory ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """See what applications want now; under pressure the cache gives back, without it the cache is rebuilt."""
        memory = self.memory
        before = memory.wanted_anon + memory.wanted_cache
        anon, cache = to_bytes(self.background(self.loop.now)), 0
        if self.app is not None:
            files = to_bytes(self.app.working_set * self.app.file_share)
            anon, cache = anon + to_bytes(self.app.working_set) - files, files
        memory.apps_want(anon, cache)
        if not self.residency.cooperates or anon + cache == before:
            return
        pressed = memory.missed_by_apps - memory.claimed  # what is claimed is on its way to them
        if pressed > 0:
            self._reclaim(pressed)
        if self.serving is None:
            self._load_while_idle(self._settle())

    def _watch(self, background: Steps) -> None:
        """Look again when the load of other applications changes."""
        change = background.next_change(self.loop.now)
        if change is not None:
            self._at(change, self._changed, background)

    def _changed(self, background: Steps) -> None:
        self._look()
        self._watch(background)

    def _reclaim(self, nbytes: int) -> None:
        """Applications want memory that the cache holds: stage 1."""
        self.loader.stop()
        given = self.residency.reclaim(self.loop.now, nbytes, self.serving, self.residency.claims)
        if given.nbytes:
            self.recorder.reclaim(self.catalogue.reclaim_s(given.weights, given.kv), given.nbytes)
            self._scrub(given)

    def _settle(self) -> list[Load]:
        """Give back what should not stay (stage 2 of reclaim as well); returns what should be loaded in its place."""
        given, loads = self.residency.settle(self.loop.now, self.serving)
        if given.nbytes:
            released_s = self.catalogue.reclaim_s(given.weights, given.kv)
            self.free_at = max(self.free_at, self.loop.now) + released_s
            self._scrub(given)
        return loads

    def _load_while_idle(self, loads: Iterable[Load]) -> None:
        self.loader.start(loads, max(0.0, self.free_at - self.loop.now))

    def _make_room(self, needed: int) -> float:
        """A cooperative cache makes way for a request before applications have to; returns the seconds it takes."""
        short = needed - self.memory.free
        if short <= 0 or not self.residency.cooperates:
            return 0.0
        # These pages are taken over, not given back: nobody has to wait for their scrubbing.
        given = self.residency.reclaim(self.loop.now, short, self.serving, claimed=False)
        return self.catalogue.reclaim_s(given.weights, given.kv)

    def _scrub(self, given: Given) -> None:
        if self.residency.claims:
            self.scrubbed_at = max(self.loop.now, self.scrubbed_at) + self.catalogue.scrub_s(
                given.weights, given.kv
            )
            self._at(self.scrubbed_at, self._scrubbed, given.nbytes)

    def _scrubbed(self, nbytes: int) -> None:
        self.memory.scrubbed(min(nbytes, self.memory.claimed))
        self._rest()

    def _rest(self) -> None:
        """Stage-2 tables go off, if they may, once nothing is served and everything was given back."""
        if self.monitor is not None and self.serving is None:
            self.monitor.rest()

    def _expire(self, _: object = None) -> None:
        self._settle()

    def _needed(self, request: Request) -> int:
        """Bytes that a request still has to be given."""
        kv = self._kv(request) - self.memory.kv.get(request.model, 0)
        return sum(self.residency.missing(request.model).values()) + max(0, kv)

    def _kv(self, request: Request) -> int:
        return self.catalogue.kv(request.model, request.prompt_tokens + request.new_tokens)

    def _reused(self, request: Request) -> int:
        """Tokens whose KV is in memory; at least one token is computed, for its logits."""
        shared = min(request.shared_tokens, request.prompt_tokens - 1)
        return shared if request.model in self.memory.kv else 0

    def _background_gib(self, needed: int) -> float:
        """Memory in use as an allocation sees it: the applications'; cached weights count once all is taken."""
        memory = self.memory
        apps = memory.app_anon + memory.app_cache
        used = apps + memory.held
        return to_gib(used if used + needed > memory.total else apps)

    # --- every event -----------------------------------------------------------------------------------------------

    def _stage2_on(self) -> bool:
        """Whether the normal world runs under stage-2 page tables now."""
        if not self.system.protected or self.system.alloc != "flex":
            return False
        return not self.system.on_demand or self.serving is not None or self.memory.held > 0

    def _at(self, time: float, act: Callable[[Any], object], argument: object = None) -> None:
        self.loop.at(time, self._event, (act, argument))

    def _event(self, call: tuple[Callable[[Any], object], object]) -> None:
        """Account for the time since the last event, then act; after the end of the trace nothing happens any more."""
        if self.over:
            return
        self.recorder.until(self.loop.now, self._stage2_on(), self.app)
        act, argument = call
        act(argument)
        if self.observe is not None:
            self.observe(self.loop.now, self.memory, self.serving)


def _expiry(used_s: float, lasting_s: float) -> float:
    """The first moment at which `lasting_s` have passed since `used_s`, rounding included."""
    time = used_s + lasting_s
    while time - used_s < lasting_s:
        time = nextafter(time, float("inf"))
    return time
