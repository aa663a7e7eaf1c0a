"""Beam search over semantic ids, for R requests at once (§5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from remeasure.errors import UserError

from .topk import topk
from .trie import PrefixTrie


class Steps(Protocol):
    """A decoding of R requests in progress."""

    def first(self) -> Tensor:
        """Logits of the first position, float32 [R, 1, V_1]."""

    def next(self, parents: Tensor, tokens: Tensor) -> Tensor:
        """The beams are now `tokens` int64 [R, B] behind `parents` int64 [R, B] → logits [R, B, V_t]."""


@dataclass(frozen=True, eq=False)
class Beams:
    """What a search found, best first."""

    codes: Tensor
    """int64 [R, B, T], semantic ids."""
    log_p: Tensor
    """float32 [R, B], log p(id | X); −inf where the trie has no more ids."""
    bins: Tensor | None
    """float32 [R, B, bins], log-probabilities of the eCPM token of every id, where it is decoded."""


@dataclass(frozen=True)
class BeamSearch:
    """`search` with everything that does not change between requests."""

    codes: tuple[int, ...]
    """V_1 … V_T."""
    widths: tuple[int, ...]
    """Beams kept after each level."""
    value: bool = True
    """Whether the eCPM token is decoded after the last level."""
    precut: int | None = None
    """Candidates that each beam may offer before all are compared; exact if no fewer than the width, None: all. Where
    that were fewer than the width together, each offers as many more."""

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.codes):
            raise UserError(
                f"{len(self.widths)} widths for {len(self.codes)} levels; give one width a level."
            )
        most = 1
        for level, (width, size) in enumerate(zip(self.widths, self.codes, strict=True), start=1):
            most *= size
            if not 1 <= width <= most:
                raise UserError(
                    f"width {width} at level {level} exceeds its {most} codes; choose 1 to {most}."
                    if width > most
                    else f"width {width} at level {level} keeps nothing; choose 1 to {most}."
                )
            most = width

    @torch.inference_mode()
    def search(self, steps: Steps, trie: PrefixTrie | None = None) -> Beams:
        """The best ids by log p, found level by level."""
        logits = steps.first()
        requests = len(logits)
        score = torch.zeros(requests, 1)
        codes = torch.zeros(requests, 1, 0, dtype=torch.long)
        packed = torch.zeros(requests, 1, dtype=torch.long)
        for level, width in enumerate(self.widths):
            allowed = trie.allowed(packed, level) if trie else None
            score, parents, tokens = self._best(logits, score, allowed, width)
            codes = torch.cat((_of(codes, parents), tokens[..., None]), dim=2)
            packed = packed.gather(1, parents) * self.codes[level] + tokens
            if level + 1 < len(self.widths) or self.value:
                logits = steps.next(parents, tokens)
        return Beams(codes, score, logits.log_softmax(-1) if self.value else None)

    def _best(
        self, logits: Tensor, score: Tensor, allowed: Tensor | None, width: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, parents and tokens of the next beams, each [R, width]."""
        _, beams, size = logits.shape
        base = score - logits.logsumexp(-1)  # of log p: probabilities stay those of all codes, trie or not
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        cut = size if self.precut is None else min(max(self.precut, -(-width // beams)), size)
        if cut < size:
            values, tokens = (logits + base[..., None]).topk(cut, dim=-1)
            best, place = topk(values.flatten(1), width)
            return best, place // cut, tokens.flatten(1).gather(1, place)
        best, place = topk((logits + base[..., None]).flatten(1), width)
        return best, place // size, place % size


def _of(codes: Tensor, parents: Tensor) -> Tensor:
    return codes.gather(1, parents[..., None].expand(-1, -1, codes.shape[2]))
