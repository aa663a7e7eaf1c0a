"""How good a schedule was: busy times, the lower bound of its makespan, overlap and bubbles.

The bound is made from the busy times of the same run: stage times that were measured alone are no bound, because
stages slow each other down and storage drifts from run to run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..policy.plan import Kind
from .engine import Timeline


@dataclass(frozen=True)
class Schedule:
    """What one run spent, in seconds."""

    makespan_s: float
    busy: dict[Kind, float]
    """Time in which an operation of the kind ran: memory (alloc), reads (load), decryption, computing."""
    process_cpu_s: float
    cores: int

    @property
    def lower_bound_s(self) -> float:
        """No order of the same operations ends earlier: a resource does one at a time, and cores are few."""
        return max(
            self.busy["load"],
            self.busy["compute"],
            self.busy["alloc"] + self.busy["decrypt"],
            self.process_cpu_s / self.cores,
        )

    @property
    def limit(self) -> str:
        """Which resource sets the bound: reads, compute, decryption (with memory) or cores."""
        spent = {
            "reads": self.busy["load"],
            "compute": self.busy["compute"],
            "decryption": self.busy["alloc"] + self.busy["decrypt"],
            "cores": self.process_cpu_s / self.cores,
        }
        return max(spent, key=spent.__getitem__)

    @property
    def overlap_efficiency(self) -> float:
        """Sum of all busy times over the makespan: 1 where nothing overlaps, 3 where three workers never wait."""
        return sum(self.busy.values()) / self.makespan_s

    @property
    def bubble_s(self) -> float:
        """Time in which nothing was computed."""
        return self.makespan_s - self.busy["compute"]


def schedule(timeline: Timeline, cores: int | None = None) -> Schedule:
    """The sums of a timeline; `cores` are those this process may use unless given."""
    busy: dict[Kind, float] = dict.fromkeys(("alloc", "load", "decrypt", "compute"), 0.0)
    for op, start, end in zip(timeline.ops, timeline.start_ns, timeline.end_ns, strict=True):
        busy[op.kind] += (end - start) / 1e9
    return Schedule(
        timeline.makespan_ns / 1e9, busy, timeline.process_cpu_s, cores or len(os.sched_getaffinity(0))
    )
