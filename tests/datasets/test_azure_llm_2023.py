"""Traces of requests, Azure's, one's own or simulated: the published facts, one clock, wrong lines named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.azure_llm_2023 import generator, parse
from remeasure.datasets.azure_llm_2023.loader import PREFIX, Request, Service, Services, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "azure_llm_2023"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ,
    reason="no real azure_llm_2023 in $REMEASURE_DATA",
)
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
GOOD = f"{HEADER}\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109\r\n"


def written(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cv(service: Service) -> float:
    gaps = np.diff(service.at_s)
    return float(gaps.std() / gaps.mean())


def test_azures_layout_is_read_with_times_from_the_first_row(tmp_path: Path) -> None:
    written(tmp_path, GOOD, f"{PREFIX}conv.csv")
    written(tmp_path, GOOD.replace("18:15", "18:16"), f"{PREFIX}code.csv")
    data = load(Request(), tmp_path)
    assert (data.label, data.simulated) == ("Azure LLM 2023", False)
    assert [service.name for service in data.services] == ["code", "conv"]
    assert data.service("conv").at_s.tolist() == pytest.approx([0, 4.314579])
    assert data.service("code").at_s.tolist() == pytest.approx([60, 64.314579])  # one clock
    assert data.service("conv").prompt.tolist() == [374, 396]
    assert data.service("conv").output.tolist() == [44, 109]
    assert data.service("conv").prompt.dtype == np.int64
    with pytest.raises(UserError, match="no service 'chat'; it has code, conv"):
        data.service("chat")


@pytest.mark.parametrize(
    ("content", "at_s"),
    [
        (f"{HEADER}\n0.5,1,2\n0.5,3,4\n2,5,6\n", [0, 0, 1.5]),
        (f"\ufeff{HEADER}\n2024-05-10T00:00:00Z,1,2\n2024-05-10 00:00:01.5+00:00,3,4\n", [0, 1.5]),
        (f"{HEADER}\n\n1,1,2\n\n\n3,3,4\n\n\n", [0, 2]),
        ("who,GeneratedTokens, TIMESTAMP ,ContextTokens\nx,2,7,1\ny,4,8,3.0\n", [0, 1]),
        (f'{HEADER}\n"1","1","2"\n"2","3","4"\n', [0, 1]),
    ],
    ids=["seconds", "zones", "empty lines", "other columns", "quotes"],
)
@pytest.mark.parametrize("name", ["mine.csv", "requests of May.CSV"])
def test_a_trace_of_ones_own_is_read_whatever_its_files_are_called(
    tmp_path: Path, content: str, at_s: list[float], name: str
) -> None:
    written(tmp_path, content, name)
    written(tmp_path, "not looked at", "notes.txt")
    written(tmp_path, "not looked at", ".hidden.csv")
    data = load(Request(), tmp_path)
    assert not data.simulated and data.label == f"trace {tmp_path.name}"
    (service,) = data.services
    assert service.name == name.rpartition(".")[0] and service.at_s.tolist() == at_s
    assert service.prompt.tolist()[:2] == [1, 3] and service.output.tolist()[:2] == [2, 4]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 10**8), st.integers(1, 10**6), st.integers(1, 10**6)),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]]
) -> None:
    rows = [(0, 1, 1), *sorted(rows), (10**8 + 1, 1, 1)]
    lines = "".join(f"{ms / 1000:.3f},{prompt},{output}\n" for ms, prompt, output in rows)
    folder = tmp_path_factory.mktemp("trace")
    written(folder, f"{HEADER}\n{lines}")
    (service,) = load(Request(), folder).services
    assert service.at_s == pytest.approx([(ms - rows[0][0]) / 1000 for ms, _, _ in rows])
    assert list(zip(service.prompt, service.output, strict=True)) == [row[1:] for row in rows]
    assert (np.diff(service.at_s) >= 0).all()


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", r"mine\.csv is empty; a trace needs the header TIMESTAMP,ContextTokens,GeneratedTokens"),
    "header only": (f"{HEADER}\n", "holds no requests"),
    "blank lines only": (f"{HEADER}\n\n\n", "holds no requests"),
    "column": (
        "TIMESTAMP,Context,GeneratedTokens\n1,2,3\n",
        r"mine\.csv, line 1: column ContextTokens is missing \(found: TIMESTAMP, Context, GeneratedTokens\)",
    ),
    "negative": (f"{HEADER}\n-1,2,3\n1,2,3\n", r"mine\.csv, line 2: '-1' is a negative time"),
    "unsorted": (f"{HEADER}\n1,2,3\n\n3,2,3\n2,2,3\n", r"line 5: '2' is earlier than the line before; sort"),
    "unsorted dates": (GOOD + GOOD.splitlines()[1], "line 4: .* is earlier than the line before"),
    "no time": (f"{HEADER}\n1,2,3\nnoon,2,3\n", "line 3: 'noon' is no TIMESTAMP"),
    "no date": (GOOD + "17,2,3\n2023-13-01,1,1\n", "line 4: '17' is no|line 5: '2023-13-01' is no TIMESTAMP"),
    "infinite": (f"{HEADER}\n1,2,3\ninf,2,3\n", "line 3: 'inf' is no TIMESTAMP"),
    "nanoseconds": (f"{HEADER}\n1700000000000000000,2,3\n", "line 2: .* is no TIMESTAMP in seconds"),
    "zero prompt": (f"{HEADER}\n1,2,3\n2,0,3\n", "line 3: '0' is no number of ContextTokens above 0"),
    "zero answer": (f"{HEADER}\n1,2,0\n", "line 2: '0' is no number of GeneratedTokens above 0"),
    "negative tokens": (f"{HEADER}\n1,-2,3\n", "line 2: '-2' is no number of ContextTokens above 0"),
    "half a token": (f"{HEADER}\n1,2.5,3\n", "line 2: '2.5' is no whole number of ContextTokens"),
    "words": (f"{HEADER}\n1,2,3\n2,many,3\n", "line 3: 'many' is no whole number of ContextTokens"),
    "missing cell": (f"{HEADER}\n1,2,3\n2,3\n", "line 3: '' is no whole number of GeneratedTokens"),
    "too many cells": (
        f"{HEADER}\n1,2,3\n2,3,4,5\n",
        "no proper CSV file: Expected 3 fields in line 3, saw 4",
    ),
    "too many in all": (f"{HEADER}\n1,2,3,4\n2,3,4,5\n", "line 2: more fields than the header has"),
    "open quote": (f'{HEADER}\n"1,2,3\n2,3,4\n', "no proper CSV file: EOF inside string"),
    "one request": (f"{HEADER}\n1,2,3\n", "mine.csv: all requests have the same time; give a longer trace"),
    "one time": (f"{HEADER}\n1,2,3\n1,4,5\n", "mine.csv: all requests have the same time"),
    "encoding": (f"{HEADER}\n1,2,3\n".encode() + b"\xff\xfe,1,1\n", "no UTF-8 text"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_trace_is_refused_in_one_sentence_that_names_file_and_line(tmp_path: Path, fault: str) -> None:
    content, sentence = BAD[fault]
    written(tmp_path, content)
    with pytest.raises(UserError, match=sentence) as refusal:
        load(Request(), tmp_path)
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
    assert "mine.csv" in str(refusal.value)


def test_a_folder_that_cannot_be_a_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no CSV file"):
        load(Request(), tmp_path)
    with pytest.raises(UserError, match=r"nowhere cannot be read .* name a folder of CSV files"):
        load(Request(), tmp_path / "nowhere")
    written(tmp_path, GOOD, "a.csv")
    written(tmp_path, f"{HEADER}\n1,2,3\n", "b.csv")
    with pytest.raises(UserError, match=r"a\.csv gives dates and b\.csv seconds"):
        load(Request(), tmp_path)


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "refuses nothing": lambda patch: patch.setattr(parse, "_refuse", lambda *_: None),
    "takes any header": lambda patch: patch.setattr(parse, "COLUMNS", ()),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_check_of_refusals_finds_a_reader_that_lets_faults_pass(
    tmp_path: Path, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[mutant](monkeypatch)
    let_pass = 0
    for fault in ("negative", "unsorted", "zero prompt", "zero answer", "column"):
        try:
            test_a_bad_trace_is_refused_in_one_sentence_that_names_file_and_line(tmp_path, fault)
        except (pytest.fail.Exception, AssertionError, KeyError):
            let_pass += 1
    assert let_pass


def check_moments(data: Services, tolerance: float) -> None:
    """The published facts, each within a share of itself; the gaps of code within four times that."""
    conv, code = data.service("conv"), data.service("code")
    for service, rows, rate, variation, slack in ((conv, 19366, 5.53, 1.09, 1), (code, 8819, 2.57, 13.2, 4)):
        assert len(service.at_s) == rows
        assert rows / (service.at_s[-1] - service.at_s[0]) == pytest.approx(rate, rel=slack * tolerance)
        assert cv(service) == pytest.approx(variation, rel=slack * tolerance)
    assert np.median(conv.prompt) == pytest.approx(1020, rel=tolerance)
    assert conv.prompt.mean() == pytest.approx(1155, rel=tolerance)
    assert np.percentile(conv.prompt, 95) == pytest.approx(4083, rel=tolerance)
    assert np.median(conv.output) == pytest.approx(129, rel=tolerance)
    assert conv.output.mean() == pytest.approx(211, rel=tolerance)
    assert np.percentile(conv.output, 99) == pytest.approx(601, rel=tolerance)
    assert conv.output.max() <= 1000
    assert code.prompt.mean() == pytest.approx(2048, rel=tolerance)
    assert np.median(code.output) == 13
    assert code.output.mean() == pytest.approx(28, rel=tolerance)


def test_the_simulator_has_the_published_moments() -> None:
    data = load(Request(), None)
    assert data.simulated and "no real data" in data.notes[0]
    check_moments(data, 0.06)


def test_the_check_of_moments_finds_another_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "CONV", replace(generator.CONV, prompt=generator.CODE.prompt))
    with pytest.raises(AssertionError):
        check_moments(load(Request(), None), 0.06)


def test_the_same_seed_simulates_the_same_trace_and_another_seed_another() -> None:
    first, again, other = (load(Request(seed=seed), None) for seed in (0, 0, 1))
    for one, two, three in zip(first.services, again.services, other.services, strict=True):
        for name in ("at_s", "prompt", "output"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
            assert getattr(one, name).tobytes() != getattr(three, name).tobytes()
        assert one.at_s[0] == 0 and (np.diff(one.at_s) > 0).all()
        assert one.prompt.min() >= 1 and one.output.min() >= 1


def test_a_law_is_a_quantile_function() -> None:
    for law in (
        getattr(s, part) for s in (generator.CONV, generator.CODE) for part in ("gaps_s", "prompt", "output")
    ):
        assert len(law.at) == len(law.values) and (law.at[0], law.at[-1]) == (0, 1)
        assert (np.diff(law.at) > 0).all() and (np.diff(law.values) >= 0).all() and law.values[0] > 0


def test_asking_for_a_trace_loads_nothing_heavy() -> None:
    code = "import sys; from remeasure.datasets.azure_llm_2023.loader import Request; Request(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pandas"} & set(done.stdout.split())


@needs_real
def test_the_published_files_have_the_published_facts() -> None:
    data = load(Request(), REAL)
    check_moments(data, 0.005)
    assert data.service("code").at_s[0] == pytest.approx(77.29937)


@needs_real
def test_one_gap_does_not_make_the_variation_of_code() -> None:
    gaps = np.sort(np.diff(load(Request(), REAL).service("code").at_s))
    assert gaps[:-1].std() / gaps[:-1].mean() == pytest.approx(12.5, abs=0.1)
    assert (gaps > 10).sum() == 45
    assert gaps[gaps > 10].sum() / gaps.sum() == pytest.approx(0.69, abs=0.01)


@needs_real
@pytest.mark.parametrize(
    ("name", "context", "share"),
    [("conv", 4096, 0.0832), ("conv", 2048, 0.1465), ("code", 4096, 0.1425), ("code", 2048, 0.3818)],
)
def test_shares_of_requests_beyond_a_context(name: str, context: int, share: float) -> None:
    service = load(Request(), REAL).service(name)
    assert np.mean(service.prompt + service.output > context) == pytest.approx(share, abs=1e-4)


@needs_real
def test_the_simulator_is_near_the_published_distributions() -> None:
    from scipy.stats import ks_2samp

    real, simulated = load(Request(), REAL), load(Request(), None)
    for name in ("conv", "code"):
        one, other = real.service(name), simulated.service(name)
        assert ks_2samp(one.prompt, other.prompt).statistic < 0.035
        assert ks_2samp(one.output, other.output).statistic < 0.035
        assert ks_2samp(np.diff(one.at_s), np.diff(other.at_s)).statistic < 0.035
