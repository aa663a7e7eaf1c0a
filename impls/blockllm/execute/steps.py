"""A chain made ready to run: what is constant about each link, worked out once.

The monolith and the executor compute through the same steps, with deltas unmerged in both; they differ in whose rows
they put together, and nothing else may differ. (Specification, Decision 4.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from remeasure.impls.common import llama
from remeasure.impls.common.llama import Attention, Deltas, Linear

from ..chain import STITCH, Block, Chain, Link
from ..models import deltas
from .kv import LayerShape, Producer, SequenceKV
from .tiles import Mode, linear, padded


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One link of a chain, prepared."""

    link: Link
    layer: int
    """Of the KV that an attn step fills: how many attn steps come before it; -1 for other steps."""
    producer: Producer
    acts: Deltas | None
    """What the tenant's delta adds to the block's projections; None for nothing."""
    linear: Linear

    @property
    def block(self) -> Block:
        return self.link.block

    def run(self, x: torch.Tensor, attention: Attention, acts: Deltas | None) -> torch.Tensor:
        """Hidden states [rows, inputs] -> [rows, outputs] through an attn, ffn or stitch step, in new memory.

        attention, acts: of the rows that are in x, which need not all be this chain's.
        """
        kind, block = self.link.place.kind, self.link.block
        if kind == "attn":
            return llama.attention(block.config, self.layer, x, block.tensors, attention, acts, self.linear)
        if kind == "ffn":
            return llama.feed_forward(block.config, x, block.tensors, acts, self.linear)
        return self.linear(x, block.tensors[STITCH])

    def kv_shape(self) -> LayerShape:
        """Of an attn step."""
        block, delta = self.link.block, self.link.delta
        # By its tensor: a surrogate may have fewer heads than the block whose signature it has.
        heads = block.tensors["k"].shape[0] // block.config.head_dim
        return LayerShape(heads, deltas.prefix(delta.kind, delta.tensors) if delta else None)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [rows, vocab] of hidden states [rows, d]; of a head step."""
        config, tensors = self.link.block.config, self.link.block.tensors
        last = F.rms_norm(x, (config.width,), tensors["norm"], config.norm_eps)
        return self.linear(last, tensors["embedding" if config.tied else "lm_head"])


@dataclass(frozen=True, eq=False)
class Steps:
    """A whole chain, ready to run."""

    chain: Chain
    mode: Mode
    all: tuple[Step, ...]

    def new_kv(self, max_tokens: int) -> SequenceKV:
        """An empty KV for a sequence of up to `max_tokens` tokens; prefixes are in it."""
        attending = [step for step in self.all if step.layer >= 0]
        shapes = [step.kv_shape() for step in attending]
        return SequenceKV(attending[0].block.config, shapes, max_tokens, self.mode)


def prepare(chain: Chain, mode: Mode) -> Steps:
    """The steps of a chain. Raises UserError for a chain that is not valid."""
    multiply, steps, layers = linear(mode), [], 0
    for link in chain.validate().links:
        delta = link.delta
        acts = deltas.acts(delta.kind, delta.tensors, multiply) if delta else None
        attends = link.place.kind == "attn"
        producer = Producer(link.block.id, delta.id if delta else "")
        steps.append(Step(link, layers if attends else -1, producer, acts or None, multiply))
        layers += attends
    return Steps(chain, mode, tuple(steps))


def embedded(step: Step, tokens: Sequence[int]) -> torch.Tensor:
    """Hidden states of tokens, [tokens, d]; of an embed step."""
    return llama.embed(torch.tensor(tokens), step.link.block.tensors)


def judged(step: Step, x: torch.Tensor, mode: Mode) -> torch.Tensor:
    """Logits [rows, vocab] of hidden states [rows, d]; of a head step."""
    return step.logits(padded(x, mode))[: x.shape[0]]
