"""Applications beside inference: the working-set curve, its one anchor, its declared assumptions."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim import assumptions as assumed
from remeasure.impls.flexserve.sim import calibration as calibrated
from remeasure.impls.flexserve.sim.apps import ANCHORED, NAMES, App, AppRun, declared
from remeasure.impls.flexserve.sim.arrivals import Request
from remeasure.impls.flexserve.sim.assumptions import Assumptions
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.facts import MEMORY_GIB
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE, STRAWMAN_OPT

DEVICE = MEMORY_GIB.value
ANCHOR = "text.sysbench_tps"


@pytest.fixture(scope="module")
def calibration():
    return calibrated.read()


@pytest.fixture(scope="module")
def assumptions():
    return assumed.read()


@pytest.fixture(scope="module")
def apps(assumptions, calibration):
    return declared(NAMES, assumptions, calibration, DEVICE)


def falls_as_memory_goes(app: App) -> bool:
    """1 with everything in memory, never rising as more is missing, flat beyond the working set."""
    missing = np.linspace(0, 2 * app.working_set, 200)
    relative = np.array([app.relative(m) for m in missing])
    beyond = relative[missing >= app.working_set]
    return relative[0] == 1 and bool((np.diff(relative) <= 0).all()) and np.ptp(beyond) == 0


class Backwards(App):
    """Mutant: takes what is there for what is missing."""

    def relative(self, missing):
        return super().relative(self.working_set - missing)


@given(
    st.builds(App, st.just("x"), st.floats(0.5, 64), st.floats(0, 1), st.floats(1, 50), st.floats(0.2, 3)),
)
def test_the_curve_falls_from_1_as_memory_goes_missing(app):
    assert falls_as_memory_goes(app)


def test_the_check_of_the_curve_catches_one_that_runs_backwards(apps):
    assert not falls_as_memory_goes(Backwards(**vars(apps["memtier"])))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_sysbench_passes_through_its_anchor_whatever_is_assumed(seed, assumptions, calibration):
    (_, withheld), (alone, squeezed) = calibration.points(ANCHOR)
    drawn = assumptions.drawn(np.random.default_rng(seed))
    app = declared([ANCHORED], drawn, calibration, DEVICE)[ANCHORED]
    missing = app.working_set - (DEVICE - withheld)
    assert app.relative(missing) == pytest.approx(squeezed / alone, rel=1e-12)


def test_only_sysbench_depends_on_the_anchor(apps, assumptions, calibration):
    slower = calibration.with_number(ANCHOR, (1000.0, 100.0))
    others = declared(NAMES, assumptions, slower, DEVICE)
    assert {name for name in NAMES if others[name] != apps[name]} == {ANCHORED}


def test_every_assumption_about_an_application_is_used_and_all_have_a_reason(assumptions, calibration):
    asked = []

    class Listening(Assumptions):
        def value(self, name):
            asked.append(name)
            return super().value(name)

    declared(NAMES, Listening(assumptions.entries), calibration, DEVICE)
    assert sorted(asked) == sorted(name for name in assumptions.entries if name.split(".")[0] in NAMES)
    assert all(entry.why and entry.unit for entry in assumptions.entries.values())


def test_draws_stay_in_their_range_and_repeat_with_the_seed(assumptions):
    draws = [assumptions.drawn(np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert all(entry.low <= entry.value <= entry.high for entry in draws[2].entries.values())


@pytest.mark.parametrize(
    "text", ["[a]\nvalue = 1.0", '[a]\nvalue=3.0\nlow=0.0\nhigh=1.0\nunit=""\nwhy=""', "not toml at all ["]
)
def test_a_malformed_file_of_assumptions_is_refused_in_a_sentence(tmp_path, text):
    path = tmp_path / "assumptions.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"assumptions\.toml cannot be read"):
        assumed.read(path)


def test_a_missing_assumption_is_named(assumptions, calibration):
    entries = {name: entry for name, entry in assumptions.entries.items() if name != "memtier.shape"}
    with pytest.raises(UserError, match=r"memtier\.shape"):
        declared(NAMES, Assumptions(entries), calibration, DEVICE)


def test_a_working_set_that_the_anchor_contradicts_is_refused(assumptions, calibration):
    name = "sysbench.working_set_gib"
    small = msgspec.structs.replace(assumptions.entries[name], value=4.0, low=4.0)
    with pytest.raises(UserError, match=name):
        declared(NAMES, Assumptions({**assumptions.entries, name: small}), calibration, DEVICE)


def alternating(app, request, run_s, rounds, pause_s=0.0):
    """The application, a pause and a request, again and again, each as soon as the one before has ended."""
    for _ in range(rounds):
        yield AppRun(0.0, app, run_s)
        yield AppRun(0.0, None, pause_s)
        yield request


@pytest.fixture(scope="module")
def beside(apps, calibration):
    """(application's relative throughput, TTFT) after the first round, of sysbench beside an 8B model."""
    costs = Costs(calibration)

    def run(system):
        items = alternating(apps["sysbench"], Request(0.0, "Llama3.1-8B", 128, 8), 120.0, 4)
        seen = simulate(system, items, costs, cache_gib=8.0, background=lambda t: 0.0)
        return seen.app_relative[1:].mean(), seen.ttft_s[1:].mean()

    return run


def test_releasing_serves_the_application_and_keeping_serves_the_model(beside):
    released, kept = beside(STRAWMAN_OPT), beside(replace(STRAWMAN_OPT, cache="always"))
    timeout = beside(replace(STRAWMAN_OPT, cache="timeout"))
    assert released[0] == 1 > timeout[0] > kept[0]
    assert kept[1] < released[1]


def test_a_cooperative_cache_costs_the_application_little_more_than_stage_2_tables(beside, calibration):
    tax = calibration.value("text.s2pt_tax") / 100
    cooperative, timeout = beside(FLEXSERVE), beside(replace(FLEXSERVE, cache="timeout"))
    assert timeout[0] < cooperative[0] <= 1 - tax
    assert cooperative[0] > 1 - tax - 0.01


def test_a_pause_is_no_application(apps, calibration):
    items = alternating(apps["memtier"], Request(0.0, "Qwen3-0.6B", 64, 2), 10.0, 2, pause_s=50.0)
    seen = simulate(FLEXSERVE, items, Costs(calibration), cache_gib=4.0, background=lambda t: 0.0)
    assert seen.apps == ("memtier", "memtier")
    assert seen.duration_s > 2 * (10 + 50)
