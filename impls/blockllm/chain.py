"""A model as it is stored (groups and a delta) and as it is executed (a chain of blocks), and when a chain is valid.

The paper's *chain of blocks*: the ordered blocks that serve one application. Blocks are shared between chains, so a
block with the same id is one object in memory, whichever chains it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from remeasure.errors import UserError
from remeasure.impls.common.llama import LlamaConfig, Weights

from .groups import Kind, Place, tensors_of

Settings = Mapping[str, int | float | str]
"""What a delta needs beside its tensors (rank, scale, …); stored and hashed with them."""
STITCH = "stitch"
"""Name of a stitch's matrix, [outputs, inputs]: hidden states of one width to those of another."""


@dataclass(frozen=True, eq=False)
class Delta:
    """What parameter-efficient fine-tuning adds to a foundation that itself stays as it is."""

    kind: Kind
    """One of delta_lora, delta_adapter, delta_bitfit, delta_prefix."""
    tensors: Mapping[Place, Weights]
    """By the attn or ffn place that they act at; fp16, the names are those of `models.deltas`."""
    settings: Settings = field(default_factory=dict)
    """The same at every place."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model as the zoo stores it."""

    name: str
    config: LlamaConfig
    groups: list[Weights]
    """fp16, one a place, in the order of `groups.places`; those that equal another model's are stored once."""
    delta: Delta | None = None
    parent: str = ""
    """The foundation it was trained from; empty for a foundation."""


@dataclass(frozen=True, eq=False)
class Block:
    """A group, delta, stitch or surrogate in memory, ready to run; shared by all chains that have it."""

    id: str
    """sha256, in hex, over kind, signature, settings and tensors: equal ids compute the same."""
    kind: Kind
    tensors: Weights
    """fp32. The head of a tied model also has its `embedding`, which is the tensor of the embed block."""
    config: LlamaConfig
    """`groups.signature`: the fields that a block of this kind depends on (a delta's, surrogate's: of the block that
    it belongs to or stands for), the others zero."""
    settings: Settings = field(default_factory=dict)
    """Of a delta."""

    @property
    def inputs(self) -> int:
        """Width of the hidden states it takes; 0 for embed, which takes tokens."""
        if self.kind == "embed":
            return 0
        return self.tensors[STITCH].shape[1] if self.kind == "stitch" else self.config.width

    @property
    def outputs(self) -> int:
        """Width of the hidden states it gives; 0 for head, which gives logits."""
        if self.kind == "head":
            return 0
        return self.tensors[STITCH].shape[0] if self.kind == "stitch" else self.config.width

    @property
    def parameters(self) -> int:
        """How many numbers it holds; a tied head's embedding is the embed block's and not counted here."""
        shared = "embedding" if self.kind == "head" else ""
        return sum(tensor.numel() for name, tensor in self.tensors.items() if name != shared)

    @property
    def rope(self) -> tuple[float, int] | None:
        """What fixes the rotary frequencies: their base and the width of a head; None where nothing is rotated."""
        return (self.config.rope_theta, self.config.head_dim) if self.config.heads else None


@dataclass(frozen=True, eq=False)
class Link:
    """One step of a chain."""

    place: Place
    block: Block
    """Of the place's kind, or a surrogate of such a block."""
    delta: Block | None = None
    """What this chain's tenant adds at this place."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A model as it is executed."""

    model: str
    config: LlamaConfig
    """The model's; where a stitch joins two widths, that of the model whose layers come first."""
    links: tuple[Link, ...]

    def validate(self) -> Chain:
        """Itself, if it can be executed: embed first, head last, hidden sizes that meet, one vocabulary, one RoPE.

        Raises UserError naming the model and the block that does not fit.
        """
        if not self.links or self.links[0].block.kind != "embed" or self.links[-1].block.kind != "head":
            raise UserError(f"the chain of {self.model} does not run from an embed block to a head block.")
        for problem in self._problems():
            raise UserError(f"the chain of {self.model} is not valid: {problem}.")
        return self

    def _problems(self) -> Iterator[str]:
        """Everything that is wrong with the blocks and with how they meet, a clause each."""
        vocabulary, rope = self.links[0].block.config.vocab, None
        width = 0
        for number, link in enumerate(self.links):
            place, block = link.place, link.block
            named = f"{place} ({block.id[:12]})"
            ends = number in (0, len(self.links) - 1)
            if block.kind != place.kind and not (block.kind == "surrogate" and place.kind in ("attn", "ffn")):
                yield f"at {named} stands a block of kind {block.kind}"
            if ends != (block.kind in ("embed", "head")):
                yield f"{named} stands in the middle; embed comes first and head last, once"
            yield from _misshapen(link, named)
            if block.inputs != width:
                yield f"{named} takes hidden states of {block.inputs}, the block before it gives {width}; put a stitch"
            width = block.outputs
            if block.kind == "head" and block.config.vocab != vocabulary:
                yield f"{named} has a vocabulary of {block.config.vocab}, the embedding one of {vocabulary}"
            if block.rope is not None:
                rope = rope or block.rope
                if block.rope != rope:
                    yield f"{named} rotates by {_rope(block.rope)}, the blocks before it by {_rope(rope)}"
            if link.delta is not None and not (
                link.delta.kind.startswith("delta_") and link.delta.config == block.config
            ):
                yield f"the {link.delta.kind} at {named} was made for a block of another shape"


def _misshapen(link: Link, named: str) -> Iterator[str]:
    """Tensors of a block that are not those its signature promises; surrogates are smaller by nature."""
    block = link.block
    if block.kind not in ("embed", "attn", "ffn", "head"):
        return
    specs = tensors_of(block.config, block.kind)
    if block.kind == "head" and block.config.tied:
        specs = [*specs, *tensors_of(block.config, "embed")]
    wanted = {spec.name: spec.shape for spec in specs}
    held = {name: tuple(tensor.shape) for name, tensor in block.tensors.items()}
    if held != wanted:
        yield f"{named} has the tensors {held}, its signature says {wanted}"


def _rope(rope: tuple[float, int]) -> str:
    return f"base {rope[0]:g} in heads of {rope[1]}"
