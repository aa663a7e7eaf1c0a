"""The zoo's promise (invariant 9): nothing changes in it, nothing is stored twice, nothing that is needed goes away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from blockllm.zoo_family import FAMILY, zoo
from blockllm.zoo_models import PLACES, SETTINGS, bits, families, same
from hypothesis import given, settings

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Chain, Model
from remeasure.impls.blockllm.zoo import assemble, objects, writing
from remeasure.impls.blockllm.zoo.chains import Hash, Stored
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.impls.blockllm.zoo.verify import verify

Check = Callable[[Path, Sequence[Model]], None]


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
