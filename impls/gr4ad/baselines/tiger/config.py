"""What TIGER is made of. Plain data: importing this loads neither numpy nor torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tiger:
    """An encoder-decoder of semantic ids."""

    size: int = 10
    """Events of the history that are read, the last ones."""
    codes: int = 256
    """Codes of each of the three levels of its ids, a residual-quantised autoencoder; a counter is the fourth."""
    dim: int = 128
    """Dimensions d."""
    encoder: int = 4
    """Layers that read the history."""
    decoder: int = 4
    """Layers that write the id."""
    heads: int = 4
    """Heads of attention; they divide `dim`."""
    dropout: float = 0.1
    """Share of numbers that are set to 0 in training, after both inputs and after each part of a layer."""
    learning_rate: float = 1e-3
    """AdamW's step size at its highest: it rises over the first twentieth, then falls to a tenth as a cosine."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    batch: int = 128
    """Histories a step."""
    targets: int = 4
    """Items drawn, with replacement, from the basket that follows a history; the encoder reads once for all of them."""
    half_life: float | None = None
    """Days after which what came next counts half, back from the last event of training; None never. Where the data
    set's clock counts steps, days mean nothing and None is the only choice."""
    epochs: int = 40
    """Passes over the training part."""
    rows: int | None = None
    """Histories of a pass, drawn anew for each; None is all."""
    beam: int = 50
    """Beams kept after each level, or all where a level has no more."""
