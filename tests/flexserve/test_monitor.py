"""The simulator runs the page states, the NPU's switch and on-demand protection, and they hold whatever comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.policy.npu import NPU_SECURE
from remeasure.impls.flexserve.policy.pages import FLEX, PAGE_BYTES, Effects, Ledger, Refused, State
from remeasure.impls.flexserve.policy.runs import Extent, Runs
from remeasure.impls.flexserve.sim import calibration as calibrated
from remeasure.impls.flexserve.sim import monitor as monitor_module
from remeasure.impls.flexserve.sim import server
from remeasure.impls.flexserve.sim.arrivals import Request, Steps
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.memory import Memory
from remeasure.impls.flexserve.sim.monitor import Monitor, _first, _joined, kv_of, pages, weights_of
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

SMALL, MIDDLE, LARGE = "Qwen3-0.6B", "Llama3.2-3B", "Llama3.1-8B"
ON_DEMAND = replace(cold(FLEXSERVE), on_demand=True)
SYSTEMS = {
    "FlexServe": FLEXSERVE,
    "FlexServe, synchronous": replace(FLEXSERVE, async_reclaim=False, two_stage=False),
    "FlexServe, random layers": replace(FLEXSERVE, kept="random"),
    "FlexServe, time-out": replace(FLEXSERVE, cache="timeout"),
    "FlexServe, on demand": ON_DEMAND,
    "Strawman": STRAWMAN,
    "Strawman-OPT, always": replace(STRAWMAN_OPT, cache="always"),
    "TZ-LLM": TZLLM_LIKE,
}
WAVES = Steps((0.0, 20.0, 40.0, 60.0, 90.0), (8.0, 13.5, 2.0, 15.9, 8.0))
BUSY = [
    Request(12.0 * i, model, 300, 30, session, last, shared)
    for i, (model, session, last, shared) in enumerate(
        [
            (MIDDLE, "s", False, 0),
            (SMALL, "s", True, 0),
            (LARGE, "", True, 0),
            (MIDDLE, "s", False, 200),
            (SMALL, "s", True, 0),
            (SMALL, "", True, 100),
        ]
    )
]


@pytest.fixture(scope="module")
def costs():
    return Costs(calibrated.read())


class Machine(Effects):
    """What really lies in the pages and what the normal world's stage-2 table maps, whatever the ledger says."""

    def __init__(self, total_pages: int) -> None:
        self.plaintext = Runs(total_pages, False)
        self.mapped = Runs(total_pages, True)

    def unmap(self, extent: Extent) -> None:
        self.mapped.put(extent, False)

    def zero(self, extent: Extent) -> None:
        self.plaintext.put(extent, False)

    def remap(self, extent: Extent) -> None:
        self.mapped.put(extent, True)

    def readable_secrets(self) -> list[Extent]:
        return [
            piece
            for extent, plain in self.plaintext.pieces()
            if plain
            for piece, mapped in self.mapped.pieces(extent)
            if mapped
        ]


class Watched(Ledger):
    """A ledger with a machine below it."""

    def __init__(self, total_pages: int, *effects: Effects) -> None:
        self.machine = Machine(total_pages)
        super().__init__(total_pages, self.machine, *effects)

    def fill(self, extents: Iterable[Extent]) -> None:
        listed = list(extents)
        super().fill(listed)
        for extent in listed:
            self.machine.plaintext.put(extent, True)


def faults(memory: Memory, serving: str | None) -> list[str]:
    """What of the page states does not hold now."""
    wrong = list(memory.faults())
    monitor = memory.monitor
    assert monitor is not None
    ledger, recount = monitor.ledger, 0
    assert isinstance(ledger, Watched)
    wrong += [f"the normal world reads a secret in {piece}" for piece in ledger.machine.readable_secrets()]
    for extent, state, _ in ledger.pieces():
        recount += extent.pages
        if any(mapped != (state is State.NW) for mapped in ledger.machine.mapped.values(extent)):
            wrong.append(f"ledger and stage-2 table disagree about {extent}")
        if not monitor.guard.on and state is not State.NW:
            wrong.append(f"{extent} is {state.name} and stage-2 protection is off")
    if not recount == sum(ledger.counters().values()) == memory.total // PAGE_BYTES:
        wrong.append("the ledger's counters do not sum to all pages")
    if ledger.count(*FLEX, State.CLAIMED) * PAGE_BYTES < memory.held:
        wrong.append("fewer pages are protected or claimed than inference holds bytes")
    reached = monitor.smmu.extents(NPU_SECURE)
    if serving is None and (reached or monitor.npu.mode != "normal"):
        wrong.append("nothing is served and the secure world has the NPU")
    if any(state not in FLEX for extent in reached for _, state, _ in ledger.pieces(extent)):
        wrong.append("the NPU reaches a page that is not protected")
    if monitor.on_demand and monitor.guard.on != (serving is not None or memory.held > 0):
        wrong.append("stage-2 tables are not as the server charges for them")
    return wrong


def broken_pages(
    costs: Costs,
    system: System,
    requests: Iterable[Request] = BUSY,
    background: Steps = WAVES,
    monitor: type[Monitor] = Monitor,
) -> list[str]:
    """What is ever wrong with the pages while a trace is served."""
    wrong: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "Ledger", Watched)
        patch.setattr(server, "Monitor", monitor)
        try:
            simulate(
                system,
                requests,
                costs,
                cache_gib=4.0,
                background=background,
                observe=lambda time, memory, serving: wrong.extend(faults(memory, serving)),
            )
        except (UserError, Refused) as error:
            wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("name", SYSTEMS)
def test_pages_stay_protected_scrubbed_and_counted_while_a_trace_is_served(name, costs):
    assert broken_pages(costs, SYSTEMS[name]) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SYSTEMS)),
    requests=st.lists(
        st.tuples(
            st.floats(0, 60),
            st.sampled_from([SMALL, MIDDLE, LARGE]),
            st.integers(1, 600),
            st.integers(1, 80),
            st.sampled_from(["", "s", "t"]),
            st.booleans(),
            st.sampled_from([0, 50]),
        ),
        max_size=8,
    ),
    levels=st.lists(st.floats(0, 20), min_size=1, max_size=6),
)
def test_pages_are_safe_whatever_comes(costs, name, requests, levels):
    time, served = 0.0, []
    for gap, *rest in requests:
        time += gap
        served.append(Request(time, *rest))
    background = Steps(tuple(30.0 * place for place in range(len(levels))), tuple(levels))
    assert broken_pages(costs, SYSTEMS[name], served, background) == []


class ReleasesAtClaim(Monitor):
    """Mutant: what is claimed goes back at once, although its scrubbing has not been paid for."""

    def drop(self, owner, pieces, claimed):
        super().drop(owner, pieces, claimed=False)


class ReleasesUnscrubbed(Monitor):
    """Mutant: pages go back with the plaintext in them."""

    def _give_back(self, extents):
        zero, self.ledger.machine.zero = self.ledger.machine.zero, lambda extent: None
        super()._give_back(extents)
        self.ledger.machine.zero = zero


class NeverScrubs(Monitor):
    """Mutant: what is claimed stays claimed."""

    def scrub(self, claimed_bytes):
        pass


class ForgetsToProtect(Monitor):
    """Mutant: pages are never unmapped from the normal world."""

    def hold(self, owner, pieces):
        unmap, self.ledger.machine.unmap = self.ledger.machine.unmap, lambda extent: None
        held = super().hold(owner, pieces)
        self.ledger.machine.unmap = unmap
        return held


class LosesKV(Monitor):
    """Mutant: KV caches lie in pages that nobody protects."""

    def hold(self, owner, pieces):
        return owner.endswith("KV") or super().hold(owner, pieces)


class ForgetsToLeave(Monitor):
    """Mutant: the NPU is not given back."""

    def __init__(self, total_bytes, on_demand=False):
        super().__init__(total_bytes, on_demand)
        self.npu.leave = lambda: None


class NeverWakes(Monitor):
    """Mutant: protection stays off when a request comes."""

    def wake(self):
        pass


class NeverRests(Monitor):
    """Mutant: protection stays on when nothing is left to protect."""

    def rest(self):
        pass


class RestsTooSoon(Monitor):
    """Mutant: protection goes off although pages wait for their scrubbing."""

    def rest(self):
        if self.on_demand and self.guard.on and self.npu.mode == "normal":
            self.guard._measured = monitor_module.IMAGE


@pytest.mark.parametrize(
    ("mutant", "system"),
    [
        (ReleasesAtClaim, FLEXSERVE),
        (ReleasesUnscrubbed, FLEXSERVE),
        (NeverScrubs, FLEXSERVE),
        (ForgetsToProtect, FLEXSERVE),
        (LosesKV, FLEXSERVE),
        (ForgetsToLeave, FLEXSERVE),
        (NeverWakes, ON_DEMAND),
        (NeverRests, ON_DEMAND),
        (RestsTooSoon, ON_DEMAND),
    ],
)
def test_the_check_of_pages_catches_a_broken_monitor(mutant, system, costs):
    assert broken_pages(costs, system) == []
    assert broken_pages(costs, system, monitor=mutant)


def test_a_forgotten_leave_is_seen_before_the_next_request(costs):
    assert "nothing is served and the secure world has the NPU" in broken_pages(
        costs, FLEXSERVE, BUSY[:1], monitor=ForgetsToLeave
    )


def test_the_npu_holds_the_served_model_and_nothing_else(costs):
    reached: dict[str, set[str]] = {}

    def look(time, memory, serving):
        for extent in memory.monitor.smmu.extents(NPU_SECURE):
            owners = {owner for _, _, owner in memory.monitor.ledger.pieces(extent)}
            reached.setdefault(serving, set()).update(owners)

    simulate(FLEXSERVE, BUSY, costs, cache_gib=4.0, background=WAVES, observe=look)
    assert reached == {model: {weights_of(model), kv_of(model)} for model in (SMALL, MIDDLE, LARGE)}


@pytest.mark.parametrize(("system", "has"), [(NW_BASE, False), (STRAWMAN, True), (FLEXSERVE, True)])
def test_only_protected_systems_have_a_monitor_and_only_npu_systems_switch_the_npu(system, has, costs):
    modes = set()

    def look(time, memory, serving):
        assert (memory.monitor is not None) == has
        modes.add(memory.monitor.npu.mode if has else None)

    simulate(system, BUSY[:2], costs, cache_gib=0.0, observe=look)
    expected = {NW_BASE: {None}, STRAWMAN: {"normal"}, FLEXSERVE: {"normal", "secure"}}
    assert modes == expected[system]


def test_predictions_do_not_depend_on_the_monitor(costs, monkeypatch):
    with_it = simulate(FLEXSERVE, BUSY, costs, cache_gib=4.0, background=WAVES)
    monkeypatch.setattr(server, "Monitor", lambda total, on_demand: None)
    without = simulate(FLEXSERVE, BUSY, costs, cache_gib=4.0, background=WAVES)
    assert (with_it.ttft_s == without.ttft_s).all() and (with_it.decode_s == without.decode_s).all()
    assert with_it.mean_bytes == without.mean_bytes and with_it.events == without.events


# --- the monitor by itself ---------------------------------------------------------------------------------------

MODELS = ("a", "b")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("hold_weights"),
            st.sampled_from(MODELS),
            st.dictionaries(st.integers(0, 4), st.integers(0, 5 * PAGE_BYTES)),
        ),
        st.tuples(st.just("hold_kv"), st.sampled_from(MODELS), st.integers(0, 9 * PAGE_BYTES)),
        st.tuples(
            st.just("drop_weights"), st.sampled_from(MODELS), st.sets(st.integers(0, 4)), st.booleans()
        ),
        st.tuples(st.just("drop_kv"), st.sampled_from(MODELS), st.booleans()),
        st.tuples(st.just("scrubbed"), st.integers(0, 9 * PAGE_BYTES)),
    ),
    max_size=30,
)


def pages_follow(steps: list[tuple], kind: type[Monitor] = Monitor) -> bool:
    """Whether pages and bytes agree after every step; one that is refused changes neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "Ledger", Watched)
        memory = Memory(40 * PAGE_BYTES, kind(40 * PAGE_BYTES))
    for name, *arguments in steps:
        if name == "drop_weights":
            arguments[1] = arguments[1] & memory.weights.get(arguments[0], {}).keys()
        if name == "hold_kv":
            arguments[1] = max(arguments[1], memory.kv.get(arguments[0], 0))
        if name == "scrubbed":
            arguments[0] = min(arguments[0], memory.claimed)
        before = memory.counters(), memory.monitor.ledger.pieces()
        try:
            getattr(memory, name)(*arguments)
        except UserError:
            if before != (memory.counters(), memory.monitor.ledger.pieces()):
                return False
        if faults(memory, None):
            return False
    return True


@given(STEPS)
def test_pages_follow_the_bytes_and_what_does_not_fit_changes_neither(steps):
    assert pages_follow(steps)


@pytest.mark.parametrize(
    "mutant", [ReleasesAtClaim, ReleasesUnscrubbed, NeverScrubs, ForgetsToProtect, LosesKV]
)
def test_the_check_of_steps_catches_a_broken_monitor(mutant):
    steps = [
        ("hold_weights", "a", {0: 3 * PAGE_BYTES, 1: PAGE_BYTES + 1}),
        ("hold_kv", "a", 10),
        ("drop_weights", "a", {0}, True),
        ("scrubbed", 2 * PAGE_BYTES),
        ("scrubbed", PAGE_BYTES),
    ]
    assert pages_follow(steps)
    assert not pages_follow(steps, mutant)


def test_parts_are_whole_pages_and_a_growing_cache_takes_what_it_lacks():
    monitor = Monitor(10 * PAGE_BYTES)
    assert monitor.hold("m", {0: 1, 1: PAGE_BYTES + 1}) and monitor.ledger.count(owner="m") == 3
    assert monitor.hold("k", {0: 1}) and monitor.hold("k", {0: PAGE_BYTES})
    assert monitor.ledger.count(owner="k") == 1
    assert monitor.hold("k", {0: PAGE_BYTES + 1}) and monitor.ledger.count(owner="k") == 2
    assert not monitor.hold("m", {2: 5 * PAGE_BYTES + 1})
    assert monitor.ledger.count(State.NW) == 5 and pages(0) == 0


def test_claimed_pages_are_scrubbed_in_the_order_they_were_claimed_once_their_bytes_are():
    monitor = Monitor(10 * PAGE_BYTES)
    monitor.hold("m", {0: 2 * PAGE_BYTES, 1: 3 * PAGE_BYTES})
    monitor.drop("m", [1], claimed=True)
    monitor.drop("m", [0], claimed=True)
    monitor.scrub(2 * PAGE_BYTES + 1)
    assert [monitor.ledger.state(page) for page in range(5)] == [State.CLAIMED] * 2 + [State.NW] * 2 + [
        State.CLAIMED
    ]
    monitor.scrub(0)
    assert not monitor.ledger.protected


@given(st.sets(st.integers(0, 30)), st.integers(0, 31))
def test_joined_and_dealt_pages_are_the_same_pages(numbers: set[int], taken: int) -> None:
    extents = _joined(Extent(number, 1) for number in numbers)
    assert [p for e in extents for p in range(e.start, e.start + e.pages)] == sorted(numbers)
    assert all(before.end < after.start for before, after in pairwise(extents))
    queue, taken = deque(extents), min(taken, len(numbers))
    listed = [p for part in (_first(queue, taken), queue) for e in part for p in range(e.start, e.end)]
    assert listed == sorted(numbers)


def test_faults_name_the_owner_whose_pages_are_wrong():
    held: Mapping[str, Mapping[int, int]] = {"a": {0: PAGE_BYTES}}
    monitor = Monitor(10 * PAGE_BYTES)
    assert monitor.faults(held, {}, 0) == [f"{weights_of('a')} has 0 protected pages, not 1"]
    monitor.hold(weights_of("a"), held["a"])
    assert monitor.faults(held, {}, 0) == []
    assert monitor.faults({}, {}, 0) and monitor.faults(held, {}, 1) and monitor.faults(held, {"a": 1}, 0)
