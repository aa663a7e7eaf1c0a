"""Short fine-tuning of what a recipe names, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from remeasure.errors import UserError
from remeasure.impls.common.llama import LlamaConfig, Weights

from ..chain import Delta, Model
from ..groups import Place, places
from . import deltas
from .forward import SideBySide, fp32, hidden, losses
from .recipes import Recipe, learned

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""
WEIGHT_DECAY = 0.01
"""AdamW's, for everything that learns."""
LARGEST_GRADIENT = 1.0
"""Norm over all that learns; longer gradients are cut to it."""
CALMER = "give a lower learning rate"

Learned = dict[Place, Weights]
"""What a recipe trained, fp16, by place: a delta's tensors, or groups that replace the foundation's."""
Observe = Callable[[int, float], object]
"""Called after every step with its number from 0 and its loss in nats a token."""


def train(
    recipe: Recipe,
    foundation: Model,
    blocks: torch.Tensor,
    observe: Observe | None = None,
    threads: int | None = None,
) -> Learned:
    """Train what `recipe.technique` names on `blocks` [count, length + 1] of tokens; the foundation stays as it is.

    Computes in fp32 and rounds to fp16 once, at the end. threads: of torch, while this runs; None leaves them. Raises
    UserError where the loss or a trained number stops being finite.
    """
    config = foundation.config
    with torch.inference_mode(False), torch.enable_grad(), _threads(threads):
        groups = fp32(foundation.groups)  # a copy; some of it may learn
        learning = _begin(recipe, config, groups, blocks)
        delta = Delta(recipe.kind, learning) if recipe.kind else None
        parameters = [tensor.requires_grad_() for group in learning.values() for tensor in group.values()]
        optimiser = torch.optim.AdamW(parameters, weight_decay=WEIGHT_DECAY)
        for step, chosen in enumerate(order(recipe, len(blocks))):
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * pace(step, recipe.steps)
            loss = losses(config, groups, blocks[chosen], delta).mean()
            _demand(bool(loss.isfinite()), recipe, f"its loss is {loss.item()} at step {step}; {CALMER}")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
            optimiser.step()
            if observe:
                observe(step, loss.item())
        rounded = {
            place: {name: tensor.detach().half() for name, tensor in group.items()}
            for place, group in learning.items()
        }
    for place, group in rounded.items():
        for name, tensor in group.items():
            _demand(bool(tensor.isfinite().all()), recipe, f"{name} at {place} does not fit fp16; {CALMER}")
    return rounded


def pace(step: int, steps: int) -> float:
    """Share of the highest learning rate at a step: up over the first tenth, then down to zero behind the last."""
    rising = max(1, round(WARM_UP * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


def order(recipe: Recipe, count: int) -> Iterator[torch.Tensor]:
    """Which blocks each step takes, int64 [batch]: all of them in a drawn order, then again in another."""
    rng = np.random.default_rng(recipe.seed)
    waiting: list[int] = []
    for _ in range(recipe.steps):
        while len(waiting) < recipe.batch:
            waiting += rng.permutation(count).tolist()
        taken, waiting = waiting[: recipe.batch], waiting[recipe.batch :]
        yield torch.tensor(taken)


def _begin(recipe: Recipe, config: LlamaConfig, groups: list[Weights], blocks: torch.Tensor) -> Learned:
    """What learns, before the first step, fp32; where it is groups, they are those that are computed with."""
    if recipe.kind == "delta_prefix":
        begun = blocks[:, :-1].flatten()[: recipe.size]
        _demand(
            len(begun) == recipe.size,
            recipe,
            f"its text has only {len(begun)} tokens for a prefix of {recipe.size}",
        )
        return prefix_of(config, groups, begun)
    if recipe.kind:
        return deltas.initial(config, recipe.kind, recipe.size, recipe.seed)
    by_place = dict(zip(places(config), groups, strict=True))
    return {place: by_place[place] for place in learned(recipe, config)}


class _Heard(SideBySide):
    """Attention of one sequence that keeps what it saw, by layer."""

    heard: dict[int, tuple[torch.Tensor, torch.Tensor]]

    def context(
        self, index: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.heard[index] = keys[0], values[0]
        return keys, values


def prefix_of(config: LlamaConfig, groups: list[Weights], tokens: torch.Tensor) -> Learned:
    """The prefix, fp32, that stands for having read `tokens` before: their keys and values, the last token at position
    -1, so that what comes after begins at 0 and sees them as its own past.

    A prefix learns far faster from there than from noise.
    """
    attention = _Heard(config, len(tokens), {}, first=-len(tokens))
    attention.heard = {}
    with torch.no_grad():
        hidden(config, groups, tokens[None], attention=attention)
    return {
        Place("attn", layer): {deltas.KEYS: keys.contiguous(), deltas.VALUES: values.contiguous()}
        for layer, (keys, values) in attention.heard.items()
    }


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """As many threads for torch as asked for, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _demand(held: bool, recipe: Recipe, what: str) -> None:
    if not held:
        raise UserError(f"training {recipe.technique} on the text {recipe.text[:12]} failed: {what}.")
