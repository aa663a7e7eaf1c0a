"""Executes a plan on the host: operations of different layers beside each other (June §5.1, pipelined prefill).

A resource has one worker. It takes the first operation in the plan's order that waits for nothing any more, so that
memory is claimed ahead of time while no ciphertext has arrived, and a chunk that has arrived is decrypted first.
Computing is done by the caller's thread: torch keeps its thread pools and its modes per thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from threading import Condition, Lock, Thread
from typing import Literal

from ..policy.plan import Kind, Op

Resource = Literal["io", "crypto", "compute"]
RESOURCE: Mapping[Kind, Resource] = {
    "alloc": "crypto",
    "load": "io",
    "decrypt": "crypto",
    "compute": "compute",
}
Action = Callable[[Op], object]


@dataclass(frozen=True, eq=False)
class Timeline:
    """What ran when, in nanoseconds since the run began; `start_ns` and `end_ns` have an entry an operation."""

    ops: Sequence[Op]
    start_ns: Sequence[int]
    end_ns: Sequence[int]
    makespan_ns: int
    thread_cpu_s: Mapping[Resource, float]
    """CPU seconds of each worker's own thread; threads that torch starts are not in it."""
    process_cpu_s: float
    """CPU seconds of the whole process."""


def execute(
    ops: Sequence[Op], actions: Mapping[Kind, Action], *, staging_bytes: int | None = None
) -> Timeline:
    """Run every operation once, after its predecessors; returns when all have ended.

    `staging_bytes` bounds what is loaded and not yet decrypted: a load waits, outside its measured time, until
    decryption has made room. Without it nothing is bounded.

    The first exception of an action stops all workers: what runs then is finished, nothing else is begun, and the
    exception is raised here. ValueError for a plan that cannot end: an operation that waits for itself or a later one,
    or a staging area in which the loads before the next decryption do not fit.
    """
    run = _Run(ops, actions, staging_bytes)
    cpu = time.process_time()
    helpers = [Thread(target=run.work, args=(resource,), daemon=True) for resource in ("io", "crypto")]
    for helper in helpers:
        helper.start()
    run.work("compute")
    for helper in helpers:
        _join(helper, run)
    makespan_ns = time.perf_counter_ns() - run.zero_ns
    if run.error is not None:
        raise run.error
    return Timeline(
        ops,
        [at - run.zero_ns for at in run.start_ns],
        [at - run.zero_ns for at in run.end_ns],
        makespan_ns,
        run.thread_cpu_s,
        time.process_time() - cpu,
    )


def _join(helper: Thread, run: _Run) -> None:
    while helper.is_alive():
        try:
            helper.join()
        except BaseException as error:  # Ctrl-C: the workers still use the caller's buffers
            run.stop(error)


class _Run:
    """The state of one execution; everything that workers share is changed under one lock."""

    def __init__(self, ops: Sequence[Op], actions: Mapping[Kind, Action], staging_bytes: int | None) -> None:
        self.ops = ops
        self.actions = actions
        self.error: BaseException | None = None
        self.start_ns = [0] * len(ops)
        self.end_ns = [0] * len(ops)
        self.thread_cpu_s: dict[Resource, float] = {}
        self._lock = Lock()
        self._work: dict[Resource, Condition] = {
            r: Condition(self._lock) for r in ("io", "crypto", "compute")
        }
        self._ready: dict[Resource, list[int]] = {r: [] for r in self._work}
        self._left: dict[Resource, int] = dict.fromkeys(self._work, 0)
        self._waits = [len(op.after) for op in ops]
        self._followers: list[list[int]] = [[] for _ in ops]
        self._running = 0
        self._room = staging_bytes
        self._staged = {(op.part, op.offset): op.nbytes for op in ops if op.kind == "decrypt"}
        for index, op in enumerate(ops):
            if any(earlier >= index for earlier in op.after):
                raise ValueError(f"operation {index} of the plan waits for itself or a later one")
            for earlier in op.after:
                self._followers[earlier].append(index)
            self._left[RESOURCE[op.kind]] += 1
            if not op.after:
                heappush(self._ready[RESOURCE[op.kind]], index)
        self.zero_ns = time.perf_counter_ns()

    def work(self, resource: Resource) -> None:
        """One worker's life: it ends when its resource has nothing left to do or the run was stopped."""
        cpu = time.thread_time()
        clock = time.perf_counter_ns
        try:
            index = self._next(resource, None)
            while index is not None:
                op = self.ops[index]
                self.start_ns[index] = clock()
                self.actions[op.kind](op)
                self.end_ns[index] = clock()
                index = self._next(resource, index)
        except BaseException as error:
            self.stop(error)
        self.thread_cpu_s[resource] = time.thread_time() - cpu

    def stop(self, error: BaseException) -> None:
        """Let nothing further begin; the first error is the one that is raised."""
        with self._lock:
            if self.error is None:
                self.error = error
            for condition in self._work.values():
                condition.notify()

    def _next(self, resource: Resource, ended: int | None) -> int | None:
        with self._lock:
            if ended is not None:
                self._end(ended)
            while self.error is None and self._left[resource]:
                if self._can_begin(resource):
                    index = heappop(self._ready[resource])
                    self._left[resource] -= 1
                    self._running += 1
                    if resource == "io" and self._room is not None:
                        self._room -= self._stages(index)
                    return index
                if not self._running and not any(map(self._can_begin, self._work)):
                    raise ValueError(
                        "the staging area is too small for the loads that the plan puts before a decryption"
                    )
                self._work[resource].wait()
        return None

    def _can_begin(self, resource: Resource) -> bool:
        ready = self._ready[resource]
        if not ready:
            return False
        return resource != "io" or self._room is None or self._stages(ready[0]) <= self._room

    def _end(self, index: int) -> None:
        self._running -= 1
        op = self.ops[index]
        if op.kind == "decrypt" and self._room is not None:
            self._room += op.nbytes
            self._work["io"].notify()
        for follower in self._followers[index]:
            self._waits[follower] -= 1
            if not self._waits[follower]:
                resource = RESOURCE[self.ops[follower].kind]
                heappush(self._ready[resource], follower)
                self._work[resource].notify()

    def _stages(self, index: int) -> int:
        """Bytes that a load keeps staged until they are decrypted; 0 for weights that are not encrypted."""
        op = self.ops[index]
        return self._staged.get((op.part, op.offset), 0)
