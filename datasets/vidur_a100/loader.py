"""Measured A100 times from Vidur's tables where their files are, else a roofline that stands in for them.

numpy is imported where it is needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remeasure.errors import UserError

from .tables import OPERATORS, Sends, Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYER = "mlp_a100_llama2-7b.csv"
BOXES = {"dgx": "net_a100_dgx_send_recv.csv", "pairwise": "net_a100_pairwise_nvlink_send_recv.csv"}
"""Box of GPUs → its file of send_recv times."""
TENSOR_PARALLEL = (1, 2, 4, 8)


@dataclass(frozen=True)
class Request:
    """Which of the tables' rows."""

    tensor_parallel: int = 1
    """GPUs among which a layer is divided: 1, 2, 4 or 8; times are those of one of them."""


def load(request: Request, root: Path | None) -> Tables:
    """The tables of the files in `root`; None is the simulator.

    Times are medians of the tables' repetitions; a size that stands twice has the mean of both. A send's size is read
    as bytes: as two-byte elements it would pass faster than the link can. Raises UserError for a number of GPUs that
    was not measured, a missing file or column, and a cell that is no number above 0.
    """
    if request.tensor_parallel not in TENSOR_PARALLEL:
        raise UserError(
            f"Vidur's layer was not measured divided among {request.tensor_parallel} GPUs; ask for one of "
            f"{', '.join(map(str, TENSOR_PARALLEL))}."
        )
    label = f"Llama-2-7B on A100, tensor parallel {request.tensor_parallel}"
    if root is None:
        from .generator import layer, sends

        tokens, ms = layer(request.tensor_parallel)
        note = "no real data: times are a roofline's, so agreement with them says nothing"
        return Tables(f"{label}, simulated", True, (note,), tokens, ms, sends())
    tokens, ms = _layer(root / LAYER, request.tensor_parallel)
    found = tuple(sent for box, name in BOXES.items() for sent in _sends(box, root / name))
    return Tables(label, False, ("medians; sizes of sends are read as bytes",), tokens, ms, found)


def _layer(path: Path, among: int) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    keys = ["num_tensor_parallel_workers", "num_tokens"]
    medians = [f"time_stats.{name}.median" for name in OPERATORS.values()]
    lines = [line[1:] for line in _numbers(path, keys + medians) if line[0] == among]
    tokens, times = _by_size(path, lines)
    return tokens, dict(zip(OPERATORS, times, strict=True))


def _sends(box: str, path: Path) -> Iterator[Sends]:
    columns = ["devices_per_node", "size", "time_stats.send_recv.median"]
    lines = list(_numbers(path, columns))
    for devices in (2, 1):
        nbytes, (ms,) = _by_size(path, [line[1:] for line in lines if line[0] == devices])
        yield Sends(box, devices == 2, nbytes, ms)


def _by_size(path: Path, lines: list[list[float]]) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Lines of (size, times …) → sizes, ascending and different, and a column of times each."""
    import numpy as np

    if not lines:
        raise UserError(
            f"{path} lacks the rows that were asked for; say `remeasure dataset fetch vidur_a100`."
        )
    at: dict[int, list[list[float]]] = defaultdict(list)
    for size, *times in lines:
        at[int(size)].append(times)
    sizes = sorted(at)
    means = np.array([np.mean(at[size], axis=0) for size in sizes])
    return np.array(sizes, dtype=np.int64), list(means.T)


def _numbers(path: Path, columns: list[str]) -> Iterator[list[float]]:
    """These columns of each line, all of them numbers above 0."""
    try:
        file = path.open(encoding="utf-8", newline="")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; put it there or say `remeasure dataset fetch vidur_a100`."
        ) from None
    with file:
        lines = csv.DictReader(file)
        missing = [name for name in columns if name not in (lines.fieldnames or ())]
        if missing:
            raise UserError(
                f"{path} has no column {missing[0]}; say `remeasure dataset fetch vidur_a100` to get the right file."
            )
        for line in lines:
            yield [_number(path, lines.line_num, name, line[name]) for name in columns]


def _number(path: Path, line: int, column: str, cell: str | None) -> float:
    try:
        number = float(cell or "")
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UserError(
            f"{path}, line {line}: {column} is {cell!r}, not a number above 0; correct it or say "
            "`remeasure dataset fetch vidur_a100`."
        )
    return number
