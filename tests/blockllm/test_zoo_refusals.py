"""What the zoo does not take, or cannot, is said in one sentence and leaves it as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from blockllm.zoo_family import zoo
from blockllm.zoo_models import PLACES, group, model, same

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Delta, Model
from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.zoo import writing
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.impls.blockllm.zoo.verify import verify


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(model("x"), name="../x"), r"'\.\./x' cannot name a model"),
        (replace(model("x"), name=""), "cannot name a model"),
        (replace(model("x"), groups=model("x").groups[:-1]), "x has 5 groups, a model of its shape has 6"),
        (
            replace(model("x"), groups=[*model("x").groups[:2], group(PLACES[1], 0), *model("x").groups[3:]]),
            "x cannot be stored: ffn 0 has ffn_norm missing",
        ),
        (
            replace(model("x"), groups=[{"embedding": torch.zeros(3, 3).half()}, *model("x").groups[1:]]),
            r"x cannot be stored: embed has embedding \(3, 3\)",
        ),
        (
            replace(model("x"), groups=[{"embedding": torch.zeros(17, 12).long()}, *model("x").groups[1:]]),
            "x cannot be stored: embed has embedding as torch.int64, a zoo holds fp16 and fp32",
        ),
        (
            replace(model("x"), delta=Delta("delta_lora", {PLACES[1]: {"a": torch.ones(2).long()}})),
            "x cannot be stored: its delta at attn 0 has a as torch.int64",
        ),
        (replace(model("x"), delta=Delta("delta_lora", {})), "its delta is empty"),
        (
            replace(model("x"), delta=Delta("ffn", {PLACES[1]: group(PLACES[1], 0)})),
            r"no delta's kind \(ffn\)",
        ),
        (
            replace(model("x"), delta=Delta("delta_lora", {Place("attn", 9): group(PLACES[1], 0)})),
            "at attn 9",
        ),
        (replace(model("x"), delta=Delta("delta_lora", {Place("embed"): group(PLACES[1], 0)})), "at embed"),
    ],
    ids=lambda value: "" if isinstance(value, Model) else value[:30],
)
def test_a_model_that_is_not_what_it_says_is_refused_and_nothing_is_written(
    wrong: Model, said: str, tmp_path: Path
) -> None:
    held = zoo(tmp_path / "zoo")
    with pytest.raises(UserError, match=said):
        held.insert(wrong)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_name_is_not_given_to_another_model(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    before = held.total_bytes
    with pytest.raises(UserError, match="has another model base; remove it or take another name"):
        held.insert(model("base", (1,) * 6))
    assert held.total_bytes == before and not verify(held)
    assert same(held.fetch("base")["base"], model("base"))


def test_a_removed_models_name_is_free_again(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    held.remove("base")
    held.insert(model("base", (1,) * 6))
    assert same(held.fetch("base")["base"], model("base", (1,) * 6))


@pytest.mark.parametrize("ask", [Zoo.stored, Zoo.load, Zoo.fetch, Zoo.remove])
def test_a_model_that_is_not_there_is_named_with_those_that_are(
    ask: Callable[[Zoo, str], object], tmp_path: Path
) -> None:
    held = zoo(tmp_path / "zoo")
    with pytest.raises(UserError, match=r"zoo has no model nobody; it has none\."):
        ask(held, "nobody")
    assert not held.root.exists(), "looking changes nothing"
    held.insert(model("base"))
    held.insert(model("a tenant"))
    with pytest.raises(UserError, match=r"has no model nobody; it has a tenant, base\."):
        ask(held, "nobody")


def test_an_object_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    path = held.object_file(held.stored("base").steps[2].object)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100])
    assert held.insert(model("base")).new_objects == 1
    assert same(held.fetch("base")["base"], model("base")) and not verify(held)


@pytest.mark.parametrize("call", ["pwrite", "fsync", "open"])
@pytest.mark.parametrize("after", [0, 3, 7])
def test_a_full_disk_leaves_the_zoo_as_it_was(
    call: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    before = {path: path.read_bytes() for path in held.root.glob("*/*")}
    made, really = [], getattr(os, call)

    def full(*given: object) -> object:
        made.append(given)
        if len(made) > after:
            raise OSError(28, "No space left on device")
        return really(*given)

    with monkeypatch.context() as patch, pytest.raises(UserError) as refusal:
        patch.setattr(writing.os, call, full)
        held.insert(model("other", (1,) * 6, {1: 0, 2: 1}))
    said = "zoo does not take other (No space left on device); it holds what it held before"
    assert said in str(refusal.value)
    assert held.models() == ["base"] and not verify(held)
    held.collect()  # whole objects may be left, for another process may already share them
    assert {path: path.read_bytes() for path in held.root.glob("*/*")} == before
    held.insert(model("other", (1,) * 6))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "zoo").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"zoo does not take base \(.*choose another folder"):
        zoo(tmp_path / "zoo").insert(model("base"))


def test_nothing_is_collected_while_a_chain_cannot_be_read(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    held.insert(model("other", (1,) * 6))
    held.chain_file("other").write_text("{}")
    files = sorted(held.objects.iterdir())
    with pytest.raises(UserError, match=r"other\.json is no chain of this zoo"):
        held.collect()
    assert sorted(held.objects.iterdir()) == files


def test_there_is_nothing_to_collect_where_there_is_no_zoo(tmp_path: Path) -> None:
    assert zoo(tmp_path / "zoo").collect() == 0 and zoo(tmp_path / "zoo").models() == []
    assert not (tmp_path / "zoo").exists()
