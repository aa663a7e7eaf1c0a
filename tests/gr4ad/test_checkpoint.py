"""Trainings that are stopped and continued, and checkpoints that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from gr4ad.catalogues import MODEL, SHOP, TOKENS, folder, run
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.amazon18_office.loader import load
from remeasure.datasets.common.interactions import Split
from remeasure.errors import UserError
from remeasure.impls.gr4ad.generator import Tokens, Training, fit, tokenized
from remeasure.impls.gr4ad.learning.checkpoint import (
    VERSION,
    Checkpoint,
    check_catalogue,
    check_same_training,
    digest,
    read,
    write,
)
from remeasure.impls.gr4ad.questions import Generating
from remeasure.impls.gr4ad.use.asked import Running
from remeasure.impls.gr4ad.use.training import CHECKPOINT, asked_of, restore, taken

SMALL = Generating(
    scheme="random",
    sizes=(16, 4, 4), dims=8, history=4, d=8, heads=2, layers=2, parallel=1, dropout=0.1, steps=6, batch=16, rate=4e-3,
    bins=0, weights=True, preference_steps=4, widths=(6, 12, 24),
)  # fmt: skip
MADE = Checkpoint(
    {"seed": 3, "d": 8}, "3f2a00", "77aa00", 5, {"mean_spent": 0.1 + 0.2}, {"a.b": torch.arange(6.0)}
)


def rewards(rows: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    return ((items + rows[:, None]) % 5).float()


@cache
def shop() -> tuple[Split, Tokens]:
    split = load(SHOP, None).test
    return split, tokenized(split, SMALL, seed=1)


def training(asked: Generating, done: int) -> Training:
    made = Training(shop()[0], asked, 1, shop()[1], reward=rewards)
    while made.done < done:
        made.step()
    return made


def as_written(made: Training) -> Checkpoint:
    return taken(made, asked_of(made.asked, Running(seed=1), "shop", *shop()))


@pytest.mark.parametrize(
    "changed", [{}, {"objective": "dpo"}, {"objective": "rspo", "mix": "unified"}], ids=str
)
@pytest.mark.parametrize("stop", [1, 6, 8])
def test_a_training_goes_on_from_any_update_to_the_same_bytes(changed, stop, tmp_path):
    asked = replace(SMALL, **changed)
    end = training(asked, 0).steps
    stop = min(stop, end - 1)
    write(tmp_path / "half", as_written(training(asked, stop)))
    resumed = training(asked, 0)
    restore(resumed, read(tmp_path / "half"))
    assert resumed.done == stop
    while resumed.done < end:
        resumed.step()
    for name, made in (("whole", training(asked, end)), ("resumed", resumed)):
        write(tmp_path / name, as_written(made))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()


def test_updates_one_by_one_are_what_fit_does():
    stepped = training(replace(SMALL, objective="dpo"), 10)
    fitted = fit(shop()[0], replace(SMALL, objective="dpo"), 1, reward=rewards)
    for one, other in zip(
        stepped.first.decoder.state_dict().values(),
        fitted.recommender.decoder.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_preferences_without_a_reward_are_refused_before_anything_is_trained():
    with pytest.raises(UserError, match="needs a reward"):
        Training(shop()[0], replace(SMALL, objective="dpo"), seed=0)


def test_a_process_that_is_killed_and_started_again_ends_with_the_same_bytes(tmp_path):
    files, out = folder(tmp_path / "shop"), tmp_path / "killed"
    run("tokenize", files, out, TOKENS)
    settings = MODEL | {"steps": "100", "every": "0"}
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = [
        sys.executable,
        "-m",
        "remeasure",
        "do",
        "gr4ad",
        "train",
        "-o",
        str(out),
        "--set",
        f"data={files}",
    ]
    path = out / CHECKPOINT
    with subprocess.Popen(
        command + given,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and not path.exists():
            time.sleep(0.005)
        process.kill()
    assert 0 < read(path).done < 100
    assert run("train", files, out, settings)[-1].startswith("step 100 of 100")
    other = tmp_path / "whole"
    run("tokenize", files, other, TOKENS)
    run("train", files, other, settings | {"every": "60"})
    assert path.read_bytes() == (other / CHECKPOINT).read_bytes()


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "c", MADE)
    found = read(tmp_path / "c")
    assert (found.settings, found.sids, found.data, found.done) == (
        {"seed": 3, "d": 8},
        "3f2a00",
        "77aa00",
        5,
    )
    assert found.numbers == MADE.numbers
    assert torch.equal(found.part("a")["b"], torch.arange(6.0))


@given(st.floats(0, 1, exclude_max=True))
def test_a_checkpoint_that_is_cut_short_is_refused(tmp_path_factory, kept):
    path = tmp_path_factory.mktemp("cut") / "c"
    write(path, MADE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=r"cut short or no checkpoint .*; take it away and train again\.$"):
        read(path)


def test_one_of_another_version_or_none_at_all_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"there is no checkpoint .*; say `remeasure do gr4ad train` first"):
        read(tmp_path / "c")
    monkeypatch.setattr("remeasure.impls.gr4ad.learning.checkpoint.VERSION", VERSION + 1)
    write(tmp_path / "c", MADE)
    monkeypatch.undo()
    with pytest.raises(UserError, match=rf"is a checkpoint of version {VERSION + 1}, not {VERSION}"):
        read(tmp_path / "c")


def test_one_of_another_catalogue_config_or_of_other_data_is_refused():
    with pytest.raises(UserError) as error:
        check_catalogue(MADE, "91bc00")
    assert str(error.value) == (
        "checkpoint was trained on SIDs 3f2a…, the folder has 91bc…; tokenize again or choose the other folder."
    )
    with pytest.raises(
        UserError, match="trained with d = 8, and 16 is asked; ask the same or choose another"
    ):
        check_same_training(MADE, {"seed": 3, "d": 16}, "77aa00")
    with pytest.raises(UserError, match="trained on data 77aa…, these are 1234…; give the same data"):
        check_same_training(MADE, {"seed": 3}, "123400")


def test_weights_that_are_no_numbers_leave_the_last_good_checkpoint(tmp_path):
    write(tmp_path / "c", MADE)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(UserError, match=r"a\.b holds no number after step 6 of seed 3; lower the rate"):
        write(tmp_path / "c", replace(MADE, done=6, tensors={"a.b": torch.tensor([1.0, torch.nan])}))
    assert (tmp_path / "c").read_bytes() == before


def test_a_disk_that_is_full_leaves_the_last_checkpoint_and_nothing_beside_it(tmp_path, monkeypatch):
    write(tmp_path / "c", MADE)
    before = (tmp_path / "c").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\); make room"):
        write(tmp_path / "c", replace(MADE, done=6))
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert (tmp_path / "c").read_bytes() == before


@given(st.lists(st.text(max_size=3), min_size=1, max_size=5), st.data())
def test_a_digest_changes_with_every_string(strings, drawn):
    place = drawn.draw(st.integers(0, len(strings) - 1))
    other = [*strings]
    other[place] += "x"
    one, same, changed = (np.array(some, dtype=object) for some in (strings, list(strings), other))
    assert digest(one) == digest(same) != digest(changed)


def test_a_digest_tells_shapes_kinds_places_and_missing_arrays_apart():
    numbers = np.arange(4)
    different = [
        (numbers,), (numbers.reshape(2, 2),), (numbers.astype(np.float64),), (numbers, None), (None, numbers),
        (np.array(["ab", "c"], dtype=object),), (np.array(["a", "bc"], dtype=object),),
    ]  # fmt: skip
    assert len({digest(*arrays) for arrays in different}) == len(different)


def test_the_data_of_a_training_are_told_by_what_is_learned_from():
    split, tokens = shop()
    told = asked_of(SMALL, Running(), "shop", split, tokens)
    again = asked_of(SMALL, Running(), "shop", load(SHOP, None).test, tokens)
    assert (again.data, again.sids) == (told.data, told.sids)
    dearer = replace(split, train=replace(split.train, value=split.train.value * 2))
    other = asked_of(SMALL, Running(), "shop", dearer, tokens)
    assert other.data != told.data
    assert other.sids == told.sids
