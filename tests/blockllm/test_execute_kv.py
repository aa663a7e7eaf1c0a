"""Invariant 4: attention reads what the executing block produced, every earlier token once, nothing rolled back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
import torch
from blockllm.execute_tenants import CONFIG, TENANTS, block, blocks, chain, chains, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Chain, Link
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.kv import Entry, Producer, ProvenanceError, SequenceKV
from remeasure.impls.blockllm.execute.monolith import Monolith
from remeasure.impls.blockllm.execute.running import Running
from remeasure.impls.blockllm.execute.steps import Step, Steps
from remeasure.impls.blockllm.groups import Place, places

ROOM = 48
HALVES = [place for place in places(CONFIG) if place.kind in ("attn", "ffn")]


def link_of(tenant: str, place: Place) -> Link:
    return next(link for link in chain(tenant).links if link.place == place)


def with_link(old: Chain, link: Link) -> Chain:
    return replace(old, links=tuple(link if link.place == own.place else own for own in old.links))


@dataclass
class Twin:
    """A sequence, and the same thing done by hand with monoliths."""

    chain: Chain
    kv: SequenceKV
    tokens: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, tenant: str) -> Twin:
        return cls(chain(tenant), Monolith(chain(tenant), "tile").new_kv(ROOM))

    def feed(self, tokens: list[int]) -> torch.Tensor:
        self.tokens += tokens
        return Monolith(self.chain, "tile").forward(self.kv, tokens)[0]

    def substitute(self, link: Link) -> None:
        """Whatever stands before the place is the same in both chains, so a whole run of the new one has the layer."""
        old = next(own for own in self.chain.links if own.place == link.place)
        self.chain = with_link(self.chain, link)
        if link.place.kind == "ffn" or (old.block, old.delta) == (link.block, link.delta):
            return  # it is the producer of what is there
        fresh = Monolith(self.chain, "tile").new_kv(ROOM)
        if self.tokens:
            Monolith(self.chain, "tile").forward(fresh, self.tokens)
        self.kv.adopt(link.place.layer, fresh)

    def truncate(self, tokens: int) -> None:
        self.kv.truncate(tokens)
        del self.tokens[tokens:]


def check_entries(executor: Executor, name: str, twin: Twin) -> None:
    """Every layer holds the tokens so far, each once, by the block and delta that will read them."""
    attending = [link for link in twin.chain.links if link.place.kind == "attn"]
    for layer, link in enumerate(attending):
        producer = Producer(link.block.id, link.delta.id if link.delta else "")
        wanted = [Entry(0, len(twin.tokens), producer)] if twin.tokens else []
        found = executor.kv(name).entries(layer)
        assert found == wanted, f"layer {layer} holds {found}"
        assert executor.kv(name).filled[layer] == len(twin.tokens)


def check(executor: Executor, rng: random.Random, acts: int = 12) -> None:
    """Feeding, substituting and rolling back several sequences in any order."""
    twins = {}
    for n in range(rng.randint(1, 3)):
        tenant = rng.choice(TENANTS)
        executor.add(f"s{n}", tenant, ROOM)
        twins[f"s{n}"] = Twin.of(tenant)
    for _ in range(acts):
        name = rng.choice(list(twins))
        twin = twins[name]
        match rng.choice(["feed", "feed", "substitute", "truncate"]):
            case "feed":
                some = rng.sample(list(twins), rng.randint(1, len(twins)))
                fed = {one: [rng.randrange(CONFIG.vocab) for _ in range(rng.randint(1, 4))] for one in some}
                fed = {one: new for one, new in fed.items() if len(twins[one].tokens) + len(new) <= ROOM}
                for one, new in fed.items():
                    executor.feed(one, new)
                for one, logits in executor.step().items():
                    assert same_bits(logits[0], twins[one].feed(fed[one])), f"{one} has other logits"
            case "substitute":
                link = link_of(rng.choice(TENANTS), rng.choice(HALVES))
                executor.substitute(name, link)
                twin.substitute(link)
            case _:
                keep = rng.randint(0, len(twin.tokens))
                executor.truncate(name, keep)
                twin.truncate(keep)
        for one in twins:
            check_entries(executor, one, twins[one])


@settings(max_examples=30, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_entries_are_the_executing_blocks_whatever_is_substituted_or_rolled_back(rng: random.Random) -> None:
    check(Executor(chains(), "tile"), rng)


class SkipsRecompute(Executor):
    """Substitutes the block and leaves the keys and values."""

    def _reuse(self, one: Running, before: Step, steps: Steps, number: int, kv_reuse: str) -> None:
        pass


class HidesIt(Executor):
    """Leaves them too, and says they are the new block's."""

    def _reuse(self, one: Running, before: Step, steps: Steps, number: int, kv_reuse: str) -> None:
        layer, after = before.layer, steps.all[number]
        one.kv._runs[layer] = [(end, after.producer) for end, _ in one.kv._runs[layer]]


class ForgetsALayer(Executor):
    """Rolls back all layers but the last."""

    def truncate(self, sequence: str, tokens: int) -> None:
        kv = self.kv(sequence)
        last = kv._runs[-1], kv.filled[-1]
        super().truncate(sequence, tokens)
        kv._runs[-1], kv.filled[-1] = last


def several(kind: type[Executor]) -> None:
    for seed in range(6):
        check(kind(chains(), "tile"), random.Random(seed))


@pytest.mark.parametrize("mutant", [SkipsRecompute, HidesIt, ForgetsALayer])
def test_the_check_finds(mutant: type[Executor]) -> None:
    several(Executor)
    with pytest.raises((AssertionError, ProvenanceError)):
        several(mutant)


def test_reading_another_blocks_entries_is_refused() -> None:
    mutant = SkipsRecompute({"base": chain("base")}, "tile")
    mutant.add("s", "base", ROOM)
    mutant.feed("s", [1, 2, 3])
    mutant.step()
    mutant.substitute("s", link_of("other", Place("attn", 1)))
    mutant.feed("s", [4])
    with pytest.raises(ProvenanceError, match=r"layer 1 .*'1 attn 1'.*'2 attn 1'"):
        mutant.step()


@pytest.mark.parametrize("tenant", ["lora a", "other"])
def test_another_delta_is_another_producer_as_another_block_is(tenant: str) -> None:
    executor = Executor(chains(), "tile")
    executor.add("s", "base", ROOM)
    executor.feed("s", [1, 2, 3])
    executor.step()
    with pytest.raises(UserError, match=r"3 tokens from block 1 attn 1 at attn 1; recompute"):
        executor.substitute("s", link_of(tenant, Place("attn", 1)), "refuse")
    executor.feed("s", [4])
    assert same_bits(executor.step()["s"], Monolith(chain("base"), "tile").greedy([1, 2, 3, 4], 1)[1])


@pytest.mark.parametrize("kv_reuse", ["recompute", "refuse", "cross_variant"])
@pytest.mark.parametrize("tenant", TENANTS)
def test_before_the_first_token_any_substitution_is_exact(tenant: str, kv_reuse: str) -> None:
    executor = Executor(chains(), "tile")
    executor.add("s", "base", ROOM)
    link = link_of(tenant, Place("attn", 1))
    executor.substitute("s", link, kv_reuse)  # type: ignore[arg-type]
    executor.feed("s", [1, 2, 3])
    expected = Monolith(with_link(chain("base"), link), "tile").greedy([1, 2, 3], 1)[1]
    assert same_bits(executor.step()["s"], expected)
    assert executor.approximations("s") == ()


def test_reuse_across_variants_is_an_approximation_that_is_reported() -> None:
    logits = {}
    place = Place("attn", 2)
    for kv_reuse in ("recompute", "cross_variant"):
        executor = Executor(chains(), "tile")
        executor.add("s", "base", ROOM)
        executor.feed("s", [1, 2, 3])
        executor.step()
        executor.substitute("s", link_of("top", place), kv_reuse)  # type: ignore[arg-type]
        for token in (4, 5):  # the second one reads entries of both
            executor.feed("s", [token])
            logits[kv_reuse] = executor.step()["s"]
        marked = (place,) if kv_reuse == "cross_variant" else ()
        assert executor.approximations("s") == marked
        assert {entry.producer.block for entry in executor.kv("s").entries(2)} == (
            {"1 attn 2", "3 attn 2"} if marked else {"3 attn 2"}
        )
    assert not same_bits(logits["recompute"], logits["cross_variant"])


def test_keys_of_another_shape_or_behind_another_prefix_cannot_be_reused() -> None:
    whole = blocks(1)[Place("attn", 1)]
    fewer = {"q": 20, "k": 10, "v": 10}
    tensors = {name: tensor[: fewer.get(name)] for name, tensor in whole.tensors.items()}
    tensors["o"] = whole.tensors["o"][:, :20].contiguous()
    pruned = replace(block(Place("attn", 1), "pruned", tensors), kind="surrogate")
    for link in (Link(Place("attn", 1), pruned), link_of("prefix", Place("attn", 1))):
        executor = Executor(chains(), "tile")
        executor.add("s", "base", ROOM)
        executor.feed("s", [1, 2, 3])
        executor.step()
        with pytest.raises(UserError, match="cannot read the keys and values of block 1 attn 1"):
            executor.substitute("s", link, "cross_variant")
        executor.substitute("s", link)
        executor.feed("s", [4])
        twin = Twin.of("base")
        twin.feed([1, 2, 3])
        twin.substitute(link)
        assert same_bits(executor.step()["s"][0], twin.feed([4]))


def test_what_does_not_fit_the_chain_is_refused_and_changes_nothing() -> None:
    executor = Executor(chains(), "tile")
    executor.add("s", "base", ROOM)
    with pytest.raises(UserError, match="base has no attn 7"):
        executor.substitute("s", Link(Place("attn", 7), blocks(1)[Place("attn", 1)]))
    with pytest.raises(UserError, match="chain of base is not valid"):
        executor.substitute("s", Link(Place("attn", 1), blocks(1)[Place("ffn", 1)]))
    executor.feed("s", [1])
    with pytest.raises(ValueError, match="on its way"):
        executor.substitute("s", link_of("other", Place("attn", 1)))
    assert same_bits(executor.step()["s"], Monolith(chain("base"), "tile").greedy([1], 1)[1])


def test_a_roll_back_forgets_in_every_layer_and_cuts_entries_of_two_producers() -> None:
    kv = Monolith(chain("base"), "tile").new_kv(8)
    width = (CONFIG.heads, CONFIG.kv_heads, CONFIG.kv_heads)
    old, new = Producer("old", ""), Producer("new", "delta")
    for layer in range(3):
        for producer, count in ((old, 3), (new, 2)):
            kv.attend(
                layer, *(torch.ones(count, heads, CONFIG.head_dim) for heads in width), producer=producer
            )
            kv.tolerate(layer)
    assert kv.entries(1) == [Entry(0, 3, old), Entry(3, 5, new)]
    kv.truncate(4)
    assert [kv.entries(layer) for layer in range(3)] == [[Entry(0, 3, old), Entry(3, 4, new)]] * 3
    kv.truncate(2, first_layer=1)
    assert kv.filled == [4, 2, 2]
    assert kv.entries(2) == [Entry(0, 2, old)]
    kv.truncate(0)
    assert kv.entries(0) == []


def test_a_full_kv_refuses_and_keeps_what_it_has() -> None:
    model = Monolith(chain("base"), "fast")
    kv = model.new_kv(3)
    model.forward(kv, [1, 2])
    with pytest.raises(ValueError, match="holds 3 tokens, layer 0 would have 4"):
        model.forward(kv, [3, 4])
    assert kv.filled == [2, 2, 2]
    longer = Monolith(chain("base"), "fast").greedy([1, 2, 3], 1)[1]
    assert torch.allclose(model.forward(kv, [3]), longer, atol=1e-5)
