"""Whatever is wrong with a zoo on disk is found and said, each thing in one sentence that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from blockllm.zoo_models import model
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.zoo import chains, objects, verify
from remeasure.impls.blockllm.zoo.memory import fresh
from remeasure.impls.blockllm.zoo.objects import described, write
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.impls.blockllm.zoo.verify import verify as faults

MODELS = (model("base"), model("lora", delta={1: 0}), model("top", (0, 0, 0, 1, 1, 0)))


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return filled(tmp_path / "zoo")


def filled(root: Path) -> Zoo:
    made = Zoo(root, threads=2)
    for one in MODELS:
        made.insert(one)
    return made


def flip(path: Path, place: int, with_: int = 0x10) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= with_
    path.chmod(0o644)
    path.write_bytes(content)


def only(found: list[str]) -> str:
    """The one sentence there is."""
    assert len(found) == 1, found
    assert "\n" not in found[0] and found[0].endswith(".")
    return found[0]


def object_at(zoo: Zoo, name: str, step: int) -> Path:
    return zoo.object_file(zoo.stored(name).steps[step].object)


def test_a_sound_zoo_has_no_faults(zoo: Zoo) -> None:
    assert faults(zoo) == []


def test_a_flipped_byte_is_named_with_its_file_its_block_and_its_models(zoo: Zoo) -> None:
    path = object_at(zoo, "base", 2)
    flip(path, -1)
    said = only(faults(zoo))
    assert said.startswith(f"{path} is damaged (it holds ")
    assert "it is used by ffn 0 of base, ffn 0 of lora, ffn 0 of top: delete it and insert one" in said
    for use in (zoo.load, zoo.fetch):
        with pytest.raises(UserError) as refusal:
            use("lora")
        assert str(refusal.value) == said, "loading says the same"
    zoo.fetch("lora", check=False)


def test_a_flipped_byte_of_a_delta_is_named_with_its_tenant(zoo: Zoo) -> None:
    delta = zoo.stored("lora").steps[1].delta
    assert delta is not None
    flip(zoo.object_file(delta), 200)
    assert "it is used by attn 0 of lora: delete it" in only(faults(zoo))
    zoo.load("base", "top")


def every_file(zoo: Zoo) -> list[Path]:
    return sorted(path for path in zoo.root.glob("*/*"))


def check_flip(zoo: Zoo, number: int, place: int, bit: int) -> None:
    """A flipped bit anywhere in the zoo is found, and its file is named."""
    files = every_file(zoo)
    path = files[number % len(files)]
    whole = path.read_bytes()
    try:
        flip(path, place, 1 << bit)
        assert any(str(path) in said for said in faults(zoo)), path
    finally:
        path.write_bytes(whole)


@given(number=st.integers(0, 100), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_bit_flipped_anywhere_is_found_and_its_file_is_named(
    number: int, place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / "flipped"
    check_flip(Zoo(root, threads=1) if root.exists() else filled(root), number, place, bit)


def test_a_verification_that_only_looks_at_sizes_would_miss_it(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = objects.read
    monkeypatch.setattr(verify.objects, "read", lambda path, place: read(path, check=False, place=place))
    with pytest.raises(AssertionError):
        check_flip(zoo, 4, -1, 0)


def test_a_verification_that_believes_chains_would_miss_it(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zoo.chain_file("base")
    place = path.read_bytes().index(b"0.00001") + 2
    check_flip(zoo, every_file(zoo).index(path), place, 0)
    believing = chains.encode
    monkeypatch.setattr(
        chains, "encode", lambda stored: path.read_bytes() if stored.model == "base" else believing(stored)
    )
    with pytest.raises(AssertionError):
        check_flip(zoo, every_file(zoo).index(path), place, 0)


def test_a_missing_object_is_named_with_what_needs_it(zoo: Zoo) -> None:
    path = object_at(zoo, "top", 3)
    path.unlink()
    said = f"{path} is missing; it is used by attn 1 of top: insert one of its models again."
    assert only(faults(zoo)) == said
    with pytest.raises(UserError, match=re.escape(said)):
        zoo.load("base", "top")
    zoo.insert(MODELS[2])
    assert not faults(zoo)


def test_many_users_of_an_object_are_counted(zoo: Zoo) -> None:
    for number in range(4):
        zoo.insert(model(f"tenant {number}", delta={2: number}))
    flip(object_at(zoo, "base", 0), 300)
    assert (
        "used by embed of base, embed of lora, embed of tenant 0, embed of tenant 1, embed of tenant 2 and 2 more:"
        in only(faults(zoo))
    )


def test_a_damaged_object_that_no_model_needs_is_found_too(zoo: Zoo) -> None:
    path = object_at(zoo, "top", 3)
    zoo.remove("top")
    flip(path, -1)
    assert "it is used by no model" in only(faults(zoo))


@pytest.mark.parametrize(
    "place", ["notes.txt", "objects/notes.txt", "objects/model.safetensors", "chains/notes.txt", "models"]
)
def test_a_foreign_file_is_named(place: str, zoo: Zoo) -> None:
    (zoo.root / place).write_text("mine")
    assert only(faults(zoo)) == f"{zoo.root / place} does not belong to a zoo; move it away."
    zoo.load("base", "lora", "top")


def test_what_a_killed_insertion_left_is_no_fault(zoo: Zoo) -> None:
    content = described(model("x", (2,) * 6).groups[0], {})
    write(content, zoo.object_file(content.name), fresh(objects.PIECE))
    (zoo.objects / f"{content.name}.0123.tmp").write_bytes(b"half")
    (zoo.chains / "x.json.0123.tmp").write_bytes(b"half")
    (zoo.root / "profile.parquet.0123.tmp").write_bytes(b"half")
    before = zoo.total_bytes
    assert not faults(zoo)
    assert zoo.collect() == content.nbytes + 12 and zoo.total_bytes == before - content.nbytes


def edited(change: Callable[[dict[str, object]], object], sealed: bool = True) -> Callable[[Zoo], None]:
    """A chain's file changed by somebody, who put a fitting seal under it or not."""

    def edit(zoo: Zoo) -> None:
        path = zoo.chain_file("base")
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content, indent=1) + "\n")
        if sealed:
            path.write_bytes(chains.encode(msgspec.json.decode(path.read_bytes(), type=chains.Stored)))

    return edit


def swap(content: dict[str, object], key: str, one: int, other: int) -> None:
    steps = content["steps"]
    assert isinstance(steps, list)
    steps[one][key], steps[other][key] = steps[other][key], steps[one][key]


WRONG_CHAINS: dict[str, tuple[Callable[[Zoo], object], str]] = {
    "no JSON": (
        lambda zoo: zoo.chain_file("base").write_text("what"),
        r"is no chain of this zoo \(JSON is malformed",
    ),
    "empty": (lambda zoo: zoo.chain_file("base").write_text(""), "is no chain of this zoo"),
    "binary": (lambda zoo: zoo.chain_file("base").write_bytes(b"\xff\xfe"), "is no chain of this zoo"),
    "of another version": (
        edited(lambda c: c.update(format=2), sealed=False),
        r"is no chain of this zoo \(.*format",
    ),
    "with a field more": (edited(lambda c: c.update(also=1), sealed=False), "is no chain of this zoo"),
    "with a field less": (edited(lambda c: c.pop("parent"), sealed=False), "is no chain of this zoo"),
    "changed without its seal": (
        edited(lambda c: c.update(parent="me"), sealed=False),
        "is not as it was written",
    ),
    "of another model": (edited(lambda c: c.update(model="other")), "holds the chain of other"),
    "without a place": (edited(lambda c: c["steps"].pop(1)), "does not list the places"),  # type: ignore[attr-defined]
    "with places exchanged": (edited(lambda c: swap(c, "place", 1, 2)), "does not list the places"),
    "with a delta of no kind": (
        edited(lambda c: swap(c, "delta", 1, 1) or c.update(delta="delta_lora")),
        "the delta",
    ),
    "with objects exchanged": (
        edited(lambda c: swap(c, "object", 1, 2)),
        "is wrong: the chain of base does not fit its objects: attn 0, .* has attn_norm missing",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_CHAINS)
def test_a_wrong_chain_is_named_and_costs_the_other_models_nothing(wrong: str, zoo: Zoo) -> None:
    damage, said = WRONG_CHAINS[wrong]
    damage(zoo)
    sentence = only(faults(zoo))
    assert re.search(said, sentence), sentence
    assert sentence.startswith(str(zoo.chain_file("base"))) and "delete it and insert base again." in sentence
    for use in (zoo.load, zoo.fetch):
        with pytest.raises(UserError) as refusal:
            use("base")
        assert str(refusal.value) in sentence, "loading says the same"
    zoo.load("lora", "top")


def test_objects_of_a_chain_that_cannot_be_read_have_no_known_user(zoo: Zoo) -> None:
    path = object_at(zoo, "top", 3)
    zoo.chain_file("top").write_text("what")
    flip(path, -1)
    chain, damaged = faults(zoo)
    assert (
        "top.json is no chain" in chain and f"{path} is damaged" in damaged and "used by no model" in damaged
    )


def test_what_is_no_zoo_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere is no zoo; insert a model into it first\."):
        faults(Zoo(tmp_path / "nowhere"))
