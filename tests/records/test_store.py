"""A record is whole or absent, whatever happens to the disk, the process or the file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from obeying_modes import obeying_modes

from remeasure.errors import UserError
from remeasure.records.record import (
    ArmRecord,
    DataRecord,
    Environment,
    Failure,
    MetricRecord,
    Provenance,
    Record,
    content_digest,
)
from remeasure.records.store import Store, write_whole

PROVENANCE = Provenance(
    commit="c0ffee",
    dirty="",
    fingerprint="f",
    environment="e",
    command="remeasure run",
    started="2026-01-02T03:04:05+00:00",
    wall_s=2.5,
    cpu_s=2.0,
    peak_rss_mb=50.0,
    load_before=0.1,
    load_after=0.2,
)
RECORD = Record(
    key="abc123",
    system="sys",
    case="case",
    profile="smoke",
    seed=1,
    status="ok",
    evidence="measured",
    data=None,
    arms={"plain": ArmRecord(role="strawman", config={"trees": 3})},
    metrics={"score": MetricRecord(unit="", better="higher", kind="quality", per="user")},
    samples={"score": {"plain": [0.1, 0.2, 1 / 3]}},
    order=[["plain"]],
    contract="passed",
    provenance=PROVENANCE,
)
RECORD = replace(RECORD, digest=content_digest(RECORD))
FAILED = replace(RECORD, status="failure", samples={}, failure=Failure(kind="timeout", message="Too long."))
FAILED = replace(FAILED, digest=content_digest(FAILED))
ENVIRONMENT = Environment(
    python="3.11.0",
    packages={"numpy": "2.0"},
    blas=[],
    cpu_model="cpu",
    cores=2,
    affinity=2,
    cgroup_cpu="max",
    ram_mb=1000,
    kernel="Linux",
    threads={},
)
WHOLE = msgspec.json.encode(RECORD)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def files(store: Store) -> list[str]:
    return sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file())


def refused(action: Any) -> str:
    """The sentence of the refusal: one, with an end, without a traceback."""
    with pytest.raises(UserError) as error:
        action()
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


def test_what_is_written_is_read_back_equal(store: Store) -> None:
    assert not store.has("abc123")
    path = store.write(RECORD)
    assert files(store) == ["runs/sys/case/abc123.json"]
    assert path == store.path(RECORD)
    assert store.has("abc123")
    assert store.read("abc123") == RECORD
    with pytest.raises(KeyError):
        store.read("other")


def test_results_lie_where_a_run_is_started_if_nobody_says_otherwise() -> None:
    assert Store().root == Path("results")


def test_a_store_is_made_before_anything_is_measured(store: Store) -> None:
    store.prepare()
    assert store.runs.is_dir()
    assert store.log_path("abc123") == store.root / "runs" / "logs" / "abc123.log"
    assert (store.root / "runs" / "logs").is_dir()


def test_what_a_record_does_not_say_is_what_holds_for_most() -> None:
    metric = msgspec.convert({"unit": "s", "better": "lower", "kind": "time"}, MetricRecord)
    assert (metric.clock, metric.per, metric.exact) == ("cpu", "seed", True)
    told = {"name": "things", "kind": "real", "origin": "cache", "sha256": "d", "label": "all"}
    assert msgspec.convert(told, DataRecord).verified
    assert (RECORD.budget_ended, PROVENANCE.steal_s) == (False, 0.0)


def test_a_record_replaces_the_failure_of_the_same_key(store: Store) -> None:
    store.write(FAILED)
    assert store.read("abc123").failure == FAILED.failure
    store.write(RECORD)
    assert store.read_all() == [RECORD]


def test_all_records_come_sorted_by_key_failures_included_and_by_profile(store: Store) -> None:
    for key, profile, kind in (("b", "smoke", FAILED), ("c", "full", RECORD), ("a", "smoke", RECORD)):
        store.write(replace(kind, key=key, profile=profile, case=f"case-{key}"))
    assert [record.key for record in store.read_all()] == ["a", "b", "c"]
    assert [record.key for record in store.read_all("smoke")] == ["a", "b"]
    assert store.read_all("none") == []


def test_an_empty_store_reads_as_nothing(store: Store) -> None:
    assert store.read_all() == []
    assert store.environments == {}
    assert store.last_seconds("sys", "case", "smoke") is None


def test_environments_are_kept_once_by_their_hash(store: Store) -> None:
    store.write_environment("e1", ENVIRONMENT)
    before = (store.root / "environments" / "e1.json").stat().st_mtime_ns
    store.write_environment("e1", ENVIRONMENT)
    store.write_environment("e2", replace(ENVIRONMENT, cores=4))
    assert (store.root / "environments" / "e1.json").stat().st_mtime_ns == before
    assert store.environments == {"e1": ENVIRONMENT, "e2": replace(ENVIRONMENT, cores=4)}
    lines = (store.root / "environments" / "e2.json").read_text().splitlines()
    assert len(lines) > len(ENVIRONMENT.__struct_fields__), "people read it: a line a field"


def test_the_time_of_the_last_block_is_of_the_same_profile_if_there_is_one(store: Store) -> None:
    def wrote(key: str, profile: str, started: str, wall_s: float, record: Record = RECORD) -> None:
        provenance = replace(PROVENANCE, started=started, wall_s=wall_s)
        store.write(replace(record, key=key, profile=profile, provenance=provenance))

    wrote("a", "smoke", "2026-01-01", 1.0)
    assert store.last_seconds("sys", "case", "standard") == 1.0
    wrote("b", "standard", "2026-01-02", 20.0)
    wrote("c", "standard", "2026-01-03", 30.0)
    wrote("d", "smoke", "2026-01-04", 2.0)
    wrote("e", "standard", "2026-01-05", 99.0, FAILED)
    assert store.last_seconds("sys", "case", "standard") == 30.0
    assert store.last_seconds("sys", "case", "smoke") == 2.0
    assert store.last_seconds("sys", "other", "smoke") is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_record_and_nothing_half_written(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    store.write(FAILED)

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as planted:
        planted.setattr(*(("builtins.open", refuse) if step == "open" else (f"os.{step}", refuse)))
        sentence = refused(lambda: store.write(RECORD))
    assert os.strerror(number) in sentence
    assert "abc123.json" in sentence
    assert store.read_all() == [FAILED]
    assert files(store) == ["runs/sys/case/abc123.json"]


def test_a_results_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file stands where the folder should be")
    store = Store(tmp_path / "results")
    assert "cannot be written" in refused(lambda: store.write(RECORD))
    assert "cannot be written" in refused(lambda: store.log_path("abc123"))


def test_a_read_only_folder_is_refused(store: Store) -> None:
    store.write(FAILED)
    folder = store.path(RECORD).parent
    folder.chmod(0o500)
    try:
        with obeying_modes():
            assert "make the folder writable" in refused(lambda: store.write(RECORD))
    finally:
        folder.chmod(0o700)


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_a_record_cut_at_any_byte_is_called_damaged(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    store = Store(tmp_path_factory.mktemp("cut"))
    store.path(RECORD).parent.mkdir(parents=True)
    store.path(RECORD).write_bytes(WHOLE[:cut])
    for action in (lambda: store.read("abc123"), store.read_all):
        sentence = refused(action)
        assert "abc123.json is damaged" in sentence
        assert "delete the file or run `remeasure clean`" in sentence


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"schema":2', b'"schema":1', "written with record schema 1, and this remeasure reads schema 2"),
        (b'"schema":2,', b'"schema":3,"news":true,', "written with record schema 3"),
        (b'"schema":2,', b"", "damaged"),
        (b"[0.1,0.2", b"[0.01,0.02", "its digest does not agree with its content"),
        (b'"contract":"passed"', b'"contract":"a pass"', "its digest does not agree with its content"),
        (b'"seed":1', b'"seed":"one"', "damaged"),
        (b'"seed":1', b'"seed":1,"unknown":1', "damaged"),
        (b"0.2", b"null", "damaged"),
        (b'"ok"', b'"fine"', "damaged"),
        (b"abc123", b"abc124", "it holds the record abc124"),
        (b"smoke", b"sm\xffke", "damaged"),
    ],
)
def test_a_foreign_or_damaged_record_is_refused_naming_file_and_remedy(
    store: Store, old: bytes, new: bytes, said: str
) -> None:
    assert old in WHOLE
    store.write(RECORD)
    store.path(RECORD).write_bytes(WHOLE.replace(old, new, 1))
    sentence = refused(store.read_all)
    assert said in sentence
    assert "abc123.json" in sentence
    assert "`remeasure clean`" in sentence


def test_a_record_without_an_end_to_its_depth_is_called_damaged(store: Store) -> None:
    store.write(RECORD)
    store.path(RECORD).write_bytes(b'{"schema":2,"extras":' + b"[" * 100_000)
    assert "abc123.json is damaged" in refused(store.read_all)


def test_a_record_that_cannot_be_read_is_refused(store: Store) -> None:
    store.path(RECORD).mkdir(parents=True)
    assert "abc123.json cannot be read (Is a directory); make it readable." in refused(store.read_all)
    assert store.usable("abc123") is None


def test_all_files_that_cannot_be_used_are_named_at_once_and_only_those_of_the_systems_asked_for(
    store: Store,
) -> None:
    for system, key in (("one", "a"), ("one", "b"), ("two", "c"), ("two", "d")):
        path = store.write(replace(RECORD, system=system, key=key))
        if key in "bcd":
            path.write_bytes(path.read_bytes().replace(b"0.2", b"0.3"))
    sentence = refused(store.read_all)
    assert all(f"{key}.json is damaged" in sentence for key in "bcd")
    assert [record.key for record in store.read_all(skip_bad=True)] == ["a"]
    assert "b.json" in refused(lambda: store.read_all(systems={"one"}))
    assert len(store.bad({"two"})) == 2 and len(store.bad({"one"})) == 1
    assert store.read_all(systems=set()) == []
    assert len(files(store)) == 4, "what is bad is named and never moved"


def test_a_record_that_cannot_be_used_counts_as_none(store: Store) -> None:
    path = store.write(RECORD)
    assert store.usable("abc123") == RECORD
    path.write_bytes(b"{}")
    assert store.usable("abc123") is None
    assert store.usable("other") is None
    assert store.last_seconds("sys", "case", "smoke") is None


def test_a_damaged_environment_is_refused(store: Store) -> None:
    store.write_environment("e1", ENVIRONMENT)
    (store.root / "environments" / "e1.json").write_text("{}")
    assert "e1.json is damaged" in refused(lambda: store.environments)


def test_a_record_that_breaks_the_schema_is_not_written(store: Store) -> None:
    broken = replace(RECORD, samples={"score": {"plain": [float("nan")]}})
    assert "breaks the schema" in refused(lambda: store.write(broken))
    assert files(store) == []


def test_what_a_killed_writer_left_is_never_read_and_goes_with_the_next_write(store: Store) -> None:
    store.write(RECORD)
    folder = store.path(RECORD).parent
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (folder / f".abc123.json.{ended.pid}.tmp").write_bytes(WHOLE[:10])
    (folder / f".other.json.{os.getppid()}.tmp").write_bytes(WHOLE[:10])
    assert store.read_all() == [RECORD]
    store.write(RECORD)
    assert files(store) == [f"runs/sys/case/.other.json.{os.getppid()}.tmp", "runs/sys/case/abc123.json"]


def test_what_is_put_on_the_disk_for_good_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(
        "os.fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").read_bytes())
    )
    write_whole(tmp_path / "file", b"new")
    assert synced == [b"new"]


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    replaced = os.replace

    def check(source: Any, target: Any) -> None:
        assert path.read_bytes() == b"old"
        assert Path(source).read_bytes() == b"new"
        replaced(source, target)

    monkeypatch.setattr("os.replace", check)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
