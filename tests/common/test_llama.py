"""The decoder against a slow one in float64; the same bytes give the same logits wherever they lie."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.common import layout, llama
from remeasure.impls.common.layout import aligned, offsets, pack, views
from remeasure.impls.common.llama import (
    KV,
    MICRO,
    SMALL,
    SMOLLM2_135M,
    LlamaConfig,
    TensorSpec,
    Weights,
    embed,
    greedy,
    head,
    layer,
    parts,
    random_weights,
)

UNTIED = replace(MICRO, tied=False, kv_heads=4)
TOKENS = [5, 90, 17, 17, 3, 44, 61, 0, 8]


def logits(
    config: LlamaConfig,
    weights: Sequence[Weights],
    tokens: Sequence[int],
    kv: KV | None = None,
    cuts: Sequence[int] = (),
) -> torch.Tensor:
    """Logits after the last token; the tokens are fed in pieces that begin at 0 and at `cuts`."""
    kv = kv or KV(config, len(tokens))
    bounds = [0, *cuts, len(tokens)]
    for start, end in pairwise(bounds):
        x = embed(torch.tensor(tokens[start:end]), weights[0])
        for index in range(config.layers):
            x = layer(config, index, x, weights[index + 1], kv)
    return head(config, x, weights[-1], weights[0]["embedding"])


def slow(config: LlamaConfig, weights: Sequence[Weights], tokens: Sequence[int]) -> np.ndarray:
    """The same in float64, one position and one head after the other; rotation by complex numbers."""
    w = [{name: tensor.double().numpy() for name, tensor in part.items()} for part in weights]
    half, group = config.head_dim // 2, config.heads // config.kv_heads
    turns = config.rope_theta ** (-np.arange(half) / half)

    def norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean() + config.norm_eps) * gain

    def rotated(vector: np.ndarray, position: int) -> np.ndarray:
        turned = (vector[:half] + 1j * vector[half:]) * np.exp(1j * position * turns)
        return np.concatenate((turned.real, turned.imag))

    xs = [w[0]["embedding"][token] for token in tokens]
    for part in w[1:-1]:
        inner = [norm(x, part["attn_norm"]) for x in xs]
        q, k, v = ([(part[n] @ x).reshape(-1, config.head_dim) for x in inner] for n in "qkv")
        for position in range(len(xs)):
            read = []
            for number in range(config.heads):
                own = rotated(q[position][number], position)
                seen = range(position + 1)
                scores = np.array([own @ rotated(k[p][number // group], p) for p in seen])
                shares = np.exp(scores / config.head_dim**0.5)
                read.append(
                    sum(s * v[p][number // group] for s, p in zip(shares, seen, strict=True)) / shares.sum()
                )
            xs[position] = xs[position] + part["o"] @ np.concatenate(read)
            x = norm(xs[position], part["ffn_norm"])
            gate = part["gate"] @ x
            xs[position] = xs[position] + part["down"] @ (gate / (1 + np.exp(-gate)) * (part["up"] @ x))
    return (w[0]["embedding"] if config.tied else w[-1]["lm_head"]) @ norm(xs[-1], w[-1]["norm"])


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    kv_heads=st.sampled_from([1, 2, 4]),
    tied=st.booleans(),
    tokens=st.lists(st.integers(0, MICRO.vocab - 1), min_size=1, max_size=9),
    data=st.data(),
)
def test_equals_the_slow_decoder_however_the_tokens_are_cut(
    seed: int, kv_heads: int, tied: bool, tokens: list[int], data: st.DataObject
) -> None:
    config = replace(MICRO, kv_heads=kv_heads, tied=tied)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(tokens) - 1)))) if len(tokens) > 1 else []
    weights = random_weights(config, seed)
    found = logits(config, weights, tokens, cuts=cuts).numpy()
    np.testing.assert_allclose(found, slow(config, weights, tokens), atol=2e-5)


def blind_to_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KV, "rotate", lambda self, x, start: x)


def starts_anew(patch: pytest.MonkeyPatch) -> None:
    right = KV.rotate
    patch.setattr(KV, "rotate", lambda self, x, start: right(self, x, 0))


def sees_the_future(patch: pytest.MonkeyPatch) -> None:
    right = F.scaled_dot_product_attention
    patch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda q, k, v, attn_mask, is_causal, enable_gqa: right(q, k, v, enable_gqa=enable_gqa),
    )


def causal_from_the_first_key(patch: pytest.MonkeyPatch) -> None:
    right = F.scaled_dot_product_attention
    patch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda q, k, v, attn_mask, is_causal, enable_gqa: right(
            q, k, v, is_causal=True, enable_gqa=enable_gqa
        ),
    )


def forgets_earlier_tokens(patch: pytest.MonkeyPatch) -> None:
    right = KV.append

    def append(
        self: KV, index: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found = right(self, index, keys, values)
        self.keys[index, :, : self.filled[index] - len(keys)] = 0
        return found

    patch.setattr(KV, "append", append)


def takes_another_gate(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(F, "silu", lambda x, inplace: F.gelu(x))


@pytest.mark.parametrize(
    "mutant",
    [
        blind_to_order,
        starts_anew,
        sees_the_future,
        causal_from_the_first_key,
        forgets_earlier_tokens,
        takes_another_gate,
    ],
)
def test_the_slow_decoder_finds_a_wrong_one(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights(MICRO, 1)
    expected = slow(MICRO, weights, TOKENS)
    np.testing.assert_allclose(logits(MICRO, weights, TOKENS, cuts=[3, 4]), expected, atol=2e-5)
    mutant(monkeypatch)
    assert np.abs(logits(MICRO, weights, TOKENS, cuts=[3, 4]).numpy() - expected).max() > 1e-2


def placed(config: LlamaConfig, weights: Sequence[Weights], shift: int) -> list[Weights]:
    """The weights in a page-aligned mapping of their own, `shift` bytes from its beginning."""
    specs = parts(config)
    total = sum(offsets(part)[1] for part in specs)
    memory, place, found = memoryview(mmap.mmap(-1, total + shift)), shift, []
    for part, tensors in zip(specs, weights, strict=True):
        size = offsets(part)[1]
        memory[place : place + size] = pack(part, tensors)
        found.append(views(part, memory[place : place + size]))
        place += size
    return found


@pytest.mark.parametrize(
    "config", [MICRO, UNTIED, replace(SMALL, layers=2), replace(SMOLLM2_135M, layers=1, vocab=512)]
)
def test_the_same_bytes_give_the_same_logits_at_any_aligned_address(config: LlamaConfig) -> None:
    weights = random_weights(config, 7)
    tokens = np.random.default_rng(0).integers(config.vocab, size=33).tolist()
    once, each = logits(config, weights, tokens), logits(config, weights, tokens, cuts=[16, 31, 32])
    for shift in (0, 64, 4096, 4096 + 192):
        there = placed(config, weights, shift)
        memory = memoryview(mmap.mmap(-1, KV.nbytes(config, 33) + shift))[shift:]
        assert torch.equal(logits(config, there, tokens, KV(config, 33, memory)), once)
        assert torch.equal(logits(config, there, tokens, KV(config, 33, memory), cuts=[16, 31, 32]), each)


@pytest.mark.parametrize("part", range(MICRO.layers + 2))
def test_one_changed_byte_of_the_weights_changes_the_logits(part: int) -> None:
    weights = random_weights(MICRO, 7)
    there = placed(MICRO, weights, 0)
    right = logits(MICRO, there, TOKENS)
    assert torch.equal(right, logits(MICRO, weights, TOKENS))
    changed = next(iter(there[part].values())).view(-1)[TOKENS[-1] * MICRO.width if part == 0 else 0 :]
    changed[:1] *= 1.5
    assert not torch.equal(logits(MICRO, there, TOKENS), right)


def test_a_cache_in_given_memory_goes_on_where_another_ended() -> None:
    weights = random_weights(MICRO, 2)
    memory = aligned(KV.nbytes(MICRO, 12))
    logits(MICRO, weights, TOKENS[:6], KV(MICRO, 12, memory))
    again = aligned(len(memory))
    again[:] = memory
    kv = KV(MICRO, 12, again, filled=6)
    found = logits(MICRO, weights, TOKENS[6:], kv)
    assert torch.equal(found, logits(MICRO, weights, TOKENS, cuts=[6])) and kv.filled == [len(TOKENS)] * 2
    assert not torch.equal(found, logits(MICRO, weights, TOKENS[6:], KV(MICRO, 12, again)))


def test_a_cache_that_is_full_or_does_not_fit_its_memory_is_refused() -> None:
    weights = random_weights(MICRO, 2)
    with pytest.raises(ValueError, match="holds 8 tokens, layer 0 would have 9"):
        logits(MICRO, weights, TOKENS, KV(MICRO, 8))
    memory = aligned(KV.nbytes(MICRO, 8) + 64)
    with pytest.raises(ValueError, match="was given"):
        KV(MICRO, 8, memory)
    with pytest.raises(ValueError, match="multiple of 64"):
        KV(MICRO, 8, memory[4:-60])


def test_greedy_takes_the_likeliest_token_of_each_step() -> None:
    weights = random_weights(MICRO, 3)
    chosen, steps = greedy(MICRO, weights, TOKENS, 5)
    assert len(chosen) == 5 and steps.shape == (5, MICRO.vocab)
    for number in range(5):
        own = logits(MICRO, weights, TOKENS + chosen[:number])
        torch.testing.assert_close(steps[number], own, atol=2e-5, rtol=0)
        assert chosen[number] == int(steps[number].argmax())


class NoMemory:
    """Attention within the tokens of one call, without rotation: what a caller may bring instead of a KV."""

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        heads = (t.transpose(0, 1)[None] for t in (q, k, v))
        attended = torch.nn.functional.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)
        return attended[0].transpose(0, 1).reshape(len(q), -1)


def test_gradients_reach_every_tensor_of_a_layer_and_leave_its_output_alone() -> None:
    weights = random_weights(MICRO, 3)[1]
    x = torch.randn(6, MICRO.width, generator=torch.Generator().manual_seed(0))
    plain = layer(MICRO, 0, x, weights, NoMemory())
    learning = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
    output = layer(MICRO, 0, x, learning, NoMemory())
    output.square().sum().backward()
    assert torch.equal(output.detach(), plain)
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in learning.values())


def test_a_caller_may_multiply_matrices_its_own_way() -> None:
    weights = random_weights(MICRO, 3)[1]
    x = torch.randn(6, MICRO.width, generator=torch.Generator().manual_seed(0))
    seen: list[tuple[int, ...]] = []

    def counted(inputs: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(matrix.shape))
        return inputs @ matrix.T

    torch.testing.assert_close(
        layer(MICRO, 0, x, weights, NoMemory(), linear=counted), layer(MICRO, 0, x, weights, NoMemory())
    )
    assert len(seen) == 7


@pytest.mark.parametrize("name", ["q", "k", "v", "o", "gate", "up", "down"])
def test_a_delta_acts_as_the_same_change_of_the_weight(name: str) -> None:
    weights = random_weights(MICRO, 4)[1]
    x = torch.randn(6, MICRO.width, generator=torch.Generator().manual_seed(0))
    change = weights[name].flip(0) / 4

    def run(weights: Weights, deltas: llama.Deltas | None = None) -> torch.Tensor:
        return layer(MICRO, 0, x, weights, KV(MICRO, 6), deltas)

    changed = run({**weights, name: weights[name] + change})
    torch.testing.assert_close(run(weights, {name: lambda x, _: x @ change.T}), changed, atol=1e-5, rtol=1e-5)
    assert (changed - run(weights)).abs().max() > 1e-2
    assert torch.equal(run(weights, {}), run(weights))
    assert torch.equal(x, torch.randn(6, MICRO.width, generator=torch.Generator().manual_seed(0)))


def test_random_weights_are_those_of_the_seed_and_of_the_declared_parts() -> None:
    for config in (MICRO, UNTIED):
        weights, again, other = (random_weights(config, seed) for seed in (1, 1, 2))
        for part, tensors, same, differs in zip(parts(config), weights, again, other, strict=True):
            assert [TensorSpec(name, tuple(tensor.shape)) for name, tensor in tensors.items()] == part
            assert pack(part, tensors) == pack(part, same) != pack(part, differs)


@pytest.mark.parametrize(("config", "millions"), [(SMOLLM2_135M, 134.515), (SMALL, 29.893)])
def test_models_have_their_number_of_parameters(config: LlamaConfig, millions: float) -> None:
    specs = parts(config)
    assert len(specs) == config.layers + 2
    assert round(sum(prod(spec.shape) for part in specs for spec in part) / 1e6, 3) == millions


def check_places(specs: Sequence[TensorSpec]) -> None:
    places, total = offsets(specs)
    ends = [places[spec.name] + 4 * prod(spec.shape) for spec in specs]
    assert all(end <= start for end, start in zip(ends, [*list(places.values())[1:], total], strict=True))
    assert all(place % 64 == 0 for place in [*places.values(), total])


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple), min_size=1, max_size=8))
def test_packed_tensors_are_aligned_apart_and_read_in_place(shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec(str(number), shape) for number, shape in enumerate(shapes)]
    check_places(specs)
    rng = np.random.default_rng(0)
    weights = {s.name: torch.from_numpy(rng.standard_normal(s.shape, dtype=np.float32)) for s in specs}
    buffer = aligned(offsets(specs)[1])
    buffer[:] = pack(specs, weights)
    found = views(specs, buffer)
    assert all(torch.equal(found[spec.name], weights[spec.name]) for spec in specs)
    buffer[:] = bytes(len(buffer))
    assert not any(tensor.any() for tensor in found.values())


def test_the_check_of_places_finds_tensors_packed_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "ALIGNMENT", 4)
    with pytest.raises(AssertionError):
        check_places([TensorSpec("a", (3,)), TensorSpec("b", (16,))])


def test_a_part_at_a_bad_address_or_of_a_wrong_shape_is_refused() -> None:
    specs = parts(MICRO)[1]
    weights, total = random_weights(MICRO, 1)[1], offsets(specs)[1]
    memory = aligned(total + 64)
    with pytest.raises(ValueError, match="multiple of 64"):
        views(specs, memory[4:])
    with pytest.raises(ValueError, match="given a buffer"):
        views(specs, memory[128:])
    with pytest.raises(ValueError, match=r"k is torch.float32 \(16, 64\), its part says fp32 \(32, 64\)"):
        pack(specs, {**weights, "k": weights["k"][:16]})
    with pytest.raises(ValueError, match=r"k is torch\.float64"):
        pack(specs, {**weights, "k": weights["k"].double()})


def test_the_head_of_a_tied_model_needs_the_embedding() -> None:
    with pytest.raises(ValueError, match="needs the embedding"):
        head(MICRO, torch.zeros(1, MICRO.width), random_weights(MICRO, 1)[-1])
