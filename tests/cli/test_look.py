"""`list`, `describe`, `plan`, `claims`: looking measures nothing and leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli, is_refusal


@pytest.mark.parametrize("what", ["systems", "cases", "arms", "datasets"])
def test_list_says_the_same_as_table_and_as_json(cli: Cli, what: str) -> None:
    rows = json.loads(cli("list", what, "--json").out)
    table = cli("list", what).out
    assert rows
    for row in rows:
        assert str(next(iter(row.values()))) in table


def test_list_can_be_narrowed(cli: Cli) -> None:
    rows = json.loads(cli("list", "cases", "--system", "toysys", "--tag", "queue", "--json").out)
    assert [row["case"] for row in rows] == ["toysys/queue-latency"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("toysys", "A. Author"),
        ("toydata", "CC0-1.0"),
        ("toysys/loop-time", "How much CPU time does a loop of known length take?"),
        ("loop-time", "units=6"),
        ("toysys/three-times-faster", "section 1"),
    ],
)
def test_describe_knows_systems_data_sets_cases_and_claims(cli: Cli, name: str, says: str) -> None:
    assert says in cli("describe", name).out
    assert json.loads(cli("describe", name, "--json").out)


def test_describe_of_an_unknown_name_is_refused(cli: Cli) -> None:
    said = cli("describe", "toysys/loop-tim")
    assert is_refusal(said)
    assert "toysys/loop-time" in said.err


def test_claims_show_where_the_paper_says_it(cli: Cli) -> None:
    claims = json.loads(cli("claims", "--system", "toysys", "--json").out)
    assert {claim["id"] for claim in claims} >= {"three-times-faster", "on-the-moon"}
    assert all(claim["where"] for claim in claims)
    assert "section 4, footnote" in cli("claims", "--system", "toysys").out


def test_plan_lists_blocks_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    blocks = json.loads(cli("plan", "--system", "toysys", "--json").out)
    assert len(blocks) == 9
    assert not any(block["cached"] for block in blocks)
    assert [path.name for path in tmp_path.iterdir()] == []
    said = cli("plan", "--system", "toysys")
    assert "9 of 9 blocks to run" in said.err


@pytest.mark.parametrize(
    "options",
    [
        ["--system", "toysy"],
        ["--case", "loop-tim"],
        ["--claim", "three-times"],
        ["--tag", "tim"],
        ["--profile", "smok"],
        ["--set", "nothing=1", "--system", "toysys"],
        ["--set", "users"],
        ["--set", "users=many", "--system", "toysys"],
        ["--set", "data=no/such/folder"],
        ["--system", "toysys", "--case", "toysys/loop-time", "--tag", "queue"],
    ],
)
def test_a_selection_that_means_nothing_is_refused(cli: Cli, options: list[str]) -> None:
    for command in ("plan", "run", "report"):
        assert is_refusal(cli(command, *options)), (command, options)
