"""asv's and pytest-benchmark's adapters: names in, samples out, nothing measured by a loop of their own."""

from __future__ import annotations

import fcntl
import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from remeasure.contracts import Case
from remeasure.data.locks import timing_lock_path
from remeasure.declared.overrides import at_profile
from remeasure.declared.registry import registry
from remeasure.records.record import TWIN_SUFFIX
from toy.env import use_toy

pytestmark = pytest.mark.alone

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    """The modules as asv imports them."""
    use_toy(monkeypatch, tmp_path)
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("measured", "ratios", "quality", "control")
    yield {name: importlib.import_module(f"tracked.{name}") for name in names}


def toy_cases() -> list[Case]:
    return [at_profile(case, "tiny", {}) for case in registry().system("toysys").cases.values()]


def asv_calls(module: ModuleType, function: Any, cache: dict[str, Any]) -> Any:
    """What asv does with a benchmark: set up, then run, both with what `setup_cache` returned."""
    function.setup(cache)
    return function(cache)


def test_every_number_of_a_case_is_a_benchmark_and_lower_is_better(tracked: dict[str, ModuleType]) -> None:
    measured = tracked["measured"]
    cache = {case.id: measured._measured(case) for case in toy_cases()}
    assert not [problem for problem in cache.values() if isinstance(problem, str)]
    found = {
        kind: measured.declare(tracked[kind].numbers(toy_cases()))
        for kind in ("ratios", "quality", "control")
    }
    assert set(found["control"]) == {"track_toysys_loop_time__cpu_seconds_a_a"}
    assert "track_toysys_loop_time__cpu_seconds_toy" in found["ratios"]
    assert "track_toysys_queue_latency__p95_latency_shortest_service_1_s" in found["ratios"]
    for functions in found.values():
        for name, function in functions.items():
            result = asv_calls(measured, function, cache)
            assert result["number"] == 1
            assert result["samples"] and all(map(math.isfinite, result["samples"])), name
    fast = found["ratios"]["track_toysys_queue_latency__p95_latency_shortest_service_1_s"](cache)["samples"]
    assert max(fast) < 1  # cheaper than the strawman
    good, bad = (
        found["quality"][f"track_toysys_prediction__accuracy_{arm}"](cache)["samples"]
        for arm in ("own_and_group", "global_mean")
    )
    assert good < bad


def test_a_share_stands_for_itself_where_no_strawman_is(tracked: dict[str, ModuleType]) -> None:
    (case,) = (case for case in toy_cases() if case.name == "loop-time")
    share = replace(case.metrics[0], name="share", unit="%", better="higher")
    alone = replace(case, arms=(case.arm("toy"),), metrics=(*case.metrics, share))
    (number,) = tracked["ratios"].numbers([alone])
    assert (number.metric, number.base, number.unit) == ("share", "", "1 / %")
    assert number.costs({"share": {"toy": [[4.0, 4.0]]}}) == [0.25]
    compared = replace(case, metrics=(share,))
    assert all(number.base == "slow" for number in tracked["ratios"].numbers([compared]))


def test_a_quality_that_collapses_is_a_high_cost_and_not_absent(tracked: dict[str, ModuleType]) -> None:
    measured = tracked["measured"]
    worthless = measured.Tracked("c", "NDCG@10", "higher", "a", "", "1 / NDCG@10")
    assert worthless.costs({"NDCG@10": {"a": [[0.0, 0.0], [0.5, 0.5]]}}) == [1e6, 2.0]
    compared = measured.Tracked("c", "hits", "higher", "a", "b", "of b")
    assert compared.costs({"hits": {"a": [[0.0]], "b": [[1.0]]}}) == [1e6]


def test_a_time_of_nothing_fails(tracked: dict[str, ModuleType]) -> None:
    measured = tracked["measured"]
    timed = measured.Tracked("c", "CPU", "lower", "a", "b", "of b", True)
    with pytest.raises(RuntimeError, match="took no time"):
        timed.costs({"CPU": {"a": [[1.0]], "b": [[0.0]]}})
    assert timed.costs({"CPU": {"a": [[1.0]], "b": [[2.0]]}}) == [0.5]


def test_negative_controls_are_not_tracked(tracked: dict[str, ModuleType]) -> None:
    assert not [number for number in tracked["quality"].numbers(toy_cases()) if "peek" in number.what]


def test_the_twin_is_part_of_what_is_measured(tracked: dict[str, ModuleType]) -> None:
    (loop,) = (case for case in toy_cases() if case.name == "loop-time")
    assert TWIN_SUFFIX in tracked["measured"]._measured(loop)["CPU seconds"]


def test_a_case_that_this_commit_lacks_is_not_available_and_no_error(tracked: dict[str, ModuleType]) -> None:
    for kind in ("ratios", "quality", "control"):
        function = tracked[kind].track_a_case_of_tomorrow
        with pytest.raises(NotImplementedError):
            function.setup({})
        with pytest.raises(AttributeError):
            _ = tracked[kind].something_else


def test_a_case_that_fails_fails_its_own_benchmarks(tracked: dict[str, ModuleType]) -> None:
    functions = tracked["measured"].declare(tracked["ratios"].numbers(toy_cases()))
    cache = {case.id: "RuntimeError: planted fault" for case in toy_cases()}
    with pytest.raises(RuntimeError, match="planted fault"):
        asv_calls(tracked["measured"], next(iter(functions.values())), cache)


def test_a_control_that_was_not_measured_is_not_available(tracked: dict[str, ModuleType]) -> None:
    (control,) = tracked["measured"].declare(tracked["control"].numbers(toy_cases())).values()
    with pytest.raises(NotImplementedError):
        control.setup({"toysys/loop-time": {"CPU seconds": {"slow": [[1.0]], "toy": [[0.5]]}}})


def test_names_are_unique_and_versions_explicit(tracked: dict[str, ModuleType]) -> None:
    for kind in ("ratios", "quality", "control"):
        names = [number.name for number in tracked[kind].numbers(toy_cases())]
        assert len(names) == len(set(names))
        assert all(function.version == "1" for function in tracked["measured"].declare(
            tracked[kind].numbers(toy_cases())
        ).values())  # fmt: skip


def test_asv_finds_the_benchmarks_without_importing_models(tmp_path: Path) -> None:
    code = f"""
import sys
from asv_runner.discovery import list_benchmarks
with open({str(tmp_path / "found.json")!r}, "w") as file:
    list_benchmarks({str(BENCHMARKS / "tracked")!r}, file)
print([name for name in ("torch", "lightgbm", "pytest") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stdout.strip() == "[]", done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    expected = any("tracked" in case.tags for case in registry().cases())
    assert bool(found) is expected
    assert {one["type"] for one in found} <= {"track"}
    assert {one["setup_cache_key"] for one in found} <= {found[0]["setup_cache_key"] if found else ""}


def test_pytest_benchmark_shows_the_samples_that_measure_took(tmp_path: Path) -> None:
    """On a session of its own, with a clock whose samples are known."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from replay import ReplayClock\n"
        "CLOCK = ReplayClock()\n"
        "@pytest.mark.benchmark(timer=CLOCK)\n"
        "def test_it(benchmark):\n"
        "    CLOCK.load([0.5, 0.25, 1.0])\n"
        "    benchmark.pedantic(lambda: None, rounds=3)\n"
    )
    shown = tmp_path / "shown.json"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_it.py",
        "--benchmark-json",
        shown,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout
    (benchmark,) = json.loads(shown.read_text())["benchmarks"]
    assert benchmark["stats"]["data"] == [0.5, 0.25, 1.0]


def lock_is_held() -> bool:
    """Somebody holds the timing lock: another descriptor, of whatever process, does not get it."""
    handle = os.open(timing_lock_path(), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def test_asv_measures_under_the_timing_lock(
    tracked: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = tracked["measured"]
    monkeypatch.setattr(measured, "tracked_cases", toy_cases)
    monkeypatch.setattr(measured, "_measured", lambda case: lock_is_held())
    held = measured.setup_cache()
    assert held and all(held.values())
    assert not lock_is_held()


def test_pytest_benchmark_measures_under_the_timing_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_toy(monkeypatch, tmp_path)
    monkeypatch.syspath_prepend(BENCHMARKS / "session")
    replay = importlib.import_module("replay")
    monkeypatch.setattr(replay, "measure", lambda *_: lock_is_held())
    assert replay.Measurements().of("toysys/loop-time") is True
    assert not lock_is_held()


def test_the_session_lists_every_timed_arm_of_tracked_cases() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "benchmarks/session"]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, env=environment())
    listed = [
        line for line in done.stdout.splitlines() if line.startswith("benchmarks/session/test_arms.py::")
    ]
    expected = [case for case in registry().cases() if "tracked" in case.tags and case.timed]
    assert done.returncode in (0, 5), done.stdout
    assert all(any(f"[{case.id}: " in line for line in listed) for case in expected)


def environment() -> dict[str, str]:
    """Own modules first, the toy left out."""
    paths = [str(BENCHMARKS.parent / "src"), str(BENCHMARKS / "session")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("REMEASURE_", "PYTEST_"))}
    return {**kept, "PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": "1"}
