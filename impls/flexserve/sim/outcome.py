"""What a simulation of many requests hands back: columns that grow by one number a request, and totals over time."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .apps import App, AppRun
from .arrivals import Request
from .costs import GIB
from .memory import Counters, Memory

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
OWNERS = tuple(field.name for field in fields(Counters))
FLOATS = ("at_s", "start_s", "ttft_s", "decode_s", "response_s", "reclaim_s", "app_relative")
INTEGERS = ("model", "hit_bytes", "restored_bytes", "cached_bytes", "reclaim_bytes")


@dataclass(frozen=True, eq=False)
class Outcome:
    """One simulation. Times are seconds of device time, sizes bytes; arrays are in the order of serving."""

    models: tuple[str, ...]
    """Names that `model` points into."""
    model: Integers
    """int64 [requests]."""
    at_s: Floats
    """float64 [requests]: when it was asked for."""
    start_s: Floats
    """float64 [requests]: when its service began."""
    ttft_s: Floats
    """float64 [requests]: from the start of service to the first token."""
    decode_s: Floats
    """float64 [requests]: from the first token to the last."""
    hit_bytes: Integers
    """int64 [requests]: the model's weights that were in memory already."""
    restored_bytes: Integers
    """int64 [requests]: those that were not."""
    sessions: tuple[str, ...]
    """Runs of workflows that ended, by name."""
    response_s: Floats
    """float64 [sessions]: full generations of all earlier calls and the TTFT of the last (June §7.4, Fig 9)."""
    reclaim_s: Floats
    """float64 [reclaims]: what an application waited for memory that inference gave back."""
    reclaim_bytes: Integers
    """int64 [reclaims]."""
    apps: tuple[str, ...]
    """Applications in the order of their runs."""
    app_relative: Floats
    """float64 [runs]: throughput of the run; 1 is the application alone on the device."""
    duration_s: float
    """From the start to the end of the last request or application."""
    stage2_on_s: float
    """Of that, seconds with stage-2 page tables on."""
    mean_bytes: Mapping[str, float]
    """Owner of memory (the fields of `Counters`) → its mean over the duration."""
    peak_held_bytes: int
    """The most that inference kept from applications."""
    cached_bytes: Integers
    """int64 [requests]: what stayed for later requests when this one had ended."""
    events: int
    """Calls that the event loop made."""

    @property
    def wait_s(self) -> Floats:
        """float64 [requests]: from being asked for to the start of service."""
        return self.start_s - self.at_s

    @property
    def latency_s(self) -> Floats:
        """float64 [requests]: from being asked for to the last token."""
        return self.wait_s + self.ttft_s + self.decode_s

    @property
    def stage2_residency(self) -> float:
        """Share of the duration with stage-2 page tables on."""
        return self.stage2_on_s / self.duration_s if self.duration_s else 0.0


class Recorder:
    """Collects an outcome while the simulation goes on."""

    def __init__(self, memory: Memory, stage2_tax: float) -> None:
        self._memory, self._stage2_tax = memory, stage2_tax
        self._columns: dict[str, array[Any]] = {name: array("d") for name in FLOATS}
        self._columns |= {name: array("q") for name in INTEGERS}
        self._models: dict[str, int] = {}
        self._sessions: list[str] = []
        self._apps: list[str] = []
        self._open_sessions: dict[str, float] = {}
        """Run of a workflow → seconds of full generations so far."""
        self._byte_seconds = dict.fromkeys(OWNERS, 0.0)
        self._stage2_on_s = self._now = self._app_work_s = 0.0
        self._peak_held = 0

    def until(self, now: float, stage2_on: bool, app: App | None) -> None:
        """Nothing has changed from the last call until now."""
        passed, memory = now - self._now, self._memory
        self._now = now
        for owner in OWNERS:
            self._byte_seconds[owner] += passed * getattr(memory, owner)
        self._peak_held = max(self._peak_held, memory.held)
        if stage2_on:
            self._stage2_on_s += passed
        if app is not None:
            speed = app.relative(memory.missed_by_apps / GIB)
            self._app_work_s += passed * speed * (1 - self._stage2_tax if stage2_on else 1)

    def request(self, request: Request, start_s: float, hit_bytes: int, restored_bytes: int) -> None:
        """Service of a request began at `start_s`."""
        model = self._models.setdefault(request.model, len(self._models))
        self._add(model=model, at_s=request.at_s, start_s=start_s)
        self._add(hit_bytes=hit_bytes, restored_bytes=restored_bytes)

    def generation(self, request: Request, ttft_s: float, decode_s: float, cached_bytes: int) -> None:
        """The same request ended."""
        self._add(ttft_s=ttft_s, decode_s=decode_s, cached_bytes=cached_bytes)
        if not request.session:
            return
        earlier = self._open_sessions.pop(request.session, 0.0)
        if request.last:
            self._sessions.append(request.session)
            self._add(response_s=earlier + ttft_s)
        else:
            self._open_sessions[request.session] = earlier + ttft_s + decode_s

    def reclaim(self, seconds: float, nbytes: int) -> None:
        """An application waited for memory, and did nothing else."""
        self._add(reclaim_s=seconds, reclaim_bytes=nbytes)
        self._app_work_s = max(0.0, self._app_work_s - seconds)

    def app_begins(self) -> None:
        self._app_work_s = 0.0

    def app_ends(self, run: AppRun) -> None:
        if run.app is None:
            return
        self._apps.append(run.app.name)
        self._add(app_relative=self._app_work_s / run.duration_s)

    def outcome(self, events: int) -> Outcome:
        """What was collected."""
        return Outcome(
            models=tuple(self._models),
            sessions=tuple(self._sessions),
            apps=tuple(self._apps),
            duration_s=self._now,
            stage2_on_s=self._stage2_on_s,
            mean_bytes={owner: total / (self._now or 1) for owner, total in self._byte_seconds.items()},
            peak_held_bytes=self._peak_held,
            events=events,
            **{name: np.asarray(column) for name, column in self._columns.items()},
        )

    def _add(self, **numbers: float) -> None:
        for name, number in numbers.items():
            self._columns[name].append(number)
