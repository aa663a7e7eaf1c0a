"""Reads `tables.csv`, the operator times that `derive.py` made, for one serving stack."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Literal, get_args

from remeasure.errors import UserError

Stack = Literal["vllm", "trtllm", "sglang"]
STACKS: tuple[Stack, ...] = get_args(Stack)
COLUMNS = ("stack", "shape", "part", "rows", "context", "us")
TABLES = Path(__file__).with_name("tables.csv")
Points = dict[tuple[int, int], float]
"""(rows, tokens of each sequence; 0 where they do not matter) → ms."""


def read(stack: Stack, path: Path = TABLES) -> dict[tuple[str, str], Points]:
    """(shape, part) → its points, in the order of the file.

    Raises UserError for a stack that is not in the table, and for a line that is no line of it.
    """
    if stack not in STACKS:
        raise UserError(f"there is no serving stack {stack!r}; choose one of {', '.join(STACKS)}.")
    found: dict[tuple[str, str], Points] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise UserError(f"{path}, line 1: the columns must be {', '.join(COLUMNS)}; make the table anew.")
        for cells in lines:
            try:
                whose, shape, part, rows, context, us = cells
                point = (int(rows), int(context or 0)), float(us) / 1000
            except ValueError:
                raise UserError(
                    f"{path}, line {lines.line_num}: {','.join(cells)!r} is no time of a part; make the table anew."
                ) from None
            if whose == stack:
                found[shape, part][point[0]] = point[1]
    return dict(found)
