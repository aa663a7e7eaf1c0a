"""Planning, running, limits and failures of blocks, on the toy systems and in real worker processes."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from remeasure.data.locks import locked, timing_lock_path
from remeasure.declared.registry import registry
from remeasure.errors import UserError
from remeasure.records.record import Record
from remeasure.records.store import Store
from remeasure.running.blocks import Block, Planned, plan
from remeasure.running.executors.local import LocalExecutor
from remeasure.running.messages import WORKER, Budget, Finished, Job, Progress, Silent, Usage
from remeasure.running.runner import Outcome, failure_of, run, run_block


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests, so that contracts of the toys are checked once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", "toy.systems.toysys,toy.systems.faulty")
    monkeypatch.setenv("REMEASURE_DATASETS", "toy.datasets.toydata")
    monkeypatch.setenv("REMEASURE_CACHE", str(shared_cache))
    monkeypatch.delenv("REMEASURE_DATA", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def planned(store: Store, *systems: str, profile: str = "smoke", **filters: Any) -> list[Planned]:
    return plan(registry(), store, profile=profile, systems=systems or ("toysys",), **filters)


def faulty(store: Store, fault: str, **limits: float) -> Planned:
    (item,) = planned(store, "faulty", seeds=[1], overrides={"fault": fault})
    return replace(item, **limits)


class Log(Silent):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.turns: list[tuple[int, int]] = []

    def started(self, block: Block) -> None:
        self.events.append(("started", block.id))

    def turned(self, block: Block, done: int, total: int) -> None:
        self.turns.append((done, total))

    def finished(self, block: Block, ok: bool, seconds: float) -> None:
        self.events.append(("finished", block.id))

    def waiting(self, sentence: str) -> None:
        self.events.append(("waiting", sentence))


class InProcess:
    """An engine that carries blocks pickled, as one on other machines would; and may spend the budget."""

    def __init__(self, change: Callable[[Record], Record] = lambda record: record) -> None:
        self.change = change

    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        for job in jobs:
            if budget.ended:
                return
            function, block = pickle.loads(pickle.dumps((run_block, job.block)))
            record = self.change(function(block))
            usage = Usage(record.provenance.started, 1.0, 1.0, 1.0, 0.0, 0.0)
            yield Finished(job, record, None, usage)


def ids(items: Sequence[Planned]) -> list[str]:
    return [item.block.id for item in items]


# --- planning


def test_a_plan_holds_every_case_of_the_profile_times_its_seeds(store: Store) -> None:
    assert ids(planned(store)) == [
        f"toysys/{case} seed {seed}"
        for seed in (1, 2, 3)
        for case in ("loop-time", "prediction", "queue-latency")
    ]
    assert [item.block.rounds for item in planned(store)] == [10, 1, 1] * 3
    assert len({item.block.key for item in planned(store)}) == 9


@pytest.mark.parametrize(
    ("filters", "cases"),
    [
        ({"cases": ["prediction"]}, {"prediction"}),
        ({"cases": ["toysys/prediction", "loop-time"]}, {"prediction", "loop-time"}),
        ({"claims": ["ten-times-faster"]}, {"loop-time"}),
        ({"claims": ["toysys/order-of-predictors", "shorter-queue"]}, {"prediction", "queue-latency"}),
        ({"claims": ["loop-ends"]}, set()),
        ({"tags": ["quality"]}, {"prediction"}),
        ({"tags": ["quality", "queue"]}, {"prediction", "queue-latency"}),
        ({"tags": ["quality"], "claims": ["shorter-queue"]}, set()),
        ({"profile": "standard", "tags": ["time"]}, {"loop-time"}),
    ],
)
def test_filters_select_cases_and_a_claim_the_case_it_rests_on(
    store: Store, filters: dict[str, Any], cases: set[str]
) -> None:
    assert {item.block.case for item in planned(store, **filters)} == cases


def test_a_case_that_is_not_in_the_profile_has_no_block(store: Store) -> None:
    assert ids(planned(store, "faulty", profile="standard")) == []


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"systems": ["toysis"]}, "did you mean toysys"),
        ({"cases": ["predicton"]}, "did you mean toysys/prediction"),
        ({"claims": ["shorter-quue"]}, "did you mean toysys/shorter-queue"),
        ({"tags": ["qualty"]}, "did you mean quality"),
        ({"profile": "smokee"}, "did you mean smoke"),
        ({"overrides": {"nonsense": 1}}, "nonsense"),
        ({"data_dir": "nowhere-to-be-found"}, "does not exist"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(store: Store, filters: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan(registry(), store, **{"profile": "smoke", "systems": ["toysys"], **filters})


def test_given_seeds_replace_the_profiles_and_stand_once(store: Store) -> None:
    assert ids(planned(store, cases=["prediction"], seeds=[9, 5, 9])) == [
        "toysys/prediction seed 9",
        "toysys/prediction seed 5",
    ]


def test_a_key_changes_with_what_decides_the_numbers(store: Store) -> None:
    def key(**filters: Any) -> str:
        return planned(store, cases=["prediction"], seeds=[1], **filters)[0].block.key

    assert key() == key()
    assert (
        len({key(), key(profile="standard"), key(overrides={"users": "61"}), key(overrides={"weight": 0.5})})
        == 4
    )


def test_blocks_that_the_harness_times_run_alone(store: Store) -> None:
    assert {item.block.case for item in planned(store) if item.timed} == {"loop-time"}


def test_the_command_of_a_block_repeats_it_and_never_names_a_path(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scores.tsv").write_bytes(
        (Path(__file__).parents[1] / "toy/mirror/toydata/scores.tsv").read_bytes()
    )
    (item,) = planned(
        store, cases=["prediction"], seeds=[2], overrides={"users": "50", "own": True}, data_dir=str(tmp_path)
    )
    assert item.block.command == (
        "remeasure run --system toysys --case prediction --seed 2 --profile smoke "
        "--set users=50 --set own=true --set data=DIR"
    )


def test_blocks_and_run_block_are_plain_enough_for_any_engine(store: Store) -> None:
    for item in planned(store):
        assert pickle.loads(pickle.dumps(item.block)) == item.block
        assert msgspec.json.decode(msgspec.json.encode(item.block), type=Block) == item.block
    assert pickle.loads(pickle.dumps(run_block)) is run_block


# --- one block


def test_a_block_gives_a_complete_record(store: Store, tmp_path: Path) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[3], overrides={"users": "40"})
    told: list[tuple[int, int]] = []
    record = run_block(item.block, on_round=lambda done, total: told.append((done, total)))
    assert (record.key, record.status, record.contract) == (item.block.key, "ok", "passed")
    assert record.evidence == "scaled"
    assert record.overrides == {"users": "40"}
    assert record.data and (record.data.kind, record.data.origin) == ("simulated", "simulator")
    assert {len(values) for values in record.samples["accuracy"].values()} == {40}
    assert set(record.samples["accuracy"]) == set(record.arms)
    assert record.arms["group mean"].config["group"] is True
    assert record.arms["group mean"].tuning and record.arms["group mean"].tuning["trials"] == 2
    assert record.arms["peek"].invalid
    assert record.metrics["accuracy"].per == "user"
    assert record.provenance.command == item.block.command
    assert record.provenance.fingerprint and record.provenance.environment
    assert record.provenance.peak_rss_mb > 0
    assert told[-1] == (5, 5)
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_the_users_own_data_are_measured_and_their_folder_is_not_written_down(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "scores.tsv").write_bytes(
        (Path(__file__).parents[1] / "toy/mirror/toydata/scores.tsv").read_bytes()
    )
    (item,) = planned(store, cases=["prediction"], seeds=[1], data_dir=str(tmp_path))
    record = run_block(item.block)
    assert record.data and (record.data.kind, record.data.origin) == ("real", "directory")
    assert str(tmp_path) not in msgspec.json.encode(record).decode()


def test_the_same_block_gives_the_same_quality_twice(store: Store) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[1])
    assert run_block(item.block).samples == run_block(item.block).samples


def test_a_block_whose_code_or_data_changed_since_it_was_planned_is_refused(store: Store) -> None:
    block = replace(planned(store, cases=["prediction"])[0].block, key="0" * 32)
    with pytest.raises(UserError, match="not what they were when the run was planned"):
        run_block(block)


# --- a run


def test_a_run_measures_what_is_missing_and_the_next_one_nothing(store: Store) -> None:
    log, seen = Log(), list[str]()
    cases = ["loop-time", "prediction"]
    first = planned(store, cases=cases, seeds=[1, 2])
    outcome = run(
        first, store, LocalExecutor(2), progress=log, on_record=lambda record: seen.append(record.key)
    )
    assert {block.key for block in outcome.done} == {item.block.key for item in first} == set(seen)
    assert (outcome.cached, outcome.failed, outcome.not_started) == ((), (), ())
    records = store.read_all()
    assert [record.key for record in records] == sorted(seen)
    assert {record.provenance.environment for record in records} == set(store.environments)
    (environment,) = store.environments.values()
    assert environment.threads["OMP_NUM_THREADS"] == "1"
    assert all(record.provenance.wall_s > 0 and record.provenance.cpu_s > 0 for record in records)
    assert all(done <= total for done, total in log.turns)
    # What is timed ran with nothing beside it, after everything else.
    events = [event for event in log.events if event[0] != "waiting"]
    timed = [index for index, (_, name) in enumerate(events) if "loop-time" in name]
    assert timed == [4, 5, 6, 7]
    assert [what for what, _ in events[4:]] == ["started", "finished"] * 2

    again = planned(store, cases=cases, seeds=[1, 2])
    assert all(item.cached and item.last_seconds for item in again)
    outcome = run(again, store, LocalExecutor(2))
    assert (len(outcome.done), len(outcome.cached)) == (0, 4)
    assert store.read_all() == records
    third = planned(store, cases=cases, seeds=[2, 3])
    assert [item.cached for item in third] == [True] * 2 + [False] * 2


def test_every_kind_of_failure_is_a_record_and_stops_nothing_else(store: Store) -> None:
    items = [
        faulty(store, "raise"),
        faulty(store, "bad-input"),
        faulty(store, "exit"),
        faulty(store, "memory"),
        faulty(store, "hang", timeout_s=2.0),
        faulty(store, "none"),
    ]
    outcome = run(items, store, LocalExecutor(2))
    assert (len(outcome.done), len(outcome.failed)) == (1, 5)
    records = {record.overrides["fault"]: record for record in store.read_all()}
    failures = {fault: record.failure for fault, record in records.items() if record.failure}
    assert {fault: failure.kind for fault, failure in failures.items()} == {
        "raise": "error",
        "bad-input": "bad-input",
        "exit": "error",
        "memory": "memory",
        "hang": "timeout",
    }
    assert failures["raise"].message == "RuntimeError: planted fault"
    assert "planted fault" in failures["raise"].traceback
    assert "planted fault" in failures["raise"].log_tail
    assert failures["bad-input"].message == "toydata is not what the case needs; planted fault."
    assert "code 9" in failures["exit"].message
    assert "limit of 700 MB" in failures["memory"].message
    assert records["memory"].provenance.peak_rss_mb > 700
    assert "limit of 2 s" in failures["hang"].message
    for record in records.values():
        assert record.arms and record.metrics
        # One that was ended before it could say where it ran has none.
        assert record.provenance.environment in {"", *store.environments}
        text = msgspec.json.encode(record).decode()
        assert str(Path.cwd()) not in text
        assert str(Path.home()) not in text
    assert records["none"].status == "ok"
    assert not workers_of(os.getpid())


def test_a_failure_is_tried_again_and_replaced(store: Store) -> None:
    item = faulty(store, "none", timeout_s=0.0)
    assert run([item], store, LocalExecutor(1)).failed == (item.block,)
    assert store.read(item.block.key).failure
    (again,) = planned(store, "faulty", seeds=[1], overrides={"fault": "none"})
    assert not again.cached
    assert run([again], store, LocalExecutor(1)).done == (item.block,)
    assert [record.status for record in store.read_all()] == ["ok"]


def test_no_block_is_begun_once_the_budget_has_ended_and_the_outcome_says_which(store: Store) -> None:
    items = planned(store)
    outcome = run(items, store, LocalExecutor(2), budget_s=0.0)
    assert outcome == Outcome(
        done=(), cached=(), failed=(), not_started=tuple(item.block for item in items), cut_short=()
    )
    assert store.read_all() == []


def test_a_block_that_the_budget_cut_short_is_kept_named_and_measured_again(store: Store) -> None:
    items = planned(store, cases=["prediction"], seeds=[1])

    def cut(record: Record) -> Record:
        return msgspec.structs.replace(record, budget_ended=True)

    outcome = run(items, store, InProcess(cut))
    assert outcome.cut_short == outcome.done == (items[0].block,)
    assert store.read_all()[0].budget_ended
    again = planned(store, cases=["prediction"], seeds=[1])
    assert not again[0].cached
    assert run(again, store, InProcess()).cut_short == ()
    assert planned(store, cases=["prediction"], seeds=[1])[0].cached


def test_another_engine_can_carry_the_blocks(store: Store) -> None:
    outcome = run(planned(store, tags=["quality"]), store, InProcess())
    assert len(outcome.done) == len(store.read_all()) == 3


def test_a_damaged_record_stops_planning_with_its_name(store: Store) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[1])
    run([item], store, InProcess())
    path = store.path(store.read(item.block.key))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"{path.name} is damaged"):
        planned(store, cases=["prediction"], seeds=[1])


def workers_of(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if WORKER in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("the disk is full.")])
def test_whatever_ends_a_run_leaves_no_worker_and_keeps_what_is_finished(
    store: Store, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = planned(store, "faulty", seeds=[1])
    hanging = [replace(faulty(store, "hang"), timeout_s=60.0), *planned(store, "faulty", seeds=[2])]
    started: list[psutil.Process] = []

    def end_it(record: Record) -> None:
        started.extend(workers_of(os.getpid()))
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        run([*quick, *hanging], store, LocalExecutor(2), on_record=end_it)
    assert started
    assert not any(process.is_running() for process in started)
    assert [record.key for record in store.read_all()] == [quick[0].block.key]


def test_failures_of_exceptions_are_sorted_by_kind() -> None:
    def failure(error: BaseException) -> str:
        return failure_of(error).kind

    assert failure(UserError("no.")) == "bad-input"
    assert failure(MemoryError()) == "memory"
    assert failure(ValueError("no")) == "error"
    assert failure(SystemExit(3)) == "error"


# --- the timing lock


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Somebody else on this machine holds the timing lock until the event is set."""
    release, holding = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(timing_lock_path()):
            holding.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(60)
    yield release
    release.set()
    thread.join()


def test_a_timed_block_waits_for_the_lock_of_another_run_and_says_so(
    store: Store, held: threading.Event
) -> None:
    items = planned(store, cases=["loop-time"], seeds=[1], overrides={"steps": "100"})

    class Waiter(Log):
        def waiting(self, sentence: str) -> None:
            assert not self.events
            super().waiting(sentence)
            held.set()

    log = Waiter()
    run(items, store, LocalExecutor(1), progress=log)
    assert [what for what, _ in log.events] == ["waiting", "started", "finished"]
    assert "timing" in log.events[0][1]


def test_a_free_lock_is_taken_without_a_word_and_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "deep" / "lock", waiting=pytest.fail):
            pass


def test_a_lock_that_cannot_be_made_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot be made .* REMEASURE_CACHE"),
        locked(tmp_path / "file" / "lock"),
    ):
        pass
