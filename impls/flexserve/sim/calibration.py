"""The calibration file, typed: the only door by which numbers of the paper (June §5.1, §7) enter the device model.

Table 1 and Figures 1, 2, 5 and 6 are in it; Figures 7 to 11 are not, so nothing can be tuned to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from remeasure.errors import UserError

from .facts import ASSUMPTIONS

FILE = Path(__file__).parents[1] / "calibration.json"
MIB_PER_GIB = 2**10
Number = float | tuple[float, ...]


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far the printed or digitised number may be from the measured one; neither: second-hand, never drawn."""

    kind: str
    abs: Number | None = None
    rel: Number | None = None
    note: str = ""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number or one curve, with where it stands and what it may be used for."""

    id: str
    quantity: str
    unit: str
    source: str
    evidence: str
    tolerance: Tolerance
    use: str
    value: float | None = None
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    x_name: str = ""
    model: str = ""
    system: str = ""
    allocator: str = ""
    size_GiB: float | None = None
    size_MiB: float | None = None
    size_GB: float | None = None
    background_GB: float | None = None
    cores: int | None = None
    prompt_tokens: int | None = None

    @property
    def enters(self) -> bool:
        """Whether the model may be calibrated with it."""
        return self.use.startswith("calibrate") or self.use == "parameter"

    @property
    def number(self) -> Number:
        """The value, or the curve's y."""
        return self.y if self.value is None else self.value

    @property
    def half_width(self) -> Number:
        """Absolute tolerance of the value or of each point; 0 where none is stated."""
        if self.tolerance.abs is not None:
            return self.tolerance.abs
        size = np.multiply(np.abs(self.number), self.tolerance.rel or 0.0)
        return float(size) if size.ndim == 0 else tuple(size.tolist())


class _File(msgspec.Struct):
    schema_version: int
    entries: list[Entry]


@dataclass(frozen=True)
class Link:
    """A derived rate states the uncertainty of the operation it comes from: both are drawn together.

    target − base grows by the derived number's drawn factor, or shrinks by it where the derived number is a speed. A
    base that is linked itself stands earlier in the list.
    """

    derived: str
    target: str
    base: str = ""
    speed: bool = False


LINKS = (
    Link("derived.flash_read_GBps", "table1.load_8GiB", speed=True),
    Link("derived.decrypt_GBps_4cores", "table1.decrypt_8GiB_4cores", speed=True),
    Link("derived.flex_alloc_us_per_page", "table1.alloc_8GiB.flexserve"),
    Link("derived.cma_us_per_page_8_8", "table1.alloc_8GiB.cma"),
    Link("derived.smmu_map_us_per_page", "table1.npu_smmu_setup_8GiB.flexserve"),
    Link("derived.smmu_map_us_per_page", "table1.npu_smmu_setup_8GiB.unprotected"),
    Link("derived.reclaim_async_us_per_page", "table1.reclaim_8GiB.flexserve"),
    Link("derived.reclaim_sync_us_per_page", "table1.reclaim_128MiB.two_stage_sync"),
    Link("derived.cma_release_us_per_page", "table1.reclaim_8GiB.cma"),
    Link(
        "derived.npu_launch_extra_ms",
        "table1.npu_task_launch.flexserve",
        base="table1.npu_task_launch.unprotected",
    ),
    Link(
        "derived.kv_writeback_GBps",
        "table1.reclaim_128MiB.sync_single_stage",
        base="table1.reclaim_128MiB.two_stage_sync",
        speed=True,
    ),
)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The entries, and the numbers the model reads, which a draw or a sweep replaces."""

    entries: Mapping[str, Entry]
    numbers: Mapping[str, Number]
    assumed: Mapping[str, float]
    """Values of `facts.ASSUMPTIONS`."""

    def __contains__(self, id: str) -> bool:
        return id in self.numbers

    def entry(self, id: str) -> Entry:
        """What is recorded beside the number; UserError if the file has no such entry."""
        if id not in self.entries:
            raise UserError(
                f"The calibration file has no entry {id!r}: restore impls/flexserve/calibration.json."
            )
        return self.entries[id]

    def value(self, id: str) -> float:
        """A single number, in the entry's unit."""
        number = self.numbers.get(id, self.entry(id).number)
        if isinstance(number, tuple):
            raise UserError(f"Calibration entry {id!r} is a curve; ask for its points.")
        return number

    def points(self, id: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(x, y) of a curve."""
        entry = self.entry(id)
        number = self.numbers.get(id, entry.number)
        if not isinstance(number, tuple):
            raise UserError(f"Calibration entry {id!r} is a single number; ask for its value.")
        return entry.x, number

    def gib(self, id: str) -> float:
        """Size that an operation was measured at, GiB; UserError where none is stated."""
        entry = self.entry(id)
        if entry.size_GiB is not None:
            return entry.size_GiB
        if entry.size_MiB is None:
            raise UserError(
                f"Calibration entry {id!r} lacks its size; restore {FILE.name} from the repository."
            )
        return entry.size_MiB / MIB_PER_GIB

    def of(self, prefix: str) -> dict[str, str]:
        """{model: id} of the entries still in use whose id is the prefix followed by a model."""
        return {
            e.model: id for id, e in self.entries.items() if id == prefix + e.model and id in self.numbers
        }

    def without(self, ids: Iterable[str]) -> Calibration:
        """The same without these numbers; what a model lacks is then said by the other models."""
        gone = set(ids)
        return replace(self, numbers={id: n for id, n in self.numbers.items() if id not in gone})

    def with_number(self, id: str, number: Number) -> Calibration:
        """The same with one number replaced."""
        self.entry(id)
        return replace(self, numbers={**self.numbers, id: number})

    def assuming(self, **values: float) -> Calibration:
        """The same with assumptions replaced."""
        unknown = set(values) - set(self.assumed)
        if unknown:
            raise UserError(f"Unknown assumption {sorted(unknown)}; known are {sorted(self.assumed)}.")
        return replace(self, assumed={**self.assumed, **values})

    def drawn(self, rng: np.random.Generator) -> Calibration:
        """Every number that enters the model, and every assumption, drawn uniformly inside its own tolerance.

        No number falls below 0. Linked operations follow the draw of their derived rate. The order of the draws is
        the file's, so one seed always gives one calibration.
        """
        ids = [id for id in self.numbers if self.entries[id].enters]
        flat = [np.atleast_1d(np.asarray(self.numbers[id], float)) for id in ids]
        width = [
            np.broadcast_to(np.asarray(self.entries[id].half_width, float), f.shape)
            for id, f in zip(ids, flat, strict=True)
        ]
        nominal = np.concatenate(flat)
        values = np.maximum(0, nominal + np.concatenate(width) * rng.uniform(-1, 1, nominal.size)).tolist()
        numbers = dict(self.numbers)
        at = 0
        for id, points in zip(ids, flat, strict=True):
            some = values[at : at + points.size]
            numbers[id] = tuple(some) if isinstance(self.numbers[id], tuple) else some[0]
            at += points.size
        for link in LINKS:
            _follow(link, self.numbers, numbers)
        assumed = {
            name: float(rng.uniform(ASSUMPTIONS[name].lo, ASSUMPTIONS[name].hi)) for name in self.assumed
        }
        return replace(self, numbers=numbers, assumed=assumed)


def _follow(link: Link, before: Mapping[str, Number], after: dict[str, Number]) -> None:
    """Give the link's target the factor that its derived number was drawn with."""
    if link.derived not in before or link.target not in before:
        return
    factor = _single(after[link.derived]) / _single(before[link.derived])
    rest, base = _single(before[link.target]), 0.0
    if link.base:
        rest, base = rest - _single(before[link.base]), _single(after[link.base])
    after[link.target] = base + (rest / factor if link.speed else rest * factor)


def _single(number: Number) -> float:
    if isinstance(number, tuple):
        raise TypeError("a link joins single numbers")
    return number


def read(path: Path | None = None) -> Calibration:
    """The calibration file's content; UserError for a file that is not one or that names an entry twice."""
    path = path or FILE
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError) as problem:
        raise UserError(
            f"Cannot read the calibration {path.name}: {problem}. Restore it from the repository."
        ) from None
    entries = {entry.id: entry for entry in file.entries}
    if len(entries) < len(file.entries):
        raise UserError(f"{path.name} names an entry twice; restore it from the repository.")
    return Calibration(
        entries,
        {id: entry.number for id, entry in entries.items()},
        {name: assumption.value for name, assumption in ASSUMPTIONS.items()},
    )
