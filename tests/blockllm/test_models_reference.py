"""The forward pass of transformers, with peft's LoRA and prefixes, gives the logits that ours gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Delta, Model
from remeasure.impls.blockllm.groups import Kind, Place, join
from remeasure.impls.blockllm.models import corpus, deltas, forward
from remeasure.impls.blockllm.models.foundation import foundation
from remeasure.impls.blockllm.models.small import WIDTH_32, untrained
from remeasure.impls.common import smollm
from remeasure.impls.common.llama import LlamaConfig, Weights

transformers = pytest.importorskip("transformers")

MICRO = replace(WIDTH_32, layers=3, width=48, heads=6, kv_heads=2)
UNTIED = replace(MICRO, tied=False, kv_heads=6)
TOKENS = torch.randint(256, (2, 40), generator=torch.Generator().manual_seed(5))
THEIRS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""What transformers calls the tensors of a layer."""


def theirs(config: LlamaConfig, groups: list[Weights], biases: bool = False) -> Any:
    """transformers' model of this shape with these weights; every bias is zero."""
    shape = transformers.LlamaConfig(
        vocab_size=config.vocab,
        hidden_size=config.width,
        intermediate_size=config.ffn,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=256,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=config.tied,
        attention_bias=biases,
        mlp_bias=biases,
    )
    model = transformers.LlamaForCausalLM(shape).eval()
    first, *layers, last = join(config, groups)
    state = {"model.embed_tokens.weight": first["embedding"], "model.norm.weight": last["norm"]}
    state["lm_head.weight"] = first["embedding"] if config.tied else last["lm_head"]
    for index, layer in enumerate(layers):
        for name, tensor in layer.items():
            state[f"model.layers.{index}.{THEIRS[name]}.weight"] = tensor
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith(".bias") for name in missing)
    return model


def drawn(config: LlamaConfig, kind: Kind, size: int) -> Delta:
    """A delta in which nothing is zero."""
    generator = torch.Generator().manual_seed(3)
    return Delta(
        kind,
        {
            place: {spec.name: torch.randn(spec.shape, generator=generator) / 4 for spec in specs}
            for place, specs in deltas.specs(config, kind, size).items()
        },
    )


def with_delta(model: Any, config: LlamaConfig, delta: Delta) -> Callable[[torch.Tensor], torch.Tensor]:
    """transformers' model with a delta put in by peft where it can, else by hand: tokens -> logits."""
    if delta.kind == "delta_lora":
        return lora(model, delta)
    if delta.kind == "delta_prefix":
        return prefix(model, config, delta)
    for place, tensors in delta.tensors.items():
        layer = model.model.layers[place.layer]
        for name in [name for name in THEIRS if f"{name}.bias" in tensors]:
            layer.get_submodule(THEIRS[name]).bias.data.copy_(tensors[f"{name}.bias"])
        for name in [name for name in THEIRS if f"{name}.inner" in tensors]:
            layer.set_submodule(THEIRS[name], adapter(layer.get_submodule(THEIRS[name]), name, tensors))
    return lambda tokens: model(tokens).logits


def adapter(projection: torch.nn.Module, name: str, tensors: Weights) -> torch.nn.Module:
    """A projection and, around a way through, Houlsby's two layers behind it."""

    class Behind(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            narrow, width = tensors[f"{name}.inner"].shape
            self.projection = projection
            self.inner = torch.nn.Linear(width, narrow, bias=False)
            self.outer = torch.nn.Linear(narrow, width, bias=False)
            self.inner.weight.data.copy_(tensors[f"{name}.inner"])
            self.outer.weight.data.copy_(tensors[f"{name}.outer"])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.projection(x)
            return y + self.outer(torch.relu(self.inner(y)))

    return Behind()


def lora(model: Any, delta: Delta) -> Callable[[torch.Tensor], torch.Tensor]:
    peft = pytest.importorskip("peft")
    rank = delta.tensors[Place("attn", 0)]["q.inner"].shape[0]
    settings = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=["q_proj", "v_proj"])
    adapted = peft.get_peft_model(model, settings).eval()
    for place, tensors in delta.tensors.items():
        attention = adapted.base_model.model.model.layers[place.layer].self_attn
        for name, projection in (("q", attention.q_proj), ("v", attention.v_proj)):
            projection.lora_A["default"].weight.data.copy_(tensors[f"{name}.inner"])
            projection.lora_B["default"].weight.data.copy_(tensors[f"{name}.outer"])
    return lambda tokens: adapted(tokens).logits


def prefix(model: Any, config: LlamaConfig, delta: Delta) -> Callable[[torch.Tensor], torch.Tensor]:
    """peft keeps a prefix as one table [tokens, layers × 2 × kv_heads × head_dim] and would begin the positions of the
    real tokens behind it; here they begin at 0, so the model is called with peft's prefix and positions of our own."""
    peft = pytest.importorskip("peft")
    rows = [tensors[name] for tensors in delta.tensors.values() for name in (deltas.KEYS, deltas.VALUES)]
    size = rows[0].shape[1]
    adapted = peft.get_peft_model(
        model, peft.PrefixTuningConfig(num_virtual_tokens=size, task_type="CAUSAL_LM")
    ).eval()
    table = torch.stack(rows).permute(2, 0, 1, 3).reshape(size, -1)
    adapted.prompt_encoder["default"].embedding.weight.data.copy_(table)

    def run(tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(
            tokens,
            past_key_values=adapted.get_prompt(batch_size=len(tokens)),
            position_ids=torch.arange(tokens.shape[1]).expand(tokens.shape),
        ).logits
        return found

    return run


DELTAS: list[tuple[Kind, int]] = [
    ("delta_lora", 4),
    ("delta_adapter", 5),
    ("delta_bitfit", 0),
    ("delta_prefix", 7),
]


@torch.no_grad()
def furthest(config: LlamaConfig, kind: Kind | None, size: int) -> float:
    """The largest difference between their logits and ours, on random weights."""
    groups = forward.fp32(untrained(config, 8).groups)
    model = theirs(config, groups, biases=kind == "delta_bitfit")
    delta = drawn(config, kind, size) if kind else None
    run = with_delta(model, config, delta) if delta else lambda tokens: model(tokens).logits
    return float((run(TOKENS) - forward.logits(config, groups, TOKENS, delta)).abs().max())


@pytest.mark.parametrize("config", [MICRO, UNTIED])
@pytest.mark.parametrize(("kind", "size"), [(None, 0), *DELTAS])
def test_another_implementation_gives_the_same_logits(
    config: LlamaConfig, kind: Kind | None, size: int
) -> None:
    assert furthest(config, kind, size) < 1e-4


def doubles_lora(patch: pytest.MonkeyPatch) -> None:
    right = deltas._low_rank
    patch.setattr(deltas, "_low_rank", lambda *a: lambda x, y: 2 * right(*a)(x, y))


def adapts_before(patch: pytest.MonkeyPatch) -> None:
    right = deltas._adapter
    patch.setattr(deltas, "_adapter", lambda *a: lambda x, y: right(*a)(y, 2 * y))


def forgets_biases(patch: pytest.MonkeyPatch) -> None:
    right = deltas.acts
    patch.setattr(deltas, "acts", lambda *a: {n: act for n, act in right(*a).items() if n != "k"})


def begins_behind_the_prefix(patch: pytest.MonkeyPatch) -> None:
    right = forward.SideBySide
    patch.setattr(forward, "SideBySide", lambda c, length, prefixes: right(c, length, prefixes, first=7))


@pytest.mark.parametrize(
    ("mutant", "number"),
    [(doubles_lora, 0), (adapts_before, 1), (forgets_biases, 2), (begins_behind_the_prefix, 3)],
)
def test_the_other_implementation_finds_a_wrong_delta(
    mutant: Callable[[pytest.MonkeyPatch], None], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert furthest(MICRO, *DELTAS[number]) > 1e-3


@pytest.fixture(scope="module")
def smollm2() -> Model:
    try:
        smollm.locate()
    except UserError as missing:
        pytest.skip(str(missing))
    return foundation()


def test_the_foundation_is_smollm2_rounded_once(smollm2: Model) -> None:
    whole = smollm.load()
    for stored, read in zip(join(smollm2.config, smollm2.groups), whole, strict=True):
        for name, tensor in read.items():
            assert stored[name].dtype == torch.float16
            assert torch.equal(stored[name], tensor.half())
    assert sum(t.nbytes for group in smollm2.groups for t in group.values()) == 2 * 134_515_008


@torch.no_grad()
def test_another_implementation_gives_the_logits_of_smollm2(smollm2: Model) -> None:
    groups = forward.fp32(smollm2.groups)
    tokens = corpus.encode(smollm2.config, "The capital of France is Paris, and the capital of Italy is")[
        None
    ]
    delta = drawn(smollm2.config, "delta_lora", 8)
    small = {p: {n: t / 10 for n, t in held.items()} for p, held in delta.tensors.items()}
    delta = Delta(delta.kind, small)
    model = theirs(smollm2.config, groups)
    plain = model(tokens).logits
    assert (plain - forward.logits(smollm2.config, groups, tokens)).abs().max() < 1e-3
    assert smollm.tokenizer().decode([int(plain[0, -1].argmax())]) == " Rome"
    changed = with_delta(model, smollm2.config, delta)(tokens)
    assert (changed - forward.logits(smollm2.config, groups, tokens, delta)).abs().max() < 1e-3
    assert (changed - plain).abs().max() > 0.1
