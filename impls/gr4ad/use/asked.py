"""What each command can be told, with --set. Importing this loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remeasure.errors import UserError

from ..questions import Generating
from .settings import at_least

NOT_TRAINED = ("scheme", "sizes", "dims", "widths", "order")
"""Fields of `Generating` that are the tokenizer's or serving's: training is not told them."""


@dataclass(frozen=True)
class Source:
    """Which data set; its files may be one's own (`--set data=DIR`)."""

    dataset: Literal["amazon18_office", "uci_online_retail", "complete_journey"] = "amazon18_office"
    """amazon18_office also means any folder in MiniOneRec's layout."""


@dataclass(frozen=True)
class Tokenizing:
    """How items become semantic ids (§1)."""

    scheme: Literal["rq", "mr", "mr+business", "mr+item", "mr+counter", "rqvae+counter", "random", "data"] = (
        "mr+item"
    )
    """The tokenizer, of `sid/schemes.py`; data: the ids that the data bring."""
    sizes: tuple[int, int, int] = (256, 64, 64)
    """Codes of its levels."""
    encoder: Literal["light", "minilm"] = "light"
    """What reads the items' texts, where the data bring no vectors."""
    dims: int = 48
    """Dimensions of the light encoder's vectors."""
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("sizes", self.sizes, 1)
        at_least("dims", self.dims, 1)
        at_least("seed", self.seed, 0)


@dataclass(frozen=True)
class Running:
    """How a training runs."""

    seed: int = 0
    every: float = 30.0
    """Seconds after which the next checkpoint is written; it changes no result."""

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("every", self.every, 0)


@dataclass(frozen=True)
class Serving:
    """For whom items are ranked, and how."""

    k: int = 10
    """Items a list."""
    rows: Literal["latest", "test"] = "latest"
    """latest: each user after all that is known of him; test: the test rows as they stand, to be judged."""
    users: tuple[str, ...] = ()
    """Only these users; none named: all."""
    histories: str = ""
    """A file of given histories instead of the data's."""
    new: bool = False
    """Whether items of the history are left out."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Beams kept after each level."""
    order: Literal["log p", "token", "known"] = "log p"
    """log p; token: + log E[eCPM] from the token; known: + log of the price."""

    def __post_init__(self) -> None:
        at_least("k", self.k, 1)


def check_trainable(asked: Generating) -> None:
    """Refuse numbers with which there is nothing to train, or no way to; what a decoder refuses is not repeated."""
    for name in ("history", "d", "layers", "heads", "steps", "batch"):
        at_least(name, getattr(asked, name), 1)
    for name in ("parallel", "bins", "rate", "decay", "dropout", "preference_steps"):
        at_least(name, getattr(asked, name), 0)
    if asked.dropout >= 1:
        raise UserError(f"dropout is {asked.dropout}; give a share below 1.")
