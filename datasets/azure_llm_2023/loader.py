"""Requests to language-model services: Azure's traces, those of a folder of one's own, or the declared simulator.

numpy and pandas are imported where they are needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remeasure.errors import UserError

if TYPE_CHECKING:
    import numpy as np

PREFIX = "AzureLLMInferenceTrace_"
SIMULATED = (
    "no real data: gaps and token counts are drawn one by one from quantiles of the published hour, which keeps "
    "rates, medians, means and the variation of gaps and loses drift and correlation"
)


@dataclass(frozen=True)
class Request:
    """Nothing to choose: a folder has the trace that it has."""

    seed: int = 0
    """Seed of the simulator."""


@dataclass(frozen=True, eq=False)
class Service:
    """The requests of one file, in the order they came."""

    name: str
    """conv, code, or the name of a file of one's own."""
    at_s: np.ndarray
    """float64 [n], seconds from the first request of the earliest file; ascending."""
    prompt: np.ndarray
    """int64 [n], tokens of the prompt, at least 1."""
    output: np.ndarray
    """int64 [n], tokens generated, at least 1."""


@dataclass(frozen=True, eq=False)
class Services:
    """What a case gets. `label` names it in reports."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    services: tuple[Service, ...]
    """By name; they share one clock."""

    def service(self, name: str) -> Service:
        """Raises UserError for a service that the trace does not have."""
        for service in self.services:
            if service.name == name:
                return service
        names = ", ".join(service.name for service in self.services)
        raise UserError(f"the trace {self.label} has no service {name!r}; it has {names}.")


def load(request: Request, root: Path | None) -> Services:
    """The trace in `root`: Azure's, or any CSV files with its columns. None is the simulator.

    A time is a date as ISO 8601 writes it, or a number of seconds. Raises UserError, naming file and line, for a file
    that is empty or without one of the columns, for a time that is no time, negative or earlier than the one before,
    for tokens that are no whole number above 0, and for a trace whose requests all come at once.
    """
    if root is None:
        from .generator import CODE, CONV, simulate

        services = tuple(Service(law.name, *simulate(law, request.seed)) for law in (CODE, CONV))
        return Services("Azure LLM 2023, simulated", True, (SIMULATED,), services)
    from .parse import read_all

    services = tuple(
        Service(path.stem.removeprefix(PREFIX), at_s, prompt, output)
        for path, at_s, prompt, output in read_all(root)
    )
    notes = tuple(
        f"{service.name}: {len(service.at_s):,} requests in {service.at_s[-1] - service.at_s[0]:,.0f} s"
        for service in services
    )
    azures = any(path.name.startswith(PREFIX) for path in root.glob("*.csv"))
    return Services("Azure LLM 2023" if azures else f"trace {root.name}", False, notes, services)
