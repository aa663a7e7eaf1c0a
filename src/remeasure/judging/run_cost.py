"""What a profile's run itself cost: figures that no case measures, from the provenance of its records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..records.record import Record
from .judged import FigureRow
from .summary import one, weakest


def run_figures(system: str, profile: str, records: Sequence[Record]) -> list[FigureRow]:
    """Wall time, CPU time and peak memory of the finished blocks of one system."""
    done = [record for record in records if record.system == system and record.status == "ok"]
    if not done:
        return []
    wall = covered((_begun(record), _begun(record) + record.provenance.wall_s) for record in done) / 60
    values = (
        (f"{profile} run, wall time of all blocks", wall, "min"),
        (f"{profile} run, CPU time of all blocks", sum(r.provenance.cpu_s for r in done) / 60, "CPU minutes"),
        (f"{profile} run, peak memory of a block", max(r.provenance.peak_rss_mb for r in done) / 1024, "GB"),
    )
    return [
        FigureRow(
            system=system,
            name=name,
            value=value,
            unit=unit,
            n=len(done),
            evidence=weakest(record.evidence for record in done),
            data=one(sorted({record.data.kind for record in done if record.data})),
        )
        for name, value, unit in values
    ]


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of (start, end) spans: blocks run side by side, and a run may be resumed another day."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _begun(record: Record) -> float:
    return datetime.fromisoformat(record.provenance.started).timestamp()
