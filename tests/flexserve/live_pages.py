"""A small server with its ledger of pages, what the ledger says of it, and whether that is so at every moment."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from remeasure.impls.common import llama
from remeasure.impls.flexserve.policy.pages import (
    FLEX,
    NORMAL_WORLD,
    PAGE_BYTES,
    State,
)
from remeasure.impls.flexserve.policy.runs import Extent
from remeasure.impls.flexserve.real import loading
from remeasure.impls.flexserve.real.memory import Region
from remeasure.impls.flexserve.real.models import HostRun
from remeasure.impls.flexserve.real.pages import KV_OWNER, pages_of, part_owner
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.secure.kvswap import KVSwap
from remeasure.impls.flexserve.secure.pool import memfd_secret
from remeasure.impls.flexserve.systems import FLEXSERVE, cold

PATIENCE_S = 20.0
PROMPT = [5, 17, 3, 90, 44, 8, 61]
NEW = 6
PARTS = llama.MICRO.layers + 2


def _protection() -> str:
    try:
        os.close(memfd_secret())
    except OSError:
        return "none"
    return "secret"


MICRO = HostRun(
    cold(FLEXSERVE),
    model="micro",
    prompt_tokens=24,
    new_tokens=NEW,
    protection=_protection(),  # type: ignore[arg-type]
)
FINE = replace(MICRO, system=replace(MICRO.system, granularity="64 KiB"))
POOLS = pytest.mark.parametrize("pool", ["warm", "cold"])


def states(server: HostServer, owner: str) -> set[State]:
    """Of the pages that are an owner's, whoever has them now."""
    with server._pages.lock:
        return {state for _, state, _ in server.pages.pieces(server._pages.place(owner))}


def everything(server: HostServer) -> set[State]:
    return {state for _, state, _ in server.pages.pieces()}


def agrees(server: HostServer) -> bool:
    """Whether counters sum, each page is its range's owner's, and all plaintext lies in pages that may hold some."""
    ledger = server.pages
    owners = [*map(part_owner, range(PARTS)), KV_OWNER]
    return (
        sum(ledger.counters().values()) == ledger.total_pages
        and {owner for _, owner in ledger.counters()} <= {*owners, NORMAL_WORLD}
        and all(_owns_its_place_or_nothing(server, owner) for owner in owners)
        and ledger.count(State.FLEX_PLAIN) * PAGE_BYTES >= server.plaintext_bytes
        and all(states(server, part_owner(part)) == {State.FLEX_PLAIN} for part in server.resident)
    )


def _owns_its_place_or_nothing(server: HostServer, owner: str) -> bool:
    place = server._pages.place(owner)
    holders = {of for _, _, of in server.pages.pieces(place)}
    owned = server.pages.count(owner=owner)
    return (holders, owned) in (({owner}, place.pages), ({NORMAL_WORLD}, 0))


class Slow(Region):
    """Memory whose scrubbing waits to be allowed."""

    allowed = threading.Event()
    begun = threading.Event()

    def zero(self) -> None:
        Slow.begun.set()
        assert Slow.allowed.wait(PATIENCE_S)
        super().zero()


class Watched:
    """A server whose every write, zeroing and unmapping is held against its ledger, just when it happens."""

    def __init__(self, run: HostRun, root: Path) -> None:
        self.faults: set[str] = set()
        self._run, self._root = run, root

    def __enter__(self) -> Watched:
        self._patch = pytest.MonkeyPatch()
        read, decrypt, zero, close = loading.Loader.load, loading.Loader.decrypt, Region.zero, Region.close
        restore = KVSwap.restore

        def loads(loader, op):
            if not isinstance(loader._shards, loading.Shards):
                self._writes_through(loader, op)
            read(loader, op)

        def decrypts(loader, op):
            self._writes_through(loader, op)
            decrypt(loader, op)

        def restores(swap, owner, page, out):
            self._allow({State.FLEX_PLAIN}, "plaintext before fill", self._place(owner))
            restore(swap, owner, page, out)

        def zeroes(region):
            self._allow(FLEX | {State.CLAIMED}, "foreign pages zeroed", self._of(region))
            zero(region)

        def closes(region):
            self._allow({State.SCRUBBED}, "given back before it was scrubbed", self._of(region))
            if any(region.view()):
                self.faults.add("given back with something in it")
            close(region)

        for owner, name, replacement in (
            (loading.Loader, "load", loads),
            (loading.Loader, "decrypt", decrypts),
            (KVSwap, "restore", restores),
            (Region, "zero", zeroes),
            (Region, "close", closes),
        ):
            self._patch.setattr(owner, name, replacement)
        self.server = HostServer(self._run, self._root)
        return self

    def __exit__(self, *error: object) -> None:
        self.server.close()
        self._patch.undo()

    def _writes_through(self, loader, op) -> None:
        """Let the loader see memory that checks the ledger at the moment a piece is handed to the storage."""
        to, watched = loader._to, self

        class Through:
            def view(self, part, offset, nbytes):
                view = to.view(part, offset, nbytes)
                start = watched._place(part_owner(part)).start + offset // PAGE_BYTES
                piece = Extent(start, pages_of(nbytes))
                watched._allow({State.FLEX_PLAIN}, "plaintext before fill", piece)
                return view

        if type(to).__name__ != "Through":
            loader._to = Through()

    def _place(self, owner: str) -> Extent:
        return self.server._pages.place(owner)

    def _of(self, region: Region) -> Extent:
        (owner,) = (name for name, held in self.server._pages._regions.items() if held is region)
        return self._place(owner)

    def _allow(self, allowed, fault: str, extent: Extent) -> None:
        with self.server._pages.lock:
            if any(state not in allowed for _, state, _ in self.server.pages.pieces(extent)):
                self.faults.add(fault)


def faults(run: HostRun, root: Path) -> set[str]:
    """What a life with every way of taking and giving pages does wrong."""
    with Watched(run, root) as watched:
        server = watched.server
        server.prefill(PROMPT)
        server.swap_out()
        server.swap_in()
        server.decode(1)
        server.reclaim([1]).result(PATIENCE_S)
        server.prefill(PROMPT)
        server.release()
    return watched.faults
