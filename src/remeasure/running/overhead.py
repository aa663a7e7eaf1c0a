"""What measuring costs beside what is measured: `python -m remeasure.running.overhead [--rounds N]`.

A case of one arm that burns 10 ms of CPU is measured with and without many live objects. The arm notes the CPU time at
which each of its calls begins and ends; all other CPU time of `measure`, reporting each turn included, is its cost.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ..contracts import Arm, At, Case, Metric
from .measure import measure
from .messages import Turned

ROUND_NS = 10_000_000
"""CPU time of a round that a cost is a share of."""
LIVE = 800_000
CPU = Metric("CPU", unit="s", better="lower", kind="time", per="round")


def cost(rounds: int, steps: int, data: Any, keep: int = 0) -> tuple[float, float]:
    """CPU time of `measure` that is not its arm's, while `data` lives: ms before the first round (warm-up and the one
    collection), then µs a turn, which is a round without the twin.

    steps: of the arm's arithmetic. keep: objects that each of its calls makes and keeps.
    """
    calls: list[tuple[int, int]] = []
    kept: list[list[list[int]]] = []

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
        def run() -> None:
            begin = time.process_time_ns()
            burn(steps)
            if keep:
                kept.append([[index] for index in range(keep)])
            calls.append((begin, time.process_time_ns()))

        return run

    arms = (Arm("burns", "strawman", None),)
    case = Case("overhead", "?", prepare, "none", None, arms, (CPU,), {"tiny": At()}, system="overhead")
    with open(os.devnull, "wb") as answers:

        def told(done: int, total: int) -> None:
            """As a worker tells who asked."""
            answers.write(msgspec.json.encode(Turned(done, total)) + b"\n")
            answers.flush()

        start = time.process_time_ns()
        measured = measure(case, data, 1, rounds, on_round=told)
        end = time.process_time_ns()
    turns = sum(map(len, measured.order))
    first = calls[-turns][0]
    warm_up, timed = (sum(b - a for a, b in part) for part in (calls[:-turns], calls[-turns:]))
    return (first - start - warm_up) / 1e6, (end - first - timed) / turns / 1e3


def burn(steps: int) -> None:
    """Arithmetic of so many steps, which makes no objects that a collection would look at."""
    value = 1
    for step in range(steps):
        value = (value * 31 + step) % 1_000_003


def steps_of(nanoseconds: int) -> int:
    """How many steps burn so much CPU time: of the fastest of several trials, since anything else only slows them."""
    fastest = min(_cpu(100_000) for _ in range(20))
    return round(100_000 * nanoseconds / fastest)


def _cpu(steps: int) -> int:
    begin = time.process_time_ns()
    burn(steps)
    return time.process_time_ns() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description="What measuring costs beside 10 ms of CPU a round.")
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    steps = steps_of(ROUND_NS)
    print(f"{'live objects':>28} {'before, ms':>11} {'a turn, µs':>11} {'of 10 ms':>9}")
    for name, live, keep in (
        ("none", 0, 0),
        (f"{LIVE:,} in the data", LIVE, 0),
        (f"{LIVE:,} made by the rounds", 0, LIVE // (2 * rounds)),
    ):
        before, turn = cost(rounds, steps, [[index] for index in range(live)], keep)
        print(f"{name:>28} {before:11.1f} {turn:11.1f} {1e3 * turn / ROUND_NS:9.2%}")


if __name__ == "__main__":
    main()
