"""Numbers of ours that no source gives: read from assumptions.toml, each with its range and the reason for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from remeasure.errors import UserError


class Assumption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One assumed number."""

    value: float
    low: float
    high: float
    unit: str
    why: str

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError("the value lies outside low and high")


@dataclass(frozen=True)
class Assumptions:
    """All of them by name, such as `memtier.shape`."""

    entries: Mapping[str, Assumption]

    def value(self, name: str) -> float:
        """UserError for a name that is not declared."""
        if name not in self.entries:
            raise UserError(f"assumptions.toml lacks {name!r}; add it with value, low, high, unit and why.")
        return self.entries[name].value

    def drawn(self, rng: np.random.Generator) -> Assumptions:
        """The same with each value drawn evenly between its low and high, in order of names."""
        return Assumptions(
            {
                name: msgspec.structs.replace(entry, value=float(rng.uniform(entry.low, entry.high)))
                for name, entry in sorted(self.entries.items())
            }
        )


def read(path: Path | None = None) -> Assumptions:
    """The declared file, or another one; UserError where it is missing or malformed."""
    path = path or Path(__file__).parent.parent / "assumptions.toml"
    try:
        return Assumptions(msgspec.toml.decode(path.read_bytes(), type=dict[str, Assumption]))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read ({error}); restore it or correct the entry.") from None
