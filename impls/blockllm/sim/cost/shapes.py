"""Sizes of the simulated models, LLaMA-2 7B and 13B in fp16, by the blocks that are shared, placed and moved.

Which families the paper served cannot be confirmed; these are the usual ones for its hardware.
"""

from __future__ import annotations

from dataclasses import dataclass

FP16 = 2
"""Bytes of a weight, a hidden value, a key or a value."""


@dataclass(frozen=True)
class Shape:
    """A decoder of equal layers: multi-head attention, gated feed-forward part, untied embedding and head."""

    name: str
    """Its word in the cost tables."""
    hidden: int
    """Width of the hidden state."""
    layers: int
    """Decoder layers."""
    ffn: int
    """Width inside the feed-forward part."""
    heads: int
    """Attention heads; keys and values have as many."""
    vocabulary: int = 32000
    """Tokens known to embedding and head."""
    context: int = 4096
    """Most tokens of prompt and answer together."""

    @property
    def attn_bytes(self) -> int:
        """Bytes of a layer's attention block: projections q, k, v, o and the norm before them."""
        return FP16 * self.hidden * (4 * self.hidden + 1)

    @property
    def ffn_bytes(self) -> int:
        """Bytes of a layer's feed-forward block: gate, up, down and the norm before them."""
        return FP16 * self.hidden * (3 * self.ffn + 1)

    @property
    def layer_bytes(self) -> int:
        """Bytes of both blocks of a layer."""
        return self.attn_bytes + self.ffn_bytes

    @property
    def embed_bytes(self) -> int:
        """Bytes of the embedding; the head's matrix has as many."""
        return FP16 * self.vocabulary * self.hidden

    @property
    def head_bytes(self) -> int:
        """Bytes of the head: its matrix and the last norm."""
        return self.embed_bytes + FP16 * self.hidden

    @property
    def model_bytes(self) -> int:
        """Bytes of all weights."""
        return self.embed_bytes + self.layers * self.layer_bytes + self.head_bytes

    @property
    def kv_bytes_per_token_layer(self) -> int:
        """Bytes of keys and values of one token in one layer."""
        return FP16 * 2 * self.hidden

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values of one token in all layers."""
        return self.layers * self.kv_bytes_per_token_layer

    @property
    def hidden_bytes_per_token(self) -> int:
        """Bytes of one token's hidden state, what a hop between blocks carries."""
        return FP16 * self.hidden


LLAMA_7B = Shape("7b", hidden=4096, layers=32, ffn=11008, heads=32)
LLAMA_13B = Shape("13b", hidden=5120, layers=40, ffn=13824, heads=40)
SHAPES = (LLAMA_7B, LLAMA_13B)
