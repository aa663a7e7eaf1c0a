"""What the cases of continual learning ask, as data. Importing this loads no torch, so listing cases stays quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..questions import Generating

Learning = Literal["frozen", "scratch", "ntp", "vsl", "fixed", "uvr"]
"""How the log of a step becomes the next snapshot: not at all; a new decoder trained on everything so far; one pass of
plain imitation, of VSL (§3), of VSL and RSPO at fixed weights, or of both weighed item by item (UVR, §4.4)."""


@dataclass(frozen=True)
class Online(Generating):
    """A system that is trained once, then serves a stream and learns from what it logs. All arms begin alike."""

    learning: Learning = "uvr"
    every: int = 1
    """Steps between two updates: an hour of simulated days, a month of invoices."""
    steps_served: int = 8
    """Length of the stream, in steps."""
    third: Literal[1, 2, 3] = 3
    """Which third of the stream's steps is judged."""
    online_rate: float = 3e-3
    """AdamW's in updates on the log, at the first mini-batch; it falls to a tenth within an update."""
    online_batch: int = 256
    """Pairs of a mini-batch; every pair is learned from once."""
    offers: int = 10
    """n: items of a list that preferences are learned from."""
