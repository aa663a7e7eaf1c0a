"""The server in a process of its own: it answers while another process trains, and takes the next snapshot between two
requests (§5).

So an update costs requests the processor that it uses and nothing else: a request is answered by one whole snapshot,
whose number stands in the answer.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from ..engine.snapshots import Answer, Snapshot, Snapshots
from ..requests import Requests


@dataclass(frozen=True, eq=False)
class Timed:
    """An answer, and what it took."""

    answer: Answer
    seconds: float
    """Wall time in the server, from request to answer."""


class Server:
    """The trainer's end of a running server."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def swap(self, following: Snapshot) -> None:
        """Answer with `following` from now on; it takes effect behind the requests that were sent before."""
        self._pipe.send(following)

    def send(self, requests: Requests, k: int) -> None:
        """Ask; whoever asks does not wait. The catalogue stays here: the server reads with its snapshot's."""
        self._pipe.send((requests.item, requests.gap, requests.user, k))

    def receive(self) -> Timed:
        """The answer to the earliest request that has none yet."""
        answer: Timed = self._pipe.recv()
        return answer


@contextmanager
def serving(first: Snapshot) -> Iterator[Server]:
    """A server that answers with `first`, on one thread, until the block is left."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(first, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Server(ours)
    finally:
        ours.close()
        process.join(timeout=10)
        if process.is_alive():
            process.kill()


def _serve(first: Snapshot, pipe: Connection) -> None:
    torch.set_num_threads(1)
    held = Snapshots(first)
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        if isinstance(asked, Snapshot):
            held.swap(asked)
            continue
        begin = time.perf_counter()
        *read, k = asked
        snapshot = held.current
        answer = snapshot.answer(Requests(snapshot.catalogue, *read), k)
        pipe.send(Timed(answer, time.perf_counter() - begin))
