"""Speculation that may change the output: a surrogate's result goes ahead, and stays if it was nearly right.

One block of a chain is taken to be far away. A surrogate near by answers first and the blocks behind it go on with its
answer; when the true one arrives, they start again if the two differ by more than a tolerance. What is lost is
measured beside it, token by token, against the exact chain. (Specification §2.5, `tolerant`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from remeasure.errors import UserError

from ..chain import Chain, Link
from .divergence import Divergence, divergence
from .monolith import Monolith, run
from .steps import embedded, judged, prepare
from .tiles import Mode, padded


@dataclass(frozen=True, eq=False)
class Tolerated:
    """What was generated with a surrogate going ahead."""

    tokens: list[int]
    errors: list[float]
    """Of each pass (the prompt, then a token each): relative error of the surrogate's hidden states."""
    accepted: list[bool]
    """Of each pass: whether they stayed."""
    divergence: Divergence
    """Of the logits from those of the exact chain after the same tokens."""

    @property
    def acceptance(self) -> float:
        """Share of passes whose speculation stayed."""
        return sum(self.accepted) / len(self.accepted)


@torch.inference_mode()
def tolerate(
    chain: Chain,
    surrogate: Link,
    prompt: Sequence[int],
    new_tokens: int,
    tolerance: float,
    mode: Mode = "fast",
) -> Tolerated:
    """Greedy decoding of `new_tokens` >= 1 tokens while `surrogate` goes ahead of the block at its place.

    tolerance: the largest relative error (norm of the difference / norm of the true hidden states of a pass) that
    stays; infinity always accepts, a negative one never does. Raises UserError for a surrogate that does not fit.
    """
    steps = prepare(chain, mode)
    at = next((n for n, step in enumerate(steps.all) if step.link.place == surrogate.place), 0)
    if not 0 < at < len(steps.all) - 1:
        raise UserError(
            f"the chain of {chain.model} has no {surrogate.place} that a surrogate could stand in for."
        )
    links = (*chain.links[:at], surrogate, *chain.links[at + 1 :])
    ahead = prepare(Chain(chain.model, chain.config, links), mode)
    true, guessed = steps.all[at : at + 1], ahead.all[at : at + 1]
    upstream, downstream = steps.all[1:at], steps.all[at + 1 : -1]
    layers_before = sum(step.layer >= 0 for step in steps.all[: at + 1])
    exact = Monolith(chain, mode)
    most = len(prompt) + new_tokens
    # The surrogate's own keys and values lie in a KV of its own, in which nothing else is used.
    kv, own, reference = steps.new_kv(most), ahead.new_kv(most), exact.new_kv(most)
    fed, done = list(prompt), 0
    tokens: list[int] = []
    errors, accepted, got, wanted = [], [], [], []
    for _ in range(new_tokens):
        rows = len(fed)
        x = run(upstream, padded(embedded(steps.all[0], fed), mode), kv, rows)
        guess = run(guessed, x, own, rows)
        out = run(downstream, guess, kv, rows)
        right = run(true, x, kv, rows)
        errors.append(float((right - guess)[:rows].norm() / right[:rows].norm()))
        accepted.append(errors[-1] <= tolerance)
        if not accepted[-1]:
            kv.truncate(done, layers_before)
            out = run(downstream, right, kv, rows)
        got.append(judged(steps.all[-1], out[rows - 1 : rows], mode)[0])
        wanted.append(exact.forward(reference, fed)[0])
        done, fed = done + rows, [int(got[-1].argmax())]
        tokens += fed
    return Tolerated(tokens, errors, accepted, divergence(torch.stack(wanted), torch.stack(got)))
