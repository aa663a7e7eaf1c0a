"""What a GPU is asked to do in one step: the question that `Model.step_ms` answers in ms and `work` in operations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One pass of a batch through a run of blocks.

    A run of blocks is what one GPU computes of a model without a hop: attention and feed-forward halves of layers,
    embedding and head if they belong to it. The batch is sequences that decode and prompts that are prefilled, whose
    rows pass the matrices together. Steps of all runs that a model is cut into make a step of the whole model.
    """

    attn_layers: int
    """Layers whose attention half is in the run."""
    ffn_layers: int
    """Layers whose feed-forward half is."""
    embed: bool
    """Whether the run begins with the embedding."""
    head: bool
    """Whether it ends with the head."""
    decode_batch: int = 0
    """Sequences that decode."""
    decode_context: float = 0
    """Tokens of all of them together, cached and new: what their attention reads."""
    prefills: tuple[tuple[int, int], ...] = ()
    """(new, past) tokens of each prompt: those that are computed, and those before them that are cached."""
    rows_each: int = 1
    """New rows of each sequence that decodes: 1, or more that are verified at once."""

    @property
    def rows(self) -> int:
        """New tokens of all sequences, which the matrices of every layer see."""
        return self.decode_batch * self.rows_each + sum(new for new, _ in self.prefills)

    @property
    def head_rows(self) -> int:
        """Rows that the head sees: every decoding row and the last one of each prompt."""
        return self.decode_batch * self.rows_each + len(self.prefills)
