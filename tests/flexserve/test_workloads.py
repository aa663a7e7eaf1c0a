"""Declared workloads as the device model takes them: nothing lost, nothing counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.ondevice.loader import Hour, load
from remeasure.datasets.ondevice.loader import Request as Ask
from remeasure.impls.flexserve.sim.apps import App, AppRun
from remeasure.impls.flexserve.sim.arrivals import Request
from remeasure.impls.flexserve.sim.costs import GIB
from remeasure.impls.flexserve.workloads import (
    PAUSE,
    alternating,
    dispatched,
    own_data_gib,
    pressure,
    runs,
    started,
)

DATA = load(Ask(requests=12), None)
PROMPT = Request(0.0, "Llama3.1-8B", 128, 1)
apps = st.builds(
    App,
    name=st.just("app"),
    working_set=st.floats(0.5, 16),
    file_share=st.floats(0, 1),
    full_miss_slowdown=st.floats(1, 20),
    shape=st.floats(0.5, 2),
)


def requests(work: Iterator[Request | AppRun]) -> list[Request]:
    return [item for item in work if isinstance(item, Request)]


def test_requests_of_a_stream_come_in_its_order_with_a_pause_after_each() -> None:
    for stream in DATA.streams:
        items = list(dispatched(stream, 3.0))
        assert all(item == AppRun(0.0, PAUSE, 3.0) for item in items[1::2])
        asked = requests(iter(items))
        assert len(items) == 2 * len(asked)
        assert [r.model for r in asked] == [stream.group.models[m] for m in stream.model]
        assert [r.prompt_tokens for r in asked] == stream.prompt_tokens().tolist()


def test_each_run_of_an_agent_is_a_session_that_its_last_step_ends() -> None:
    for workflow in DATA.workflows:
        asked = requests(runs(workflow, 3, 1.0, reuse=False))
        sessions = {request.session for request in asked}
        assert len(sessions) == 3
        for session in sessions:
            mine = [request for request in asked if request.session == session]
            assert [r.model for r in mine] == [step.model for step in workflow.steps]
            assert [r.last for r in mine] == [False] * (len(mine) - 1) + [True]


@pytest.mark.parametrize("reuse", [True, False])
def test_only_an_agents_fixed_text_can_be_reused(reuse: bool) -> None:
    for workflow in DATA.workflows:
        for request, step in zip(requests(runs(workflow, 1, 1.0, reuse=reuse)), workflow.steps, strict=True):
            assert request.shared_tokens == (step.fixed if reuse else 0)


Alternating = Callable[[App, Request, int, float, float], Iterator[Request | AppRun]]


def owns_every_byte_once(app: App, alternate: Alternating) -> bool:
    """Background and running part together are the application."""
    running = next(item for item in alternate(app, PROMPT, 1, 5.0, 1.0) if isinstance(item, AppRun)).app
    wanted = own_data_gib(app) + running.working_set * running.file_share
    return abs(wanted - app.working_set) <= 2 / GIB


def counted_twice(
    app: App, request: Request, count: int, run_s: float, pause_s: float
) -> Iterator[Request | AppRun]:
    """The mutant: the whole application comes and goes beside its own data."""
    yield AppRun(0.0, App(app.name, app.working_set, 1.0, app.full_miss_slowdown, app.shape), run_s)


@given(app=apps)
def test_own_data_and_files_are_the_whole_application(app: App) -> None:
    assert owns_every_byte_once(app, alternating)


def test_counting_own_data_twice_is_noticed() -> None:
    assert not owns_every_byte_once(App("app", 10.0, 0.5, 2.0, 1.0), counted_twice)


@given(app=apps, missing=st.floats(0, 16))
def test_the_running_part_is_as_slow_as_the_whole_application(app: App, missing: float) -> None:
    running = next(iter(alternating(app, PROMPT, 1, 5.0, 1.0))).app  # type: ignore[union-attr]
    assert running.relative(missing) == app.relative(missing)


def test_rounds_are_application_pause_prompt() -> None:
    app = App("app", 10.0, 0.5, 2.0, 1.0)
    items = list(alternating(app, PROMPT, 2, 5.0, 1.0))
    assert [type(item).__name__ for item in items] == ["AppRun", "AppRun", "Request"] * 2
    assert [item.duration_s for item in items if isinstance(item, AppRun)] == [5.0, 1.0] * 2


def test_a_pause_wants_no_memory_and_suffers_none() -> None:
    assert PAUSE.working_set * GIB == 1
    assert PAUSE.relative(16.0) == 1.0


def test_agents_start_at_random_in_order_of_time_each_with_all_of_its_steps() -> None:
    asked = list(started(DATA, 2.0, 1))
    assert [r.at_s for r in asked] == sorted(r.at_s for r in asked)
    assert list(started(DATA, 2.0, 1)) == asked != list(started(DATA, 2.0, 2))
    for agent in DATA.workflows:
        mine = [r for r in asked if r.session.startswith(f"{agent.name}#")]
        assert mine and len(mine) % len(agent.steps) == 0
        assert [r.shared_tokens for r in mine[: len(agent.steps)]] == [step.fixed for step in agent.steps]


@given(st.lists(st.floats(0, 16), min_size=1, max_size=6), st.floats(10, 900), st.floats(1, 9000))
def test_pressure_takes_the_declared_levels_by_turns_to_the_end(
    levels: list[float], lasting: float, seconds: float
) -> None:
    held = pressure(Hour(1.0, tuple(levels), lasting, 8.0), seconds)
    assert held.changes_s[-1] < max(seconds, lasting) <= held.changes_s[-1] + lasting * 1.001
    for turn, start in enumerate(held.changes_s):
        assert held(start + lasting / 2) == levels[turn % len(levels)]
