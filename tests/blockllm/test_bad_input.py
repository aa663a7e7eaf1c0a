"""What a user may get wrong about BlockLLM is one sentence that says where, an exit code, and nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blockllm.zoo_models import TINY, model

from remeasure.cli.app import run
from remeasure.data import own_data
from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Model
from remeasure.impls.blockllm.groups import places, tensors_at
from remeasure.impls.blockllm.sim.cluster import Cluster
from remeasure.impls.blockllm.sim.cost.costs import Costs
from remeasure.impls.blockllm.sim.simulate import prepare
from remeasure.impls.blockllm.sim.systems import PM
from remeasure.impls.blockllm.sim.tenants import Population
from remeasure.impls.blockllm.sim.workloads import w3
from remeasure.impls.blockllm.zoo import chains
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.running import runner

RUN = ("run", "--system", "blockllm", "--profile", "tiny", "--seed", "0")
W1 = ("--case", "cluster-w1")
W2 = ("--case", "cluster-w2a")
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
CLIENT = "0,1,1,Gamma,1,1\n600,2,1,Gamma,1,1\n"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """The command line in an empty folder, without real data."""
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path / "cache"))
    for name in ("REMEASURE_DATA", "REMEASURE_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Said:
        code = run(list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call


Cli = Callable[..., Said]


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is refused must be refused before a block is measured."""

    def measured(*_: Any, **__: Any) -> None:
        raise AssertionError("something was measured")

    monkeypatch.setattr(runner, "run", measured)


def sentence(said: Said) -> str:
    """The refusal, which is all that was said."""
    lines = said.err.splitlines()
    assert (said.code, said.out, len(lines)) == (2, "", 1), said
    assert lines[0].startswith("remeasure: ") and lines[0].endswith((".", "?"))
    return lines[0]


def trace_folder(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "mine").mkdir()
    for name, content in files.items():
        (tmp_path / "mine" / name).write_text(content)


def check_trace_refused(cli: Cli, tmp_path: Path, case: tuple[str, ...], wanted: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert wanted in sentence(cli(*RUN, *case, "--set", "trace=mine"))
    after = [path for path in sorted(tmp_path.rglob("*")) if tmp_path / "cache" not in (path, *path.parents)]
    assert after == before, "something was written"


AZURE: dict[str, tuple[str, str]] = {
    "empty": ("", "mine/may.csv is empty; a trace needs the header"),
    "header only": (f"{HEADER}\n", "mine/may.csv holds no requests"),
    "column": ("TIMESTAMP,GeneratedTokens\n1,2\n", "mine/may.csv, line 1: column ContextTokens is missing"),
    "no header": ("1,2,3\n2,3,4\n", "mine/may.csv, line 1: column TIMESTAMP is missing"),
    "negative time": (f"{HEADER}\n-1,2,3\n2,3,4\n", "mine/may.csv, line 2: '-1' is a negative time"),
    "zero prompt": (
        f"{HEADER}\n1,2,3\n2,0,4\n",
        "mine/may.csv, line 3: '0' is no number of ContextTokens above 0",
    ),
    "zero answer": (f"{HEADER}\n1,2,0\n2,3,4\n", "mine/may.csv, line 2: '0' is no number of GeneratedTokens"),
    "no number": (
        f"{HEADER}\n1,2,3\n2,many,4\n",
        "mine/may.csv, line 3: 'many' is no whole number of ContextTokens",
    ),
    "no time": (f"{HEADER}\n1,2,3\nnoon,3,4\n", "mine/may.csv, line 3: 'noon' is no TIMESTAMP"),
    "one request": (f"{HEADER}\n1,2,3\n", "mine/may.csv: all requests have the same time"),
}
SERVEGEN: dict[str, tuple[str, str]] = {
    "empty": ("", "mine/chunk-3-trace.csv holds no windows"),
    "fields": ("0,1,1,Gamma\n", "mine/chunk-3-trace.csv, line 1: 4 fields"),
    "negative rate": (
        "0,1,1,Gamma,1,1\n600,-2,1,Gamma,1,1\n",
        "mine/chunk-3-trace.csv, line 2: numbers must be",
    ),
    "no number": ("0,often,1,Gamma,1,1\n", "mine/chunk-3-trace.csv, line 1: could not convert"),
    "silent": ("0,0,0,,0,0\n", "no client sends anything at 0 s"),
}


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("fault", AZURE)
def test_a_faulty_trace_is_refused_by_file_and_line(cli: Cli, tmp_path: Path, fault: str) -> None:
    content, wanted = AZURE[fault]
    trace_folder(tmp_path, {"april.csv": f"{HEADER}\n0,1,1\n9,1,1\n" if "request" not in fault else content})
    (tmp_path / "mine" / "may.csv").write_text(content)
    if "request" in fault:
        (tmp_path / "mine" / "april.csv").unlink()
    check_trace_refused(cli, tmp_path, W1, wanted)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("fault", SERVEGEN)
def test_faulty_clients_are_refused_by_file_and_line(cli: Cli, tmp_path: Path, fault: str) -> None:
    content, wanted = SERVEGEN[fault]
    trace_folder(tmp_path, {"chunk-3-trace.csv": content})
    check_trace_refused(cli, tmp_path, W2, wanted)


@pytest.mark.usefixtures("nothing_runs")
def test_the_check_finds_a_run_that_reads_nothing_before_it_measures(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_data, "read_once", lambda *_: None)
    trace_folder(tmp_path, {"may.csv": ""})
    with pytest.raises(AssertionError, match="something was measured"):
        check_trace_refused(cli, tmp_path, W1, "is empty")


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("files", "case", "wanted"),
    [
        ({"README": "x"}, W1, "mine has no known layout; put there CSV files with the columns TIMESTAMP"),
        ({}, W1, "(as azure_llm_2023), or chunk-N-trace.csv"),
        ({"may.csv": f"{HEADER}\n1,2,3\n2,3,4\n"}, W2, "no case of that selection is about azure_llm_2023"),
        ({"chunk-3-trace.csv": CLIENT}, W1, "no case of that selection is about servegen"),
        (
            {"chunk-3-trace.csv": CLIENT},
            (*W2, "--set", "window_s=5"),
            "no window that begins at 5 s; choose one of 0",
        ),
    ],
)
def test_a_folder_that_fits_no_case_is_refused(
    cli: Cli, tmp_path: Path, files: dict[str, str], case: tuple[str, ...], wanted: str
) -> None:
    trace_folder(tmp_path, files)
    check_trace_refused(cli, tmp_path, case, wanted)


@pytest.mark.parametrize(
    ("files", "case"),
    [
        ({"may.csv": f"{HEADER}\n1,2,3\n2,3,4\n", "notes.txt": "x"}, "cluster-w1"),
        ({"chunk-3-trace.csv": CLIENT}, "cluster-w2a"),
    ],
)
def test_a_sound_trace_goes_to_the_cases_of_its_layout(
    cli: Cli, tmp_path: Path, files: dict[str, str], case: str
) -> None:
    trace_folder(tmp_path, files)
    asked = (
        word
        for name in ("cluster-w1", "cluster-w2a", "zoo-dedup", "simulator-scale")
        for word in ("-c", name)
    )
    said = cli("plan", *RUN[1:], *asked, "--set", "trace=mine", "--json")
    assert said.code == 0 and "3 cases on other data are left out" in said.err
    assert [row["case"] for row in json.loads(said.out)] == [case]


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        (
            "serving.placement=foo",
            "placement of case blockllm/cluster-w1 cannot be 'foo': it is one of locality, balanced",
        ),
        (
            "serving.kv=best",
            "kv of case blockllm/cluster-w1 cannot be 'best': it is one of cost, owner, random",
        ),
        ("serving.speculation=bold", "cannot be 'bold': it is one of off, exact"),
        ("serving.swaps=-1", "swaps cannot be -1; it is from 0 to"),
        ("serving.polcy=x", "there is no field of case blockllm/cluster-w1 called 'serving.polcy'"),
        ("workload=w9", "workload of case blockllm/cluster-w1 cannot be 'w9': it is one of w1"),
        ("gpus=99", "the cluster has 1 to 12 GPUs, not 99"),
        ("minutes=0", "minutes has to be more than 0, not 0"),
    ],
)
def test_an_unknown_policy_is_refused_with_those_there_are(cli: Cli, setting: str, wanted: str) -> None:
    assert wanted in sentence(cli(*RUN, *W1, "--set", setting))


@pytest.mark.alone
def test_models_that_do_not_fit_the_cluster_fail_their_block_in_a_sentence(cli: Cli, tmp_path: Path) -> None:
    said = cli(*RUN, "--case", "dispatch-time", "--set", "cell.gpus=1", "--set", "cell.serving.swap=false")
    (path,) = tmp_path.glob("**/runs/blockllm/dispatch-time/*.json")
    record = json.loads(path.read_text())
    assert (said.code, record["status"], record["failure"]["kind"]) == (1, "failure", "bad-input")
    (told,) = (line for line in said.err.splitlines() if line.startswith("blockllm/dispatch-time: "))
    assert "GB, more than 1 GPUs hold beside their KV caches" in told and told.endswith("set swap.")
    assert not record["samples"]
    assert "Traceback" not in said.out + said.err + path.read_text()


def test_a_block_larger_than_a_gpu_is_named() -> None:
    trace = w3(cv=1, rate_rps=1, seed=0, apps=2, minutes=1)
    small = Cluster(gpus_per_server=(1,), gpu_bytes=8e9)
    with pytest.raises(
        UserError, match=r"block \d+ \(.*, layers 0 to \d+\) needs .* GB .* a GPU has 8\.0 GB: cut"
    ):
        prepare(PM, small, Population(2).draw(0), trace, Costs(), 0)


def wide(name: str) -> Model:
    """A model of another width, otherwise like those of `zoo_models`."""
    import torch

    config = replace(TINY, width=24, heads=6, kv_heads=2)
    zeros = [
        {spec.name: torch.zeros(spec.shape).half() for spec in tensors_at(config, p)} for p in places(config)
    ]
    return Model(name, config, zeros)


def test_a_chain_whose_hidden_sizes_do_not_match_is_named_with_its_block(cli: Cli, tmp_path: Path) -> None:
    zoo = Zoo(tmp_path / "zoo")
    zoo.insert(model("base"))
    zoo.insert(wide("wide"))
    stored, other = zoo.stored("base"), zoo.stored("wide").steps[2].object
    steps = list(stored.steps)
    steps[2] = msgspec.structs.replace(steps[2], object=other)
    path = zoo.chain_file("base")
    path.chmod(0o644)
    path.write_bytes(chains.encode(msgspec.structs.replace(stored, steps=tuple(steps))))
    before = path.read_bytes()
    said = sentence(cli("do", "blockllm", "verify", "--set", "zoo=zoo"))
    assert "base.json is wrong" in said and "ffn 0" in said and other[:12] in said
    assert path.read_bytes() == before


def test_a_corrupt_object_is_named_with_its_block_and_its_models(cli: Cli, tmp_path: Path) -> None:
    zoo = Zoo(tmp_path / "zoo")
    for one in (model("base"), model("top", (0, 0, 0, 1, 1, 0))):
        zoo.insert(one)
    path = zoo.object_file(zoo.stored("base").steps[2].object)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    said = sentence(cli("do", "blockllm", "verify", "--set", "zoo=zoo"))
    assert f"{path.name} is damaged" in said and "ffn 0 of base, ffn 0 of top" in said
