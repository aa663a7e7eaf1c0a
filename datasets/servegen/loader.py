"""Clients of one window: ServeGen's, those of a folder of one's own, or the declared simulator.

numpy is imported where it is needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remeasure.errors import UserError

from .clients import Client

CLIENTS = (2, 7, 12, 13, 14, 17, 18, 24, 26, 27, 29, 30, 35, 39, 1, 11, 16, 19, 31, 41)
"""The twenty of the published default window; the first fourteen have distributions of tokens."""
KNOWN = frozenset(CLIENTS[:14])


@dataclass(frozen=True)
class Request:
    """Which clients, when."""

    window_s: int | None = None
    """Start of the window, in seconds from the first one; None: 727,800, or the busiest one of files without that."""
    clients: tuple[int, ...] = ()
    """Ids, in the order they shall have; empty: the twenty of the published window, or all active ones of a folder of
    single files."""
    seed: int = 0
    """Seed of the simulator."""


@dataclass(frozen=True, eq=False)
class Clients:
    """What a case gets. `label` names it in reports."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    clients: tuple[Client, ...]

    @property
    def rate_rps(self) -> float:
        """Requests a second of all clients together."""
        return sum(client.rate_rps for client in self.clients)


def load(request: Request, root: Path | None) -> Clients:
    """The clients of the window, from the archive or the single files in `root`; None is the simulator.

    Raises UserError for an archive or a file that is damaged (naming file and line or window), for a window or a client
    that is not there, and for a client that sends nothing in the window.
    """
    if root is None:
        from .generator import simulate

        ids = request.clients or CLIENTS
        clients = simulate(ids, KNOWN, request.seed)
        note = "no real data: the clients are drawn, only their number and the unequal load are like the published"
        return Clients(f"{len(clients)} clients of ServeGen, simulated", True, (note,), clients)
    from .parse import read, source

    files = source(root)
    published = files.packed and not request.clients
    window_s, clients = read(files, request.window_s, CLIENTS if published else request.clients)
    if not clients:
        raise UserError(
            f"{root}: no client sends anything at {window_s} s; choose another window with window_s."
        )
    known = sum(client.prompts is not None for client in clients)
    notes = (
        f"window at {window_s:,} s, {sum(client.rate_rps for client in clients):,.1f} req/s together",
        f"{known} of {len(clients)} clients have distributions of tokens",
    )
    what = "ServeGen m-small" if files.packed else f"trace {root.name}, window at {window_s:,} s"
    return Clients(f"{len(clients)} clients of {what}", False, notes, clients)
