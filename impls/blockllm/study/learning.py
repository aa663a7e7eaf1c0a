"""Stitches that go on learning, on the task itself: one or two epochs of next-token prediction, both models frozen.

Least squares asks for the other model's hidden states; what counts is what the other model makes of them.
(Specification §1.5.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from remeasure.errors import UserError

from ..chain import Chain
from ..execute.steps import prepare
from ..models.training import LARGEST_GRADIENT
from .states import rest, start_of, states
from .stitching import Stitches
from .text import Text


def learn(
    fitted: Stitches,
    first: Chain,
    second: Chain,
    text: Text,
    *,
    epochs: int = 1,
    learning_rate: float = 1e-3,
    batch: int = 4,
    seed: int = 0,
) -> Stitches:
    """The same stitches after `epochs` times every block of a text at every cut, `batch` blocks a step.

    What learns is the matrix, or matrices, and for `position` the cuts' vectors. The rate falls to zero over the run.
    Raises UserError where the loss stops being finite.
    """
    before, after = prepare(first, "fast"), prepare(second, "fast")
    with torch.inference_mode(False), torch.enable_grad():
        # Apart, so that a step of the optimiser moves nothing of the cuts that it did not look at.
        matrices = [one.clone().requires_grad_() for one in fitted.matrices]
        positions = [one.clone().requires_grad_(fitted.variant == "position") for one in fitted.positions]
        learned = [one for one in (*matrices, *positions) if one.requires_grad]
        optimiser = torch.optim.AdamW(learned, weight_decay=0.0)
        order = list(_order(len(fitted.cuts), len(text.blocks), epochs, batch, seed))
        for step, (number, chosen) in enumerate(order):
            cut, own = fitted.cuts[number], matrices[number if len(matrices) > 1 else 0]
            optimiser.param_groups[0]["lr"] = learning_rate * (1 - step / len(order))
            tokens, wanted = text.blocks[chosen, :-1], text.blocks[chosen, 1:].flatten()
            with torch.no_grad():
                x = states(before, tokens, last=start_of(first, cut.leave))[-1]
            x = (x * positions[number]) @ own
            x = rest(after, x, start_of(second, cut.enter), text.length)
            loss = F.cross_entropy(after.all[-1].logits(x), wanted)
            if not loss.isfinite():
                raise UserError(
                    f"the stitch at {cut} from {first.model} to {second.model} has the loss {loss.item()} at step "
                    f"{step}; give a lower learning rate."
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learned, LARGEST_GRADIENT)
            optimiser.step()
    made = (torch.stack([one.detach() for one in kept]) for kept in (matrices, positions))
    return Stitches(fitted.variant, fitted.cuts, *made)


def _order(cuts: int, blocks: int, epochs: int, batch: int, seed: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Number of the cut and blocks of each step; cuts take turns, so that a shared matrix forgets none of them."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        drawn = [torch.from_numpy(rng.permutation(blocks)) for _ in range(cuts)]
        for start in range(0, blocks, batch):
            for cut, own in enumerate(drawn):
                yield cut, own[start : start + batch]
