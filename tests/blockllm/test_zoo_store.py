"""The zoo's promise (invariant 9): nothing changes in it, nothing is stored twice, nothing that is needed goes away."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from blockllm.zoo_models import PLACES, SETTINGS, TINY, bits, families, group, model, same
from hypothesis import given, settings

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Chain, Delta, Model
from remeasure.impls.blockllm.groups import Place
from remeasure.impls.blockllm.zoo import assemble, objects, writing
from remeasure.impls.blockllm.zoo.chains import Hash, Stored
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.impls.blockllm.zoo.verify import verify
from remeasure.impls.common.llama import greedy

Check = Callable[[Path, Sequence[Model]], None]


def zoo(root: Path) -> Zoo:
    return Zoo(root, threads=2)


def check_bit_for_bit(root: Path, models: Sequence[Model]) -> None:
    """load(store(m)) = m, also of all models at once, and chains hold the same numbers in fp32."""
    held = zoo(root)
    for one in models:
        held.insert(one)
    names = [one.name for one in models]
    assert held.models() == sorted(names)
    fetched, chains = held.fetch(*names), held.load(*names)
    for one in models:
        assert same(fetched[one.name], one) and same(held.fetch(one.name)[one.name], one)
        assert in_fp32(chains[one.name], one)


def in_fp32(chain: Chain, of: Model) -> bool:
    delta = of.delta.tensors if of.delta else {}
    return [link.place for link in chain.links] == PLACES and all(
        bits({name: link.block.tensors[name] for name in weights})
        == bits({name: tensor.float() for name, tensor in weights.items()})
        and bits(link.delta.tensors if link.delta else {})
        == bits({name: tensor.float() for name, tensor in delta.get(link.place, {}).items()})
        and (link.delta is None or link.delta.settings == SETTINGS)
        for link, weights in zip(chain.links, of.groups, strict=True)
    )


def check_second_adds_nothing(root: Path, models: Sequence[Model]) -> None:
    held = zoo(root)
    for one in models:
        before = held.total_bytes
        assert held.insert(one).new_bytes == held.total_bytes - before
    total = held.total_bytes
    for one in models:
        again = held.insert(one)
        assert (again.new_bytes, again.new_objects) == (0, 0)
    assert held.total_bytes == total


def check_order(root: Path, models: Sequence[Model]) -> None:
    """The same files, byte by byte, whichever model came first."""
    found = []
    for number, order in enumerate(permutations(models)):
        held = zoo(root / str(number))
        added = sum(held.insert(one).new_bytes for one in order)
        assert added == held.total_bytes
        files = sorted(path for path in held.root.glob("*/*"))
        found.append([(path.name, path.read_bytes()) for path in files])
    assert all(one == found[0] for one in found)


def check_stored_once(root: Path, models: Sequence[Model]) -> None:
    """As many objects as there are different groups and parts of deltas."""
    held = zoo(root)
    for one in models:
        held.insert(one)
    deltas = [weights for one in models if one.delta for weights in one.delta.tensors.values()]
    groups = [weights for one in models for weights in one.groups]
    distinct = {repr(sorted(bits(weights).items())) for weights in (*groups, *deltas)}
    assert len(list(held.objects.iterdir())) == len(distinct)


def check_collection(root: Path, models: Sequence[Model]) -> None:
    """Collecting frees exactly what only a removed model needed; the others stay as they were."""
    held = zoo(root)
    *left, last = models
    for one in left:
        held.insert(one)
    before = held.total_bytes
    grown = held.insert(last).new_bytes - held.chain_file(last.name).stat().st_size
    held.remove(last.name)
    assert held.collect() == grown
    assert held.total_bytes == before
    assert held.models() == sorted(one.name for one in left) and not verify(held)
    for one in left:
        assert same(held.fetch(one.name)[one.name], one)
    assert held.collect() == 0


INVARIANTS: list[Check] = [
    check_bit_for_bit,
    check_second_adds_nothing,
    check_order,
    check_stored_once,
    check_collection,
]


@pytest.mark.parametrize("check", INVARIANTS)
@given(models=families(most=3))
@settings(max_examples=25)
def test_invariants_of_the_zoo(check: Check, models: list[Model]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_sync", lambda path: None)  # the disk is waited for in the other tests
        check(Path(folder) / "zoo", models)


def rounds(patch: pytest.MonkeyPatch) -> None:
    """What is stored went through another type."""
    honest = objects.described
    patch.setattr(
        objects,
        "described",
        lambda weights, settings: honest({n: t.bfloat16().half() for n, t in weights.items()}, settings),
    )


def forgets_settings(patch: pytest.MonkeyPatch) -> None:
    honest = objects.described
    patch.setattr(objects, "described", lambda weights, settings: honest(weights, {}))


def swaps_deltas(patch: pytest.MonkeyPatch) -> None:
    """Deltas are put at places in the reverse order."""
    honest = assemble.to_stored

    def stored(model: Model, names: Sequence[Hash]) -> Stored:
        count = len(model.groups)
        return honest(model, [*names[:count], *reversed(names[count:])])

    patch.setattr(assemble, "to_stored", stored)


def looks_nowhere(patch: pytest.MonkeyPatch) -> None:
    """Every insertion writes everything."""
    patch.setattr(writing, "_size", lambda path: None)


def believes_any_file(patch: pytest.MonkeyPatch) -> None:
    """An object is taken for stored as soon as any object is there."""
    patch.setattr(writing, "_size", lambda path: _AnySize() if any(path.parent.iterdir()) else None)


class _AnySize(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def names_by_model(patch: pytest.MonkeyPatch) -> None:
    """Each model keeps its own objects, as if their names were salted."""
    honest, honest_parts, last = objects.described, assemble.parts, []

    def parts(model: Model) -> object:
        last[:] = [model.name]
        return honest_parts(model)

    patch.setattr(assemble, "parts", parts)
    patch.setattr(objects, "described", lambda w, settings: honest(w, {**settings, "of": last[0]}))


def shares_not_with_the_first(patch: pytest.MonkeyPatch) -> None:
    """The model that was there first keeps its objects for itself, so the order decides what is stored."""
    honest, honest_add, first = objects.described, Zoo._add, [False]

    def add(self: Zoo, batch: writing.Batch, parts: Sequence[object]) -> list[Hash]:
        first[0] = not self.models()
        return honest_add(self, batch, parts)  # type: ignore[arg-type]

    patch.setattr(Zoo, "_add", add)
    patch.setattr(objects, "described", lambda w, s: honest(w, {**s, "first": 1} if first[0] else s))


def collects_deltas(patch: pytest.MonkeyPatch) -> None:
    """Collection knows of groups only."""
    honest = Zoo.needed

    def needed(self: Zoo) -> dict[Hash, list[str]]:
        groups = {step.object for name in self.models() for step in self.stored(name).steps}
        return {name: uses for name, uses in honest(self).items() if name in groups}

    patch.setattr(Zoo, "needed", needed)


def collects_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Zoo, "collect", lambda self: 0)


FAMILY = [model("base"), model("lora", delta={1: 0, 2: 1}), model("top", (0, 0, 0, 1, 1, 0))]


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (rounds, check_bit_for_bit),
        (forgets_settings, check_bit_for_bit),
        (swaps_deltas, check_bit_for_bit),
        (looks_nowhere, check_second_adds_nothing),
        (believes_any_file, check_stored_once),
        (names_by_model, check_stored_once),
        (shares_not_with_the_first, check_order),
        (collects_deltas, check_collection),
        (collects_nothing, check_collection),
    ],
)
def test_a_zoo_that_breaks_an_invariant_is_noticed(
    mutant: Callable[[pytest.MonkeyPatch], None], check: Check, tmp_path: Path
) -> None:
    models = [FAMILY[1], FAMILY[0], FAMILY[2]]
    check(tmp_path / "sound", models)
    with pytest.MonkeyPatch.context() as patch, pytest.raises((AssertionError, UserError)):
        mutant(patch)
        check(tmp_path / "broken", models)


def test_equal_blocks_of_several_chains_are_one_object(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    for one in FAMILY:
        held.insert(one)
    chains = held.load("base", "lora", "top")
    for number, place in enumerate(PLACES):
        base, lora, top = (chains[name].links[number].block for name in ("base", "lora", "top"))
        assert base is lora, place
        assert (base is top) == (place not in (Place("attn", 1), Place("ffn", 1))), place
    embed, head = chains["base"].links[0].block, chains["base"].links[-1].block
    assert head.tensors["embedding"] is embed.tensors["embedding"], (
        "a tied embedding is one object in two roles"
    )
    assert chains["lora"].links[1].delta is not None and chains["base"].links[1].delta is None


def test_equal_tensors_of_models_that_compute_otherwise_are_stored_once_and_are_two_blocks(
    tmp_path: Path,
) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    grown = held.insert(replace(model("slow"), config=replace(TINY, rope_theta=500.0)))
    assert grown.new_objects == 0
    chains = held.load("base", "slow")
    base, slow = (chains[name].links for name in ("base", "slow"))
    assert base[1].block.id != slow[1].block.id
    assert base[1].block.tensors["q"] is slow[1].block.tensors["q"]
    assert base[2].block is slow[2].block, "nothing is rotated in a feed-forward block"


def test_a_head_that_is_tied_to_another_embedding_is_another_block(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    for one in (model("base"), model("other", (1, 0, 0, 0, 0, 0))):
        held.insert(one)
    base, other = (chain.links[-1].block for chain in held.load("base", "other").values())
    assert base.tensors["norm"] is other.tensors["norm"] and base.id != other.id


def test_a_chain_from_memory_has_the_ids_and_bits_of_one_from_the_zoo(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    blocks: dict[str, object] = {}
    for one in FAMILY:
        held.insert(one)
        loaded, made = held.load(one.name)[one.name], assemble.chain_of(one, blocks)  # type: ignore[arg-type]
        for left, right in zip(loaded.links, made.links, strict=True):
            assert (left.place, left.block.id) == (right.place, right.block.id)
            assert bits(left.block.tensors) == bits(right.block.tensors)
            assert (left.delta and left.delta.id) == (right.delta and right.delta.id)
    assert len(blocks) == 6 + 2 + 2


def test_a_loaded_chain_says_what_the_model_says(tmp_path: Path) -> None:
    held = zoo(tmp_path / "zoo")
    held.insert(model("base"))
    parts = [{name: tensor.float() for name, tensor in group(place, 0).items()} for place in PLACES]
    links = held.load("base")["base"].links
    loaded = [link.block.tensors for link in links]

    def logits(groups: list[dict[str, torch.Tensor]]) -> torch.Tensor:
        layers = [{**groups[2 * n + 1], **groups[2 * n + 2]} for n in range(TINY.layers)]
        return greedy(TINY, [groups[0], *layers, groups[-1]], [1, 2, 3], 4)[1]

    assert torch.equal(logits(parts), logits(loaded))


def test_a_block_of_ones_own_is_named_by_its_content() -> None:
    config = assemble.signature(TINY, "ffn")
    one, same_, other = (
        assemble.block("surrogate", {"gate": torch.full((2, 12), value)}, config) for value in (1.0, 1.0, 2.0)
    )
    assert one.id == same_.id != other.id
    assert assemble.block("stitch", {"gate": torch.ones(2, 12)}, config).id != one.id


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
