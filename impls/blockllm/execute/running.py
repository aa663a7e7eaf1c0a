"""A sequence on the executor: whose chain it follows, what it has been fed, where in the chain it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..chain import Block
from ..groups import Place
from .kv import SequenceKV
from .steps import Step, Steps

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Station:
    """A block at a place, where sequences meet."""

    rank: int
    """Orders stations along the chains."""
    place: Place
    block: Block


@dataclass(frozen=True, eq=False, slots=True)
class Path:
    """A chain on an executor."""

    steps: Steps
    stations: tuple[Station, ...]
    """Of each step."""


class Hidden(Protocol):
    """Hidden states of several sequences side by side, as `batch.Batch` keeps them."""

    def rows(self, sequence: Running) -> torch.Tensor:
        """Those of one of them, [rows, width]."""


@dataclass(eq=False, slots=True)
class Running:
    """A sequence."""

    name: str
    model: str
    number: int
    """How many were added before it."""
    path: Path
    kv: SequenceKV
    tokens: list[int] = field(default_factory=list)
    """All that it was fed."""
    fed: int = 0
    """How many of them are on their way."""
    wanted: int = 0
    """Of how many of these, the last, the logits are asked for."""
    at: int = -1
    """Number of the step that it stands before; -1 where it waits to be fed."""
    step: Step = field(init=False)
    """That step."""
    station: Station | None = None
    """Where that is done; None where it waits to be fed."""
    batch: Hidden | None = None
    """Where its hidden states are; None before the embed step."""
    approximations: list[Place] = field(default_factory=list)
    """Places where it reads another block's keys and values."""

    @property
    def on_its_way(self) -> bool:
        return self.station is not None

    def move(self) -> None:
        """To the next step; to the end where that would compute logits that nobody wants."""
        self.at += 1
        path = self.path
        if self.wanted or self.at < len(path.stations) - 1:
            self.step, self.station = path.steps.all[self.at], path.stations[self.at]
        else:
            self.rest()

    def rest(self) -> None:
        """Wait to be fed again."""
        self.at, self.station, self.batch = -1, None, None
