"""`remeasure do SYSTEM COMMAND`: what a system can do beside being measured."""

from functools import partial
from pathlib import Path

import pytest

from remeasure.impls.opdai import commands, predict
from remeasure.impls.opdai.config import Trees, TwoStage

from .conftest import Cli, is_refusal


def test_do_without_a_command_lists_what_the_system_offers(cli: Cli) -> None:
    said = cli("do", "opdai")
    assert said.code == 0 and "submit" in said.out and "select" in said.out


@pytest.mark.parametrize("arguments", [("opdai", "sumbit"), ("toysys", "submit"), ("nosuch",)])
def test_a_name_that_nothing_has_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert is_refusal(cli("do", *arguments))


def test_a_setting_that_the_command_lacks_is_refused(cli: Cli) -> None:
    said = cli("do", "opdai", "submit", "--set", "tarket=t1")
    assert is_refusal(said) and "tarket" in said.err and "target" in said.err


def test_submit_says_that_its_data_are_simulated_and_names_what_it_wrote(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMEASURE_DATA", raising=False)
    small = TwoStage(graph=False, sequence=False, embedding=None, trees=Trees(rounds=5), folds=2)
    monkeypatch.setattr(predict, "submit", partial(predict.submit, system=small))
    monkeypatch.setattr(commands, "FIELDS", ("scale",))
    said = cli("do", "opdai", "submit", "--set", "scale=tiny", "--out", "mine")
    assert said.code == 0 and "SIMULATED" in said.err
    assert [Path(line).name for line in said.out.split()] == ["valid_pred.tsv", "test_pred.tsv"]
    assert all(Path(line).is_file() for line in said.out.split())
