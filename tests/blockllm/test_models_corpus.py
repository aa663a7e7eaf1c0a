"""Text becomes tokens and blocks in which every token is predicted once; recipes and models have names that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Delta, Model
from remeasure.impls.blockllm.groups import Place, places
from remeasure.impls.blockllm.models import corpus, recipes
from remeasure.impls.blockllm.models.recipes import FAMILY, Recipe, family, fingerprint, learned
from remeasure.impls.blockllm.models.small import WIDTH_32, untrained
from remeasure.impls.common import smollm
from remeasure.impls.common.llama import MICRO, SMOLLM2_135M

Blocks = Callable[[torch.Tensor, int], torch.Tensor]


@given(st.text())
def test_a_model_of_bytes_reads_the_bytes_of_a_text(text: str) -> None:
    tokens = corpus.encode(WIDTH_32, text)
    assert tokens.dtype == torch.int64 and bytes(tokens.tolist()).decode() == text


def test_smollm2_reads_its_own_tokens() -> None:
    try:
        smollm.locate()
    except UserError as missing:
        pytest.skip(str(missing))
    tokens = corpus.encode(SMOLLM2_135M, "Two children, 12 years old.")
    assert tokens.tolist() == smollm.tokenizer().encode("Two children, 12 years old.").ids


def test_a_vocabulary_of_neither_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="96 tokens"):
        corpus.encode(MICRO, "a")


def check_blocks(cut: Blocks, count: int, length: int) -> None:
    tokens = torch.arange(count)
    found = cut(tokens, length)
    assert found.shape[1] == length + 1
    whole = (count - 1) // length * length
    assert found[:, 1:].flatten().tolist() == list(range(1, whole + 1))
    assert torch.equal(found[:, :-1] + 1, found[:, 1:])


@given(st.integers(2, 200), st.data())
def test_every_token_is_predicted_once_from_the_one_before(count: int, data: st.DataObject) -> None:
    check_blocks(corpus.blocks, count, data.draw(st.integers(1, count - 1)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda tokens, length: tokens.unfold(0, length + 1, length + 1),
        lambda tokens, length: tokens.unfold(0, length + 1, 1),
        lambda tokens, length: tokens.unfold(0, length, length),
    ],
)
def test_the_check_finds_tokens_left_out_or_predicted_twice(wrong: Blocks) -> None:
    with pytest.raises(AssertionError):
        check_blocks(wrong, 50, 7)


def test_a_text_too_short_for_a_block_is_refused() -> None:
    with pytest.raises(UserError, match="a text of 8 tokens is too short for a block of 8"):
        corpus.blocks(torch.arange(8), 8)


RECIPE = Recipe("lora", "f" * 64, "0" * 64, 8)


def check_digest(digest: Callable[[Recipe], str]) -> None:
    changed: dict[str, Any] = {
        "technique": "adapter",
        "foundation": "e" * 64,
        "text": "1" * 64,
        "size": 4,
        "steps": 61,
        "learning_rate": 2e-3,
        "batch": 3,
        "length": 64,
        "seed": 1,
    }
    assert changed.keys() == {field.name for field in fields(Recipe)}
    others = {digest(replace(RECIPE, **{name: value})) for name, value in changed.items()}
    assert len(others | {digest(RECIPE)}) == len(changed) + 1
    assert digest(RECIPE) == digest(replace(RECIPE))


def test_a_recipe_s_digest_is_another_one_wherever_a_field_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    check_digest(lambda recipe: recipe.digest)
    before = RECIPE.digest
    monkeypatch.setattr(recipes, "SCHEME", recipes.SCHEME + 1)
    assert RECIPE.digest != before


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_the_check_finds_a_digest_that_leaves_a_field_out(name: str) -> None:
    blank: Any = {name: getattr(RECIPE, name)}
    with pytest.raises(AssertionError):
        check_digest(lambda recipe: replace(recipe, **blank).digest)


@pytest.mark.parametrize("size", [0, -1])
def test_a_recipe_that_says_nothing_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="means nothing for the technique lora"):
        replace(RECIPE, size=size)
    with pytest.raises(ValueError, match="size = 2 means nothing for the technique full"):
        Recipe("full", "", "", 2)
    with pytest.raises(ValueError, match="at least one step"):
        replace(RECIPE, steps=size)
    with pytest.raises(ValueError, match="last 3 layers of a model of 2"):
        learned(Recipe("top_layers", "", "", 3), WIDTH_32)


def test_a_recipe_names_what_it_trains() -> None:
    assert list(learned(Recipe("full", "", ""), WIDTH_32)) == places(WIDTH_32)
    assert list(learned(Recipe("top_layers", "", "", 1), WIDTH_32)) == [Place("attn", 1), Place("ffn", 1)]
    assert list(learned(replace(RECIPE), WIDTH_32)) == [Place("attn", 0), Place("attn", 1)]


def test_a_fingerprint_follows_every_bit_and_the_shape() -> None:
    model, same = untrained(WIDTH_32), untrained(WIDTH_32)
    assert fingerprint(model) == fingerprint(same) != fingerprint(untrained(WIDTH_32, 1))
    assert fingerprint(model) != fingerprint(replace(model, config=replace(WIDTH_32, rope_theta=5e4)))
    bits = same.groups[3]["q"].view(torch.int16)
    bits[0, 0] ^= 1
    assert fingerprint(model) != fingerprint(same)
    delta = Delta("delta_bitfit", {})
    with pytest.raises(ValueError, match="has a delta"):
        fingerprint(Model("x", WIDTH_32, model.groups, delta))


def test_the_family_has_every_technique_and_a_name_for_each_variant() -> None:
    base = untrained(replace(WIDTH_32, layers=5))
    texts = {name: (f"text of {name}", "") for name in ("movies", "speeches", "genesis")}
    found = family(base, texts)
    assert len(found) == len(FAMILY) == len({recipe.digest for recipe, _ in found.values()})
    assert {recipe.technique for recipe, _ in found.values()} == {
        "lora",
        "adapter",
        "bitfit",
        "prefix",
        "top_layers",
        "full",
    }
    assert {"lora-8 on speeches", "top_layers-4 on movies", "full on movies"} <= found.keys()
    for name, (recipe, text) in found.items():
        assert text == texts[name.rpartition(" ")[2]][0]
        assert (recipe.text, recipe.foundation) == (corpus.digest(text), fingerprint(base))


def test_a_shallow_foundation_has_no_variant_that_would_replace_all_its_layers() -> None:
    texts = {"movies": ("text", "")}
    found = {
        layers: family(untrained(replace(WIDTH_32, layers=layers)), texts, steps=7) for layers in (2, 4, 5)
    }
    assert [sum(name.startswith("top_layers") for name in of) for of in found.values()] == [0, 1, 2]
    assert {recipe.steps for of in found.values() for recipe, _ in of.values()} == {7}
