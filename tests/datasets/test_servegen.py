"""Clients of a window: packed, single or simulated; the published facts; what is damaged is named."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from remeasure.datasets.servegen import generator, parse
from remeasure.datasets.servegen.clients import Client, Pmf
from remeasure.datasets.servegen.loader import CLIENTS, KNOWN, Clients, Request, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "servegen"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ, reason="no real servegen in $REMEASURE_DATA"
)
TRACE = "0,0,0,,0,0\n600,2.5,1.5,Gamma,0.4,0.5\n1200,4,2,Weibull,0.6,0.2\n"
LENGTHS = {
    "0": {"input_tokens": "{}", "output_tokens": "{}"},
    "600": {"input_tokens": "{5: 0.25, 3: 0.75}", "output_tokens": "{0: 0.5, 9: 0.5}"},
}
AT_600 = Request(window_s=600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Client 7 with lengths, client 11 without, client 9 that sends nothing before 1,200 s."""
    (tmp_path / "chunk-7-trace.csv").write_text(TRACE)
    (tmp_path / "chunk-7-dataset.json").write_text(json.dumps(LENGTHS))
    (tmp_path / "chunk-9-trace.csv").write_text("0,0,0,,0,0\n600,0,0,,0,0\n1200,1,1,Gamma,1,1\n")
    (tmp_path / "chunk-11-trace.csv").write_text(TRACE.replace("2.5", "5"))
    (tmp_path / "README.md").write_text("not looked at")
    return tmp_path


def packed(into: Path, files: dict[str, bytes]) -> Path:
    into.mkdir()
    with tarfile.open(into / parse.ARCHIVE, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"data/language/m-small/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return into


def test_a_client_has_its_window_and_the_lengths_of_that_time(folder: Path) -> None:
    data = load(AT_600, folder)
    seven, eleven = data.clients
    assert (seven.id, seven.rate_rps, seven.cv, seven.family, seven.shape, seven.scale_s) == (
        *(7, 2.5, 1.5, "Gamma", 0.4, 0.5),
    )
    assert seven.prompts is not None and seven.outputs is not None
    assert seven.prompts.tokens.tolist() == [3, 5] and seven.prompts.probability.tolist() == [0.75, 0.25]
    assert seven.outputs.tokens.tolist() == [0, 9]
    assert (eleven.id, eleven.prompts, eleven.outputs) == (11, None, None)
    assert (
        data.rate_rps == 7.5
        and not data.simulated
        and data.label == f"2 clients of trace {folder.name}, window at 600 s"
    )
    later = load(replace(AT_600, window_s=1200), folder)
    assert [(client.id, client.family) for client in later.clients] == [
        *((7, "Weibull"), (9, "Gamma"), (11, "Weibull")),
    ]


def test_without_the_published_window_the_busiest_one_serves(folder: Path) -> None:
    data = load(Request(), folder)
    assert data.label == f"3 clients of trace {folder.name}, window at 1,200 s"
    (folder / "chunk-11-trace.csv").write_text(TRACE.replace("2.5", "50"))
    assert load(Request(), folder).label.endswith("at 600 s")
    for path in folder.glob("chunk-*-trace.csv"):
        path.write_text(f"{path.read_text()}727800,1,1,Gamma,1,1\n")
    assert load(Request(), folder).label.endswith("at 727,800 s")
    (folder / "chunk-7-trace.csv").write_text("5,1,1,Gamma,1,1\n")
    with pytest.raises(UserError, match="no window stands in the files of all clients"):
        load(Request(), folder)


def test_an_archive_serves_like_single_files(folder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    archive = packed(tmp_path / "packed", files)
    asked = replace(AT_600, clients=(11, 7))
    for data in (load(asked, archive), load(asked, folder)):
        assert [client.id for client in data.clients] == [11, 7]
        assert data.rate_rps == 7.5
    # An archive that is taken for the published one must have its clients.
    with pytest.raises(UserError, match=r"has no client 2 \(chunk-2-trace.csv\); it has 3: 7, 9, 11"):
        load(AT_600, archive)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            Request(window_s=601),
            r"chunk-7-trace.csv has no window that begins at 601 s; choose one of 0, 600, 1200",
        ),
        (Request(window_s=0), "no client sends anything at 0 s"),
        (Request(window_s=600, clients=(9,)), r"chunk-9-trace.csv: client 9 sends nothing at 600 s"),
        (Request(window_s=600, clients=(8,)), "has no client 8"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(folder: Path, request_: Request, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load(request_, folder)


def lengths(literal: object) -> str:
    return json.dumps({"600": {"input_tokens": literal, "output_tokens": "{1: 1.0}"}})


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("trace.csv", "\n", "trace.csv holds no windows; a line is start, rate"),
    "fields": (
        "trace.csv",
        "600,2,1,Gamma,1\n",
        "trace.csv, line 1: 5 fields; write start, rate, CV, family",
    ),
    "word": ("trace.csv", f"{TRACE}1800,many,1,Gamma,1,1\n", "trace.csv, line 4: .*'many'; write numbers"),
    "negative": (
        "trace.csv",
        "600,-2,1,Gamma,1,1\n",
        "trace.csv, line 1: numbers must be finite and not neg",
    ),
    "nan": ("trace.csv", "600,nan,1,Gamma,1,1\n", "trace.csv, line 1: numbers must be finite"),
    "order": ("trace.csv", f"{TRACE}600,2,1,Gamma,1,1\n", "line 4: the window at 600 s does not come after"),
    "family": ("trace.csv", "600,2,1,Pareto,1,1\n", "line 1: a rate above 0 needs Gamma or Weibull"),
    "scale": ("trace.csv", "600,2,1,Gamma,1,0\n", "line 1: a rate above 0 needs Gamma or Weibull"),
    "encoding": ("trace.csv", b"\xff600,2,1,Gamma,1,1\n", r"chunk-7-trace.csv is no UTF-8 text \(byte 0\)"),
    "json": ("dataset.json", '{"600":\n {]', "dataset.json, line 2: "),
    "list": ("dataset.json", "[]", "dataset.json is no JSON object of windows"),
    "key": ("dataset.json", '{"noon": {}}', "dataset.json is no JSON object of windows"),
    "literal": ("dataset.json", lengths("{5: 0.5"), "window 600, input_tokens: no Python dict"),
    "call": ("dataset.json", lengths("dict([(1, 1.0)])"), "window 600, input_tokens: no Python dict"),
    "no text": ("dataset.json", lengths(None), "window 600, input_tokens: no Python dict"),
    "no window": ("dataset.json", '{"600": 3}', "window 600, input_tokens: no Python dict"),
    "sum": ("dataset.json", lengths("{5: 0.5, 6: 0.1}"), "input_tokens: tokens must be whole numbers and"),
    "half": ("dataset.json", lengths("{5.5: 1.0}"), "input_tokens: tokens must be whole numbers and"),
    "below": ("dataset.json", lengths("{5: 1.5, 6: -0.5}"), "input_tokens: tokens must be whole numbers and"),
}


def check_refused(folder: Path, fault: str) -> None:
    kind, content, sentence = BAD[fault]
    path = folder / f"chunk-7-{kind}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=sentence) as refusal:
        load(AT_600, folder)
    assert "\n" not in str(refusal.value) and path.name in str(refusal.value)


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(folder: Path, fault: str) -> None:
    check_refused(folder, fault)


MUTANTS: dict[str, tuple[str, Callable[..., object], tuple[str, ...]]] = {
    "evaluates what it reads": ("ast.literal_eval", eval, ("call",)),
    "believes every probability": (
        "_pmf",
        lambda where, literal: Pmf(np.ones(1, np.int64), np.ones(1)),
        ("sum", "half", "below", "literal"),
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_check_of_refusals_finds_a_reader_that_lets_faults_pass(
    folder: Path, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, broken, faults = MUTANTS[mutant]
    monkeypatch.setattr(f"remeasure.datasets.servegen.parse.{where}", broken)
    for fault in faults:
        with pytest.raises((pytest.fail.Exception, AssertionError)):
            check_refused(folder, fault)


@pytest.mark.parametrize("damage", ["cut", "no gzip", "empty"])
def test_a_damaged_archive_is_refused_in_one_sentence(folder: Path, tmp_path: Path, damage: str) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    root = packed(tmp_path / "packed", {"chunk-2-trace.csv": TRACE.encode(), "noise": noise})
    archive = root / parse.ARCHIVE
    whole = archive.read_bytes()
    archive.write_bytes({"cut": whole[: len(whole) // 2], "no gzip": b"not packed", "empty": b""}[damage])
    with pytest.raises(UserError, match=r"servegen_m-small\.tar\.gz cannot be unpacked \(") as refusal:
        load(Request(), root)
    assert "\n" not in str(refusal.value)


def test_a_folder_without_clients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no chunk-N-trace\.csv"):
        load(Request(), tmp_path)
    with pytest.raises(UserError, match=r"holds no chunk-N-trace\.csv"):
        load(Request(), packed(tmp_path / "packed", {"else.csv": b"1"}))


def check_clients(data: Clients) -> None:
    """What the default window and the simulator have in common."""
    rates = sorted((client.rate_rps for client in data.clients), reverse=True)
    assert tuple(client.id for client in data.clients) == CLIENTS
    assert 0.7 < sum(rates[:5]) / sum(rates) < 0.82, "load is spread otherwise"
    for client in data.clients:
        assert (client.prompts is not None) == (client.outputs is not None) == (client.id in KNOWN)
        for pmf in (client.prompts, client.outputs):
            assert pmf is None or np.isclose(pmf.probability.sum(), 1)
            assert pmf is None or ((np.diff(pmf.tokens) > 0).all() and pmf.tokens[0] >= 0)
        assert client.outputs is None or 1 <= mean(client.outputs) <= 100, "no short answers"


def mean(pmf: Pmf) -> float:
    return float(pmf.tokens @ pmf.probability)


def law_moments(client: Client) -> tuple[float, float]:
    """Rate and variation that the law of the gaps alone would have."""
    from scipy import stats

    law = (
        stats.gamma(client.shape, scale=client.scale_s)
        if client.family == "Gamma"
        else stats.weibull_min(client.shape, scale=client.scale_s)
    )
    return 1 / float(law.mean()), float(law.std() / law.mean())


def test_simulated_clients_are_like_the_published_ones_and_repeatable() -> None:
    data, again, other = (load(Request(seed=seed), None) for seed in (0, 0, 1))
    assert data.simulated and "no real data" in data.notes[0]
    check_clients(data)
    for client in data.clients:
        assert law_moments(client) == pytest.approx((client.rate_rps, client.cv))
    shown = [[(c.rate_rps, c.cv, c.shape, c.scale_s) for c in one.clients] for one in (data, again, other)]
    assert shown[0] == shown[1] != shown[2]


def test_the_check_of_clients_finds_an_even_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "DECAY", 0.5)
    with pytest.raises(AssertionError, match="load is spread otherwise"):
        check_clients(load(Request(), None))


def test_asking_for_clients_loads_nothing_heavy() -> None:
    code = (
        "import sys; from remeasure.datasets.servegen.loader import Request; Request(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pandas"} & set(done.stdout.split())


@needs_real
def test_the_default_window_has_the_published_facts() -> None:
    data = load(Request(), REAL)
    check_clients(data)
    assert data.label == "20 clients of ServeGen m-small"
    known = [client for client in data.clients if client.outputs is not None]
    assert [client.id for client in known] == [2, 7, 12, 13, 14, 17, 18, 24, 26, 27, 29, 30, 35, 39]
    answers = [mean(client.outputs) for client in known if client.outputs]
    assert min(answers) > 1 and max(answers) < 80
    laws = {client.id: law_moments(client) for client in data.clients}
    of = {client.id: client for client in data.clients}
    assert laws[12] == pytest.approx((of[12].rate_rps, of[12].cv), rel=1e-3)
    # Rate and law disagree where a client was active for a part of the window, or the law fits badly.
    assert of[1].rate_rps == pytest.approx(4.01, abs=0.01) and laws[1][0] == pytest.approx(20.2, abs=0.1)
    assert of[11].cv == pytest.approx(6.48, abs=0.01) and laws[11][1] == pytest.approx(3.71, abs=0.01)


@needs_real
def test_the_archive_has_the_published_facts() -> None:
    files = parse.source(REAL)
    assert (len(files.traces), len(files.datasets)) == (43, 32)
    rates = np.array(
        [[float(line.split(b",")[1]) for line in files.traces[id_].splitlines()] for id_ in range(43)]
    )
    assert rates.shape == (43, 2016)
    assert rates.sum(axis=0).mean() == pytest.approx(1174, abs=1)
    assert np.sort(rates.mean(axis=1))[-5:].sum() / rates.mean(axis=1).sum() == pytest.approx(0.77, abs=0.005)
    at, active = parse.read(files, None, ())
    assert at == 727_800 and len(active) == 24 and set(CLIENTS) < {client.id for client in active}
