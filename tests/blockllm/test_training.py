"""Training changes what the recipe names and nothing else, repeats itself, and is kept whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Model
from remeasure.impls.blockllm.groups import places
from remeasure.impls.blockllm.models import corpus, forward, training, variants
from remeasure.impls.blockllm.models.recipes import Recipe, Technique, fingerprint, learned
from remeasure.impls.blockllm.models.small import WIDTH_32, untrained
from remeasure.impls.blockllm.models.variants import variant
from remeasure.impls.common import smollm

WORDS = ["river", "stone", "lamp", "quiet", "under", "seven", "walks", "the", "a", "and"]
TEXT = " ".join(np.random.default_rng(0).choice(WORDS, size=600))
BASE = untrained(WIDTH_32, 3)
EVERY: list[tuple[Technique, int]] = [
    ("lora", 4),
    ("adapter", 4),
    ("bitfit", 0),
    ("prefix", 6),
    ("top_layers", 1),
    ("full", 0),
]


def recipe(technique: Technique = "lora", size: int = 4, **changed: Any) -> Recipe:
    made = Recipe(
        technique,
        fingerprint(BASE),
        corpus.digest(TEXT),
        size,
        steps=6,
        learning_rate=1e-2,
        batch=2,
        length=32,
    )
    return replace(made, **changed)


def bits(model: Model) -> dict[str, bytes]:
    """Every tensor of a model, its delta's included, by a name."""
    held = dict(zip(map(str, places(model.config)), model.groups, strict=True))
    for place, tensors in (model.delta.tensors if model.delta else {}).items():
        held[f"delta at {place}"] = tensors
    return {
        f"{place} {name}": bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy())
        for place, tensors in held.items()
        for name, tensor in tensors.items()
    }


def surprise(model: Model) -> float:
    return float(forward.surprise(model, corpus.blocks(corpus.encode(WIDTH_32, TEXT), 32), 64).mean())


def check_only_the_named_learn(technique: Technique, size: int, root: Path) -> None:
    before = bits(BASE)
    model = variant(recipe(technique, size), BASE, TEXT, "tenant", root=root)
    assert bits(BASE) == before
    after, wanted = bits(model), learned(recipe(technique, size), WIDTH_32)
    in_delta = "delta at " if model.delta else ""
    named = {f"{in_delta}{place} {spec.name}" for place, specs in wanted.items() for spec in specs}
    assert named == {name for name in after if after[name] != before.get(name)}
    assert all(t.dtype == torch.float16 for group in model.groups for t in group.values())
    assert (model.name, model.parent) == ("tenant", BASE.name)


@pytest.mark.parametrize(("technique", "size"), EVERY)
def test_only_what_the_recipe_names_learns(technique: Technique, size: int, tmp_path: Path) -> None:
    check_only_the_named_learn(technique, size, tmp_path)


def test_the_check_finds_a_neighbour_that_learned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = training.fp32

    def leaky(groups: list[Any]) -> list[Any]:
        groups[1]["k"][0, 0] += 1
        return right(groups)

    monkeypatch.setattr(training, "fp32", leaky)
    keep = BASE.groups[1]["k"].clone()
    try:
        with pytest.raises(AssertionError):
            check_only_the_named_learn("lora", 4, tmp_path)
    finally:
        BASE.groups[1]["k"].copy_(keep)


@pytest.mark.parametrize(("technique", "size"), EVERY)
def test_the_text_that_was_learned_surprises_less(technique: Technique, size: int, tmp_path: Path) -> None:
    losses: list[float] = []
    longer = recipe(technique, size, steps=30)
    model = variant(longer, BASE, TEXT, "t", root=tmp_path, observe=lambda step, loss: losses.append(loss))
    assert len(losses) == 30
    assert surprise(model) < surprise(BASE) - 0.02
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize(("technique", "size"), EVERY)
def test_the_same_recipe_gives_the_same_bytes(technique: Technique, size: int, tmp_path: Path) -> None:
    once = variant(recipe(technique, size), BASE, TEXT, "t", root=tmp_path / "a")
    again = variant(recipe(technique, size), BASE, TEXT, "t", root=tmp_path / "b")
    (a,), (b,) = ((tmp_path / name).iterdir() for name in "ab")
    assert bits(once) == bits(again) and (a.name, a.read_bytes()) == (b.name, b.read_bytes())
    other = variant(recipe(technique, size, seed=1), BASE, TEXT, "t", root=tmp_path / "a")
    assert bits(other) != bits(once)


def test_blocks_in_an_order_of_chance_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, seeds = training.order, iter(range(100))
    monkeypatch.setattr(training, "order", lambda one, count: right(replace(one, seed=next(seeds)), count))
    with pytest.raises(AssertionError):
        test_the_same_recipe_gives_the_same_bytes("bitfit", 0, tmp_path)


def refuse(*anything: object) -> None:
    raise AssertionError("it was trained again")


@pytest.mark.parametrize(("technique", "size"), EVERY)
def test_a_variant_is_trained_once(
    technique: Technique, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = variant(recipe(technique, size), BASE, TEXT, "t", root=tmp_path)
    monkeypatch.setattr(variants, "train", refuse)
    again = variant(recipe(technique, size), BASE, TEXT, "t", root=tmp_path)
    assert bits(again) == bits(once)
    shared = [a is b for a, b in zip(again.groups, BASE.groups, strict=True)]
    assert shared == [
        place not in learned(recipe(technique, size), WIDTH_32) for place in places(WIDTH_32)
    ] or (again.delta and all(shared))
    with pytest.raises(AssertionError, match="trained again"):
        variant(recipe(technique, size, steps=7), BASE, TEXT, "t", root=tmp_path)


def test_variants_are_kept_in_the_user_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path))
    variant(recipe(), BASE, TEXT, "t")
    (kept,) = variants.cache_folder().iterdir()
    assert kept.name == f"{recipe().digest}.safetensors" and tmp_path in kept.parents
    assert variants.cache_folder().parent == smollm.cache_folder()


def flipped(whole: bytes) -> bytes:
    return whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:]


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda whole: whole[:-100],
        lambda whole: whole[:5],
        lambda whole: b"",
        lambda whole: b"\xff" * 64 + whole[64:],
        lambda whole: whole.replace(b"q.inner", b"k.inner"),
    ],
)
def test_a_damaged_file_is_made_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    once = variant(recipe(), BASE, TEXT, "t", root=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert kept.read_bytes() != whole
    assert bits(variant(recipe(), BASE, TEXT, "t", root=tmp_path)) == bits(once)
    assert kept.read_bytes() == whole


def test_without_the_seal_a_flipped_bit_would_be_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "_seal", lambda tensors: "")
    with pytest.raises(AssertionError):
        test_a_damaged_file_is_made_again(flipped, tmp_path)


def test_a_file_with_another_recipe_s_tensors_is_made_again(tmp_path: Path) -> None:
    variant(recipe(), BASE, TEXT, "t", root=tmp_path)
    (kept,) = tmp_path.iterdir()
    other = recipe(size=2)
    kept.rename(tmp_path / f"{other.digest}.safetensors")
    model = variant(other, BASE, TEXT, "t", root=tmp_path)
    assert model.delta and all(t["q.inner"].shape == (2, 32) for t in model.delta.tensors.values())


def interrupt(step: int, loss: float) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_training_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        variant(recipe(), BASE, TEXT, "t", root=tmp_path / "new", threads=threads + 1, observe=interrupt)
    assert not (tmp_path / "new").exists() and torch.get_num_threads() == threads

    def stopped(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        variant(recipe(), BASE, TEXT, "t", root=tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_the_check_finds_a_file_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda self: None)
    with pytest.raises(AssertionError):
        test_an_interrupted_training_leaves_no_file(tmp_path, monkeypatch)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = variant(recipe(), BASE, TEXT, "t", root=tmp_path / "file" / "below")
    assert bits(model) == bits(variant(recipe(), BASE, TEXT, "t", root=tmp_path))


def test_another_text_or_foundation_than_the_recipe_s_is_refused(tmp_path: Path) -> None:
    for base, text in ((BASE, TEXT + "!"), (untrained(WIDTH_32, 4), TEXT)):
        with pytest.raises(ValueError, match="another foundation or another text"):
            variant(recipe(), base, text, "t", root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (recipe("full", 0, learning_rate=1e30), r"training full on the text .* at step \d+; give a lower"),
        (recipe("prefix", 5000), "its text has only .* tokens for a prefix of 5000"),
        (recipe(length=5000), "too short for a block of 5000"),
    ],
)
def test_a_training_that_fails_says_why_and_leaves_no_file(
    wrong: Recipe, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        variant(wrong, BASE, TEXT, "t", root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_numbers_too_large_for_fp16_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.deltas, "initial", lambda *a: _scaled(*a))
    with pytest.raises(UserError, match="does not fit fp16"):
        variant(recipe(), BASE, TEXT, "t", root=tmp_path)


_initial = training.deltas.initial


def _scaled(*arguments: Any) -> training.Learned:
    return {p: {n: t * 1e6 for n, t in held.items()} for p, held in _initial(*arguments).items()}


@pytest.mark.parametrize(("technique", "size"), EVERY)
def test_training_works_where_gradients_are_switched_off(
    technique: Technique, size: int, tmp_path: Path
) -> None:
    once = variant(recipe(technique, size), BASE, TEXT, "t", root=tmp_path / "a")
    with torch.inference_mode():
        again = variant(recipe(technique, size), untrained(WIDTH_32, 3), TEXT, "t", root=tmp_path / "b")
    assert bits(once) == bits(again)


def check_order(order: Callable[[Recipe, int], Any], count: int, batch: int, steps: int) -> None:
    taken = [
        chosen.tolist() for chosen in order(recipe(batch=batch, steps=steps, size=4, technique="lora"), count)
    ]
    assert [len(chosen) for chosen in taken] == [batch] * steps
    flat = [block for chosen in taken for block in chosen]
    for start in range(0, len(flat), count):
        part = Counter(flat[start : start + count])
        assert max(part.values()) == 1 and part.keys() <= set(range(count))
        assert len(flat) < start + count or len(part) == count


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 20))
def test_every_block_is_learned_before_one_is_learned_again(count: int, batch: int, steps: int) -> None:
    check_order(training.order, count, batch, steps)


def test_the_check_finds_blocks_drawn_with_replacement() -> None:
    def drawn(recipe: Recipe, count: int) -> Any:
        rng = np.random.default_rng(0)
        return (torch.from_numpy(rng.integers(count, size=recipe.batch)) for _ in range(recipe.steps))

    with pytest.raises(AssertionError):
        check_order(drawn, 10, 2, 10)


@given(st.integers(1, 200))
def test_the_learning_rate_rises_once_and_falls_once_and_is_never_zero(steps: int) -> None:
    rates = [training.pace(step, steps) for step in range(steps)]
    top = int(np.argmax(rates))
    assert rates[top] == 1 and min(rates) > 0
    assert all(np.diff(rates[: top + 1]) > 0) and all(np.diff(rates[top + 1 :]) < 0)


def test_a_family_is_the_foundation_and_its_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    right = training.train

    def short(one: Recipe, *rest: Any) -> training.Learned:
        made.append(one.technique)
        return right(replace(one, steps=1), *rest)

    monkeypatch.setattr(variants, "train", short)
    texts = {"left": (TEXT * 4, ""), "right": (TEXT[::-1] * 4, "")}
    deep = untrained(replace(WIDTH_32, layers=4))
    found = variants.variants(deep, texts, root=tmp_path)
    assert found[0] is deep and all(model.parent == deep.name for model in found[1:])
    assert len({model.name for model in found}) == len(made) + 1 == len(found)
