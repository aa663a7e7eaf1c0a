"""Deltas have the sizes of the specification's table, and act as changes of the model's own tensors would."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.chain import Delta, Model
from remeasure.impls.blockllm.groups import Kind, Place, nbytes, places
from remeasure.impls.blockllm.models import deltas, forward, training
from remeasure.impls.blockllm.models.recipes import DELTAS, Recipe, Technique, learned
from remeasure.impls.blockllm.models.small import WIDTH_32, untrained
from remeasure.impls.common.llama import SMOLLM2_135M, Weights

TOKENS = torch.tensor([[5, 90, 17, 17, 3, 44, 61, 0, 255], [1, 2, 3, 4, 5, 6, 7, 8, 9]])


@pytest.mark.parametrize(
    ("technique", "size", "megabytes", "share"),
    [
        ("lora", 8, "0.92", "99.659"),
        ("bitfit", 0, "0.31", "99.885"),
        (
            "adapter",
            16,
            "2.21",
            "99.185",
        ),  # the specification's 99.184 is of 134.5 million, not of 134,515,008
        ("prefix", 100, "2.30", "99.151"),
        ("top_layers", 2, "14.16", "94.74"),
        ("full", 0, "269.0", "0"),
    ],
)
def test_a_variant_of_smollm2_has_the_bytes_and_the_share_that_the_specification_prints(
    technique: Technique, size: int, megabytes: str, share: str
) -> None:
    tensors = learned(Recipe(technique, "", "", size), SMOLLM2_135M)
    own = sum(prod(spec.shape) for specs in tensors.values() for spec in specs)
    whole = sum(nbytes(SMOLLM2_135M, place) for place in places(SMOLLM2_135M)) // 2
    shared, total = (whole, whole + own) if technique in DELTAS else (whole - own, whole)
    assert f"{2 * own / 1e6:.{len(megabytes.partition('.')[2])}f}" == megabytes
    assert f"{100 * shared / total:.{len(share.partition('.')[2])}f}" == share
    if technique in DELTAS:
        assert deltas.parameters(SMOLLM2_135M, DELTAS[technique], size) == own


def drawn(kind: Kind, size: int, seed: int) -> Delta:
    """A delta of WIDTH_32 in which nothing is zero."""
    generator = torch.Generator().manual_seed(seed)
    return Delta(
        kind,
        {
            place: {spec.name: torch.randn(spec.shape, generator=generator) / 4 for spec in specs}
            for place, specs in deltas.specs(WIDTH_32, kind, size).items()
        },
    )


def groups(seed: int = 1) -> list[Weights]:
    return forward.fp32(untrained(WIDTH_32, seed).groups)


def by_hand(groups: list[Weights], tokens: torch.Tensor, delta: Delta | None) -> torch.Tensor:
    """Logits of one sequence [length] in float64, one head and one position after the other, from the definitions."""
    config = WIDTH_32
    wide = {
        place: {name: tensor.double() for name, tensor in group.items()}
        for place, group in zip(places(config), groups, strict=True)
    }
    added = {
        p: {n: t.double() for n, t in held.items()} for p, held in (delta.tensors if delta else {}).items()
    }
    kind = delta.kind if delta else None
    turns = torch.tensor(config.rope_theta, dtype=torch.float64) ** (
        -torch.arange(config.head_dim // 2) / (config.head_dim / 2)
    )

    def norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean() + config.norm_eps).sqrt() * gain

    def project(place: Place, name: str, x: torch.Tensor) -> torch.Tensor:
        y, own = wide[place][name] @ x, added.get(place, {})
        if kind == "delta_lora" and f"{name}.inner" in own:
            return (wide[place][name] + own[f"{name}.outer"] @ own[f"{name}.inner"]) @ x
        if kind == "delta_adapter" and f"{name}.inner" in own:
            return y + own[f"{name}.outer"] @ (own[f"{name}.inner"] @ y).clamp(min=0)
        return y + own[f"{name}.bias"] if kind == "delta_bitfit" else y

    def turned(vector: torch.Tensor, position: int) -> torch.Tensor:
        pair = torch.complex(*vector.chunk(2)) * torch.polar(torch.ones_like(turns), position * turns)
        return torch.cat((pair.real, pair.imag))

    xs = [wide[Place("embed")]["embedding"][token] for token in tokens]
    for layer in range(config.layers):
        attn, ffn = Place("attn", layer), Place("ffn", layer)
        inner = [norm(x, wide[attn]["attn_norm"]) for x in xs]
        q, k, v = ([project(attn, n, x).view(-1, config.head_dim) for x in inner] for n in "qkv")
        for position in range(len(xs)):
            read = []
            for head in range(config.heads):
                group = head // (config.heads // config.kv_heads)
                keys = [turned(k[p][group], p) for p in range(position + 1)]
                values = [v[p][group] for p in range(position + 1)]
                if kind == "delta_prefix":
                    keys = [*added[attn]["keys"][group], *keys]
                    values = [*added[attn]["values"][group], *values]
                own = turned(q[position][head], position)
                scores = torch.stack([own @ key for key in keys]) / config.head_dim**0.5
                read.append(scores.softmax(0) @ torch.stack(values))
            xs[position] = xs[position] + project(attn, "o", torch.cat(read))
            x = norm(xs[position], wide[ffn]["ffn_norm"])
            gate = project(ffn, "gate", x)
            xs[position] = xs[position] + project(
                ffn, "down", gate / (1 + (-gate).exp()) * project(ffn, "up", x)
            )
    last = wide[Place("head")]["norm"]
    return torch.stack([wide[Place("embed")]["embedding"] @ norm(x, last) for x in xs]).float()


KINDS: list[tuple[Kind, int]] = [
    ("delta_lora", 3),
    ("delta_adapter", 4),
    ("delta_bitfit", 0),
    ("delta_prefix", 5),
]


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_a_delta_acts_as_its_definition_says(kind: Kind, size: int) -> None:
    plain, delta = groups(), drawn(kind, size, 2)
    found = forward.logits(WIDTH_32, plain, TOKENS, delta)
    for row, tokens in zip(found, TOKENS, strict=True):
        torch.testing.assert_close(row, by_hand(plain, tokens, delta), atol=1e-4, rtol=0)
    assert (found - forward.logits(WIDTH_32, plain, TOKENS)).abs().max() > 1e-2


def keeps_negatives(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(F, "relu", lambda x: x)


def adapts_the_inputs(patch: pytest.MonkeyPatch) -> None:
    right = deltas._adapter
    patch.setattr(deltas, "_adapter", lambda *a: lambda x, y: right(*a)(y, x[:, : y.shape[1]]))


def reads_the_outputs(patch: pytest.MonkeyPatch) -> None:
    right = deltas._low_rank
    patch.setattr(
        deltas, "_low_rank", lambda *a: lambda x, y: right(*a)(F.pad(y, (0, x.shape[1] - y.shape[1])), y)
    )


def forgets_a_bias(patch: pytest.MonkeyPatch) -> None:
    right = deltas.acts
    patch.setattr(deltas, "acts", lambda *a: {name: act for name, act in right(*a).items() if name != "up"})


def hides_the_prefix(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deltas, "prefix", lambda kind, tensors: None)


def moves_positions_behind_the_prefix(patch: pytest.MonkeyPatch) -> None:
    right = forward.SideBySide
    patch.setattr(forward, "SideBySide", lambda c, length, prefixes: right(c, length, prefixes, first=5))


def looks_ahead(patch: pytest.MonkeyPatch) -> None:
    right = torch.Tensor.tril
    patch.setattr(torch.Tensor, "tril", lambda x, diagonal: right(x, diagonal + 1))


@pytest.mark.parametrize(
    ("mutant", "kind", "size"),
    [
        (keeps_negatives, "delta_adapter", 4),
        (adapts_the_inputs, "delta_adapter", 4),
        (reads_the_outputs, "delta_lora", 3),
        (forgets_a_bias, "delta_bitfit", 0),
        (hides_the_prefix, "delta_prefix", 5),
        (moves_positions_behind_the_prefix, "delta_prefix", 5),
        (looks_ahead, "delta_prefix", 5),
    ],
)
def test_the_definition_finds_a_wrong_delta(
    mutant: Callable[[pytest.MonkeyPatch], None], kind: Kind, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, delta = groups(), drawn(kind, size, 2)
    mutant(monkeypatch)
    found = forward.logits(WIDTH_32, plain, TOKENS[:1], delta)[0]
    assert (found - by_hand(plain, TOKENS[0], delta)).abs().max() > 1e-3


@pytest.mark.parametrize(("kind", "size"), [pair for pair in KINDS if pair[0] != "delta_prefix"])
def test_a_delta_that_has_learned_nothing_changes_no_bit(kind: Kind, size: int) -> None:
    begun = deltas.initial(WIDTH_32, kind, size, seed=4)
    assert {p: [(n, tuple(t.shape)) for n, t in held.items()] for p, held in begun.items()} == {
        p: [(spec.name, spec.shape) for spec in specs]
        for p, specs in deltas.specs(WIDTH_32, kind, size).items()
    }
    plain = groups()
    found = forward.logits(WIDTH_32, plain, TOKENS, Delta(kind, begun))
    assert torch.equal(found, forward.logits(WIDTH_32, plain, TOKENS))


@settings(max_examples=20)
@given(st.lists(st.integers(0, 255), min_size=4, max_size=24), st.integers(1, 3))
def test_a_prefix_made_of_tokens_stands_for_having_read_them(tokens: list[int], before: int) -> None:
    plain, read = groups(), torch.tensor(tokens)
    made = training.prefix_of(WIDTH_32, plain, read[:before])
    whole = forward.logits(WIDTH_32, plain, read[None])[0, before:]
    behind = forward.logits(WIDTH_32, plain, read[None, before:], Delta("delta_prefix", made))[0]
    torch.testing.assert_close(behind, whole, atol=2e-5, rtol=0)


def test_a_prefix_whose_tokens_stand_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = training._Heard
    monkeypatch.setattr(training, "_Heard", lambda config, length, none, first: right(config, length, none))
    with pytest.raises(AssertionError):
        test_a_prefix_made_of_tokens_stands_for_having_read_them()


@pytest.mark.parametrize(("kind", "size"), KINDS[:2])
def test_a_caller_multiplies_a_delta_s_matrices_its_own_way(kind: Kind, size: int) -> None:
    delta, seen = drawn(kind, size, 2), []

    def counted(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(matrix.shape))
        return F.linear(x, matrix)

    tensors = delta.tensors[Place("attn", 1)]
    for name, act in deltas.acts(kind, tensors, counted).items():
        outputs = tensors[f"{name}.outer"].shape[0]
        assert act(torch.ones(3, WIDTH_32.width), torch.ones(3, outputs)).shape == (3, outputs)
    assert sorted(seen) == sorted(tuple(tensor.shape) for tensor in tensors.values())


def test_what_is_no_delta_is_refused() -> None:
    with pytest.raises(ValueError, match="attn is no kind of delta"):
        deltas.specs(WIDTH_32, "attn", 1)
    with pytest.raises(ValueError, match="stitch is no kind of delta"):
        deltas.acts("stitch", {"q.inner": torch.ones(1, 1), "q.outer": torch.ones(1, 1)})
    with pytest.raises(ValueError, match="a prefix begins with"):
        deltas.initial(WIDTH_32, "delta_prefix", 2, 0)


def test_judging_a_stored_model_rounds_nothing_and_counts_every_token_once() -> None:
    base = untrained(WIDTH_32)
    delta = drawn("delta_lora", 2, 1)
    half = {p: {n: t.half() for n, t in held.items()} for p, held in delta.tensors.items()}
    model = Model("tenant", WIDTH_32, base.groups, Delta("delta_lora", half), base.name)
    blocks = torch.arange(5 * 9).view(5, 9)
    found = forward.surprise(model, blocks, at_once=2)
    full = {p: {n: t.float() for n, t in held.items()} for p, held in half.items()}
    for row, block in zip(found, blocks, strict=True):
        logits = by_hand(forward.fp32(base.groups), block[:-1], Delta("delta_lora", full))
        expected = -logits.log_softmax(1).gather(1, block[1:, None])[:, 0]
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)
