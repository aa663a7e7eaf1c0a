"""Every sample comes out in long form, the same in every format, and `remeasure.load` reads it back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from records_factory import CPU, SEEDS, failure, judged, timed

import remeasure
from remeasure.errors import UserError
from remeasure.records.export import COLUMNS, export, rows
from remeasure.records.record import TWIN_SUFFIX
from remeasure.records.store import Store

RECORDS = [*(timed(seed, rounds=4) for seed in SEEDS), judged(1, users=5), failure(9)]
ENDINGS = (".jsonl", ".csv", ".parquet")


@pytest.fixture
def results(tmp_path):
    store = Store(tmp_path / "results")
    for record in RECORDS:
        store.write(record)
    return tmp_path / "results"


def test_a_row_is_a_sample_with_its_provenance():
    found = list(rows(RECORDS[:1]))
    assert len(found) == 4 * 4
    assert found[1] == {
        "system": "made",
        "case": "speed",
        "profile": "smoke",
        "seed": 1,
        "status": "ok",
        "metric": CPU.name,
        "arm": "slow",
        "role": "strawman",
        "unit": "s",
        "index": 1,
        "value": RECORDS[0].samples[CPU.name]["slow"][1],
        "evidence": "measured",
        "data": "real",
        "commit": "c" * 40,
        "environment": "e" * 64,
        "key": "speed-1",
    }
    assert {row["role"] for row in found if row["arm"] == "slow" + TWIN_SUFFIX} == {"A/A"}


def test_failed_block_is_a_row_without_a_value():
    (row,) = rows([failure(9)])
    assert (row["status"], row["seed"], row["value"]) == ("failure", 9, None)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_holds_the_same_samples_bit_for_bit(ending, tmp_path):
    path = tmp_path / f"samples{ending}"
    count = export(RECORDS, path)
    frame = remeasure.load(path)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == count == len(list(rows(RECORDS)))
    wanted = [row["value"] for row in rows(RECORDS)]
    assert [None if pd.isna(value) else value for value in frame["value"]] == wanted
    assert list(frame["key"]) == [row["key"] for row in rows(RECORDS)]


def test_exports_of_the_same_records_are_the_same_bytes(tmp_path):
    for ending in ENDINGS:
        first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
        export(RECORDS, first)
        export(iter(RECORDS), second)
        assert first.read_bytes() == second.read_bytes()


def test_json_lines_are_json(tmp_path):
    export(RECORDS, tmp_path / "samples.jsonl")
    lines = (tmp_path / "samples.jsonl").read_text().splitlines()
    assert list(json.loads(lines[0])) == list(COLUMNS)


def test_nothing_to_export_gives_an_empty_table(tmp_path):
    for ending in (".csv", ".parquet"):
        assert export([], tmp_path / f"none{ending}") == 0
        assert remeasure.load(tmp_path / f"none{ending}").empty


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"end it in \.jsonl, \.csv, \.parquet"):
        export(RECORDS, tmp_path / "samples.xlsx")


def test_export_that_breaks_off_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "samples.csv"
    export(RECORDS, path)
    before = path.read_bytes()

    def broken():
        yield RECORDS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        export(broken(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        export(RECORDS, tmp_path / "file" / "samples.csv")


def test_load_reads_a_results_folder_and_one_record(results):
    everything = remeasure.load(results)
    assert len(everything) == len(list(rows(RECORDS)))
    assert everything.dtypes["value"] == "float64"
    assert len(remeasure.load(str(results / "runs"))) == len(everything)
    assert set(remeasure.load(results / "runs" / "made" / "speed" / "speed-2.json")["seed"]) == {2}


def test_load_gives_the_same_types_from_every_source(results, tmp_path):
    types = remeasure.load(results).dtypes
    for ending in ENDINGS:
        export(RECORDS, tmp_path / f"samples{ending}")
        assert (remeasure.load(tmp_path / f"samples{ending}").dtypes == types).all()


@pytest.mark.parametrize(
    "name,content,said",
    [
        ("missing", None, "does not exist"),
        ("notes.txt", "x", "is no export"),
        ("other.csv", "a,b\n1,2\n", "is no export of remeasure"),
        ("other.jsonl", '{"a": 1}\n', "is no export of remeasure"),
        ("broken.jsonl", "{", "is no export of remeasure"),
        ("broken.parquet", "x", "is no export of remeasure"),
        ("report.json", "{}", "is no record in a results folder"),
    ],
)
def test_load_says_what_it_cannot_read(name, content, said, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        remeasure.load(tmp_path / name)


def test_load_refuses_a_folder_without_runs(tmp_path):
    with pytest.raises(UserError, match="holds no runs"):
        remeasure.load(tmp_path)


def test_importing_remeasure_loads_neither_numpy_nor_pandas():
    code = "import sys, remeasure; print([m for m in ('numpy', 'pandas', 'scipy') if m in sys.modules])"
    path = {**os.environ, "PYTHONPATH": str(Path(remeasure.__file__).parents[1])}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert ran.stdout.strip() == "[]"


def test_remeasure_has_no_other_lazy_names():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        remeasure.nothing  # noqa: B018
