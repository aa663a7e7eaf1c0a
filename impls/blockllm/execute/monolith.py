"""A tenant's whole model run alone, one sequence at a time: the oracle of the executor, and what its time is held to.

It is per-model serving without any of the paper's ideas: the same arithmetic (deltas unmerged, same mode, one thread),
no blocks to schedule, no rows of others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..chain import Chain
from .kv import Producer, SequenceKV
from .steps import Step, Steps, embedded, judged, prepare
from .tiles import Mode, padded


class Alone:
    """`llama.Attention` of one sequence's rows, of which the last may be padding."""

    __slots__ = ("_kv", "_producer", "_rows")

    def __init__(self, kv: SequenceKV, rows: int, producer: Producer) -> None:
        self._kv, self._rows, self._producer = kv, rows, producer

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """See `llama.Attention`; rows of padding see zeros."""
        rows = self._rows
        if rows == q.shape[0]:
            return self._kv.attend(index, q, k, v, self._producer)
        seen = self._kv.attend(index, q[:rows], k[:rows], v[:rows], self._producer)
        return torch.cat((seen, seen.new_zeros(q.shape[0] - rows, seen.shape[1])))


class Monolith:
    """One model. A sequence is the `SequenceKV` that `new_kv` gives, and the tokens run into it."""

    def __init__(self, chain: Chain, mode: Mode = "fast") -> None:
        """Raises UserError for a chain that is not valid."""
        self._steps = prepare(chain, mode)

    def new_kv(self, max_tokens: int) -> SequenceKV:
        """For a sequence of up to `max_tokens` tokens."""
        return self._steps.new_kv(max_tokens)

    @torch.inference_mode()
    def forward(self, kv: SequenceKV, tokens: Sequence[int], wanted: int = 1) -> torch.Tensor:
        """Logits [wanted, vocab] after each of the last `wanted` of the next tokens of a sequence.

        Raises ValueError where the KV is full, or more logits are wanted than tokens.
        """
        steps, mode, rows = self._steps.all, self._steps.mode, len(tokens)
        if not 0 < wanted <= rows:
            raise ValueError(f"{wanted} logits are wanted of {rows} tokens")
        x = padded(embedded(steps[0], tokens), mode)
        x = run(steps[1:-1], x, kv, rows)
        return judged(steps[-1], x[rows - wanted : rows], mode)

    def greedy(self, tokens: Sequence[int], new_tokens: int) -> tuple[list[int], torch.Tensor]:
        """The likeliest `new_tokens` tokens after `tokens`, and the logits [new_tokens, vocab] of each step."""
        kv, fed = self.new_kv(len(tokens) + new_tokens), list(tokens)
        chosen: list[int] = []
        logits = []
        for _ in range(new_tokens):
            logits.append(self.forward(kv, fed)[0])
            fed = [int(logits[-1].argmax())]
            chosen += fed
        return chosen, torch.stack(logits)


def run(steps: Sequence[Step], x: torch.Tensor, kv: SequenceKV, rows: int) -> torch.Tensor:
    """Hidden states through some steps between embed and head, of one sequence whose next `rows` tokens they are."""
    for step in steps:
        x = step.run(x, Alone(kv, rows, step.producer), step.acts)
    return x


def recompute(steps: Steps, last: int, tokens: Sequence[int], max_tokens: int) -> SequenceKV:
    """A KV with the entries of `tokens` in every attn step up to the chain's step number `last`, from the beginning."""
    kv = steps.new_kv(max_tokens)
    if tokens:
        run(steps.all[1 : last + 1], padded(embedded(steps.all[0], tokens), steps.mode), kv, len(tokens))
    return kv
