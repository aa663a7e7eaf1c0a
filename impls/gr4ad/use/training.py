"""`train`: a training that tells how far it is, writes what it has, and goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from remeasure.datasets.common.interactions import Split

from ..generator import Tokens, Training
from ..learning.checkpoint import (
    Checkpoint,
    check_catalogue,
    check_same_training,
    digest,
    moments,
    put_back,
    read,
    write,
)
from ..learning.unified import RunningMean
from ..questions import Generating
from .asked import NOT_TRAINED, Running
from .tokens import sids_digest

CHECKPOINT = "checkpoint.safetensors"


def train(
    training: Training, told: Checkpoint, path: Path, every: float, report: Callable[[str], None]
) -> None:
    """Train to the end, from the checkpoint at `path` where there is one; it is written each `every` seconds.

    told   the checkpoint of the training without any state: what it was asked, and of what

    Raises UserError for a checkpoint of another training, and for a loss or weight that is no number; what was written
    last then stays.
    """
    if path.exists():
        found = read(path)
        check_catalogue(found, told.sids)
        check_same_training(found, told.settings, told.data)
        restore(training, found)
        report(f"going on after step {training.done} of {training.steps}")
    began, before, losses = time.monotonic(), training.done, list[float]()
    last = began
    while training.done < training.steps:
        losses.append(training.step())
        now = time.monotonic()
        if now - last >= every or training.done == training.steps:
            write(path, taken(training, told))
            left = (now - began) / (training.done - before) * (training.steps - training.done)
            loss = sum(losses) / len(losses)
            report(f"step {training.done} of {training.steps}, loss {loss:.3f}, {_spoken(left)} left")
            last, losses = now, []


def asked_of(asked: Generating, running: Running, dataset: str, split: Split, tokens: Tokens) -> Checkpoint:
    """A checkpoint without state: what training is asked, and digests of what it learns from."""
    items, log = split.items, split.train
    settings: Mapping[str, Any] = {
        "dataset": dataset,
        "seed": running.seed,
        **{name: value for name, value in asdict(asked).items() if name not in NOT_TRAINED},
    }
    data = digest(
        tokens.vectors, items.price, log.offsets, log.item, log.value, log.depth, log.time, log.basket
    )
    return Checkpoint(settings, sids_digest(items, tokens.sids), data, 0, {}, {})


def taken(training: Training, told: Checkpoint) -> Checkpoint:
    """The training as it is now, to be written."""
    named = {"decoder": training.first.decoder.state_dict(), "constant": _constants(training)}
    numbers = {"mean_spent": training.mean_spent}
    if training.second is None:
        named["moments"] = moments(training.first.updates)
    else:
        second = training.second
        named["moments"] = moments(second.updates)
        named["reference"] = second.reference.state_dict()
        numbers |= {
            "weight": second.weight or 0.0,
            "rewards": second.values.total,
            "rewarded": second.values.count,
        }
    tensors = {f"{part}.{name}": held for part, state in named.items() for name, held in state.items()}
    return Checkpoint(told.settings, told.sids, told.data, training.done, numbers, tensors)


def restore(training: Training, found: Checkpoint) -> None:
    """Bring a training that has not begun to where the checkpoint was taken."""
    first, supervised = training.first, training.asked.steps
    if found.done <= supervised:
        put_back(first.updates, found.part("moments"), found.done)
    else:
        first.updates.done = supervised
        second = training.second = training.preferring()
        second.reference.load_state_dict(found.part("reference"))
        second.weight = found.numbers["weight"]
        second.values = RunningMean(found.numbers["rewards"], found.numbers["rewarded"])
        put_back(second.updates, found.part("moments"), found.done - supervised)
    first.decoder.load_state_dict(found.part("decoder"))


def _constants(training: Training) -> dict[str, torch.Tensor]:
    """What serving needs beside the weights."""
    held = {"vectors": torch.from_numpy(training.tokens.vectors)}
    if training.bins:
        held["edges"] = torch.from_numpy(training.bins.edges)
        held["means"] = torch.from_numpy(training.bins.means)
    return held


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
