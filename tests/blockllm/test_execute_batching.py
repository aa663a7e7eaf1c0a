"""Invariant 7: in tile mode a chain gives its monolith's bits, whoever it is batched with and whenever."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from blockllm.execute_tenants import TENANTS, chain, chains, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.execute import batch, steps
from remeasure.impls.blockllm.execute.decoding import Separate, Shared, fast_divergence
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.kv import SequenceKV
from remeasure.impls.blockllm.execute.monolith import Monolith
from remeasure.impls.blockllm.execute.tiles import Mode

ROOM = 40


@dataclass
class Asked:
    """A request: what is generated must not depend on how it is scheduled."""

    tenant: str
    prompt: list[int]
    new_tokens: int
    pieces: list[int]
    """How the prompt is cut."""
    leaves: bool = False
    """Whether it is given up somewhere on the way."""
    logits: list[torch.Tensor] = field(default_factory=list)
    fed: int = 0
    left: bool = False

    @property
    def done(self) -> bool:
        return self.left or len(self.logits) == self.new_tokens


REQUESTS = st.lists(
    st.builds(
        Asked,
        tenant=st.sampled_from(TENANTS),
        prompt=st.lists(st.integers(0, 60), min_size=1, max_size=20),
        new_tokens=st.integers(1, 3),
        pieces=st.lists(st.integers(1, 20), min_size=1, max_size=4),
        leaves=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=6,
)


def feed(executor: Executor, name: str, request: Asked) -> None:
    """The next piece of the prompt, or the token chosen last."""
    if request.logits:
        executor.feed(name, [int(request.logits[-1].argmax())])
        return
    count = request.pieces.pop() if request.pieces else len(request.prompt)
    piece = request.prompt[request.fed : request.fed + count]
    request.fed += len(piece)
    executor.feed(name, piece, wanted=int(request.fed == len(request.prompt)))


def serve(requests: list[Asked], rng: random.Random, mode: Mode = "tile") -> None:
    """Joining, leaving, and taking blocks and batches in any order whatever."""
    executor = Executor(chains(), mode)
    waiting = {f"s{n}": request for n, request in enumerate(requests)}
    joined: dict[str, Asked] = {}
    while waiting or not all(request.done for request in joined.values()):
        on_their_way = {name for names in executor.standing.values() for name in names}
        idle = [name for name, r in joined.items() if not r.done and name not in on_their_way]
        acts: list[str] = ["join"] * bool(waiting) + ["feed"] * bool(idle) + ["run"] * 3 * bool(on_their_way)
        act = rng.choice(acts)
        if act == "join":
            name = rng.choice(list(waiting))
            joined[name] = waiting.pop(name)
            executor.add(name, joined[name].tenant, ROOM)
        elif act == "feed":
            name = rng.choice(idle)
            feed(executor, name, joined[name])
        else:
            station = rng.choice(list(executor.standing))
            here = executor.standing[station]
            some = None if rng.random() < 0.5 else rng.sample(here, rng.randint(1, len(here)))
            executor.run(station, some)
            for name, logits in executor.collect().items():
                joined[name].logits.append(logits[0])
            for name, request in joined.items():
                if request.leaves and not request.done and rng.random() < 0.05:
                    executor.remove(name)
                    request.left = True


def check(
    requests: list[Asked], rng: random.Random, oracles: Mapping[str, Monolith], mode: Mode = "tile"
) -> None:
    serve(requests, rng, mode)
    for request in requests:
        if request.logits:
            _, logits = oracles[request.tenant].greedy(request.prompt, len(request.logits))
            assert same_bits(torch.stack(request.logits), logits), f"{request.tenant} was disturbed"


@pytest.fixture(scope="module")
def oracles() -> dict[str, Monolith]:
    return {tenant: Monolith(chain(tenant), "tile") for tenant in TENANTS}


@settings(max_examples=40, deadline=None)
@given(requests=REQUESTS, rng=st.randoms(use_true_random=False))
def test_any_schedule_gives_the_bits_of_the_monoliths(
    oracles: dict[str, Monolith], requests: list[Asked], rng: random.Random
) -> None:
    check(requests, rng, oracles)


def crowd() -> list[Asked]:
    """Everybody at once, twice."""
    return [Asked(tenant, [7, 1, n, 3], 2, [2]) for n in range(2) for tenant in TENANTS]


def torn(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A product whose sums depend on how many rows there are."""
    middle = min(len(x), x.shape[1] - 1)
    return F.linear(x[:, :middle], weights[:, :middle]) + F.linear(x[:, middle:], weights[:, middle:])


def test_the_check_finds_a_delta_that_reaches_the_neighbours_rows(
    oracles: dict[str, Monolith], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(crowd(), random.Random(0), oracles)
    honest = batch._by_rows
    monkeypatch.setattr(
        batch,
        "_by_rows",
        lambda pieces: honest([(max(start - 1, 0), end, act) for start, end, act in pieces]),
    )
    with pytest.raises(AssertionError, match="disturbed"):
        check(crowd(), random.Random(0), oracles)


def test_the_check_finds_a_product_that_minds_its_company(
    oracles: dict[str, Monolith], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "linear", lambda mode: torn)
    with pytest.raises(AssertionError, match="disturbed"):
        check(crowd(), random.Random(0), oracles)


def test_the_check_finds_attention_that_minds_how_a_prompt_is_cut(
    oracles: dict[str, Monolith], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = steps.Steps.new_kv

    def at_once(self: steps.Steps, max_tokens: int) -> SequenceKV:
        kv = honest(self, max_tokens)
        kv._one_by_one = False
        return kv

    monkeypatch.setattr(steps.Steps, "new_kv", at_once)
    with pytest.raises(AssertionError, match="disturbed"):
        check([Asked("base", list(range(20)), 1, [7, 6])], random.Random(0), oracles)


@pytest.mark.parametrize("mode", ["tile", "fast"])
def test_tenants_share_a_batch_at_every_block_they_share(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, int]] = []
    run = steps.Step.run

    def watched(self: steps.Step, x: torch.Tensor, attention: batch.Batch, acts: object) -> torch.Tensor:
        taken.append((self.block.id, len(attention.members)))
        return run(self, x, attention, acts)

    monkeypatch.setattr(steps.Step, "run", watched)
    executor = Executor(chains(), mode)
    for tenant in TENANTS:
        executor.add(tenant, tenant, 8)
        executor.feed(tenant, [5, 9])
    assert set(executor.step()) == set(TENANTS)
    assert len(taken) == len(set(taken))
    sizes = dict(taken)
    # "other" shares nothing, "top" everything but its last layer.
    assert {sizes[f"1 attn {n}"] for n in (0, 1)} == {7}
    assert (sizes["1 attn 2"], sizes["3 attn 2"], sizes["2 attn 2"]) == (6, 1, 1)


@pytest.mark.parametrize("mode", ["tile", "fast"])
def test_shared_and_separate_decoding_are_the_same_work(mode: Mode) -> None:
    prompts = {tenant: [3, 1, 4, n] for n, tenant in enumerate(TENANTS)}
    shared, separate = (kind(chains(), prompts, 4, mode) for kind in (Shared, Separate))
    first, again, alone = shared.round(), shared.round(), separate.round()
    for tenant in TENANTS:
        assert first[tenant].shape == (4, 61)
        assert same_bits(first[tenant], again[tenant])
        assert torch.allclose(first[tenant], alone[tenant], atol=1e-4)
        assert mode == "fast" or same_bits(first[tenant], alone[tenant])


def test_fast_mode_stays_within_a_tolerance_of_tile_mode() -> None:
    prompts = {tenant: list(range(n, n + 15)) for n, tenant in enumerate(TENANTS)}
    found = fast_divergence(chains(), prompts)
    assert 0 < found.max_difference < 1e-4
    assert found.kl < 1e-9
    assert found.agreement == 1
