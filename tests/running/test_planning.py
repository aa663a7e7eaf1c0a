"""A plan: the blocks of a profile, filters, seeds and settings, and the keys that name what decides the numbers."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from running.toy_blocks import ids, planned

from remeasure.data.sources import DataSource
from remeasure.declared.overrides import at_profile
from remeasure.declared.registry import registry
from remeasure.errors import UserError
from remeasure.records.provenance import block_key
from remeasure.records.store import Store
from remeasure.running.blocks import Block, block_of, plan, select
from remeasure.running.runner import run_block

pytestmark = pytest.mark.usefixtures("toys")


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
        ({"systems": ["toysys", "faulty"], "cases": ["toysys/predicton"]}, "did you mean toysys/prediction"),
        ({"cases": ["predicton"]}, "did you mean toysys/prediction"),
        ({"claims": ["shorter-quue"]}, "did you mean toysys/shorter-queue"),
        ({"tags": ["qualty", "quue"]}, "there is no tag called 'qualty'; did you mean quality"),
        ({"profile": "smokee"}, "there is no profile called 'smokee'; did you mean smoke"),
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


def test_a_case_that_says_whether_it_runs_alone_is_believed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = registry().system("toysys").cases
    for name, isolated in (("loop-time", False), ("prediction", True)):
        monkeypatch.setitem(cases, name, replace(cases[name], isolated=isolated))
    assert {item.block.case for item in planned(store) if item.timed} == {"prediction"}


def test_cases_that_a_folder_of_data_is_not_for_are_left_out(store: Store) -> None:
    items = planned(store, serves=lambda case: case.name == "prediction")
    assert {item.block.case for item in items} == {"prediction"}


def test_a_case_named_without_its_system_is_of_the_one_that_was_named(store: Store) -> None:
    found = registry()
    other = replace(found.system("toysys").cases["prediction"], system="other")
    two = replace(found, systems={**found.systems, "other": SimpleNamespace(cases={"prediction": other})})
    for systems in (["toysys"], ["toysys", "toysys"]):
        assert [case.id for case in select(two, systems, ["prediction"], [], [])] == ["toysys/prediction"]
    for systems in ([], ["toysys", "other"]):
        with pytest.raises(UserError, match="prediction"):
            select(two, systems, ["prediction"], [], [])


def test_a_block_is_asked_for_by_its_case_its_profile_and_what_was_set(store: Store) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[1], overrides={"users": "50"})
    assert item.asked == ("toysys/prediction", "smoke", {"users": "50"})


def test_a_seed_that_was_measured_once_is_no_part_of_a_case_that_wants_no_precision(store: Store) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[4])
    store.write(run_block(item.block))
    assert [one.block.seed for one in planned(store, cases=["prediction"])] == [1, 2, 3]


def test_the_same_files_in_a_folder_of_ones_own_are_other_data(store: Store) -> None:
    case = registry().case("toysys/prediction")

    def key(origin: str) -> str:
        source = DataSource("toydata", Path("folder"), "real", origin, "d", True)  # type: ignore[arg-type]
        return block_of(case, "smoke", 1, {}, None, source, "code", {}).key

    usual = at_profile(case, "smoke", {})
    published = block_key(
        usual, profile="smoke", data_sha256="d", seed=1, rounds=1, fingerprint="code", packages={}
    )
    assert key("cache") == key("REMEASURE_DATA") == key("simulator") == published != key("directory")


def test_blocks_and_run_block_are_plain_enough_for_any_engine(store: Store) -> None:
    for item in planned(store):
        assert pickle.loads(pickle.dumps(item.block)) == item.block
        assert msgspec.json.decode(msgspec.json.encode(item.block), type=Block) == item.block
    assert pickle.loads(pickle.dumps(run_block)) is run_block
