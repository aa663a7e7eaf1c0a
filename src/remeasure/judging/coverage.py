"""How often the intervals cover, on data sets whose truth is known: `python -m remeasure.judging.coverage`.

The same seed gives the same rows, whichever cells are run: the generator of each follows from the seed and its name.
`--write` writes all rows to coverage.json, which docs/statistics.md and the report quote.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from .coverage_table import TABLE, Row, encoded, line, markdown

if TYPE_CHECKING:
    from .coverage_cells import Cell

DRAWS = 10_000
SEED = 20260101
AT_ONCE = 2**20
"""Values drawn at once: 8 MB, which caches hold better than more."""
OVERHEAD = 2000
"""What judging a data set takes, in values drawn; only for the estimate of time left."""


def cells(only: str = "") -> list[Cell]:
    """Those whose group and name begin so."""
    from . import coverage_times, coverage_units, coverage_words

    found = chain(
        coverage_times.cells(),
        coverage_units.cells(),
        coverage_words.cells(),
        coverage_times.limits(),
        coverage_units.limits(),
        coverage_words.limits(),
    )
    return [cell for cell in found if f"{cell.group}: {cell.name}".startswith(only)]


def run(cell: Cell, draws: int = DRAWS, seed: int = SEED) -> Row:
    import numpy as np

    own = zlib.crc32(f"{cell.group}: {cell.name}: {cell.what}".encode())
    block = max(1, AT_ONCE // cell.size)
    hits = 0
    for at, start in enumerate(range(0, draws, block)):
        rng = np.random.default_rng([seed, own, at])
        hits += int(cell.hits(rng, min(block, draws - start)).sum())
    share = hits / draws
    ok = cell.required is None or cell.required[0] <= share <= cell.required[1]
    two_se = round(2 * (share * (1 - share) / draws) ** 0.5, 4)
    return Row(
        group=cell.group,
        cell=cell.name,
        what=cell.what,
        share=round(share, 4),
        two_se=two_se,
        draws=draws,
        required=cell.required,
        ok=ok,
    )


def run_all(chosen: Sequence[Cell], draws: int, seed: int) -> list[Row]:
    """With a line a cell, and how long the rest will take."""
    costs = [cell.size + OVERHEAD for cell in chosen]
    began, rows = time.monotonic(), []
    for at, cell in enumerate(chosen, 1):
        rows.append(run(cell, draws, seed))
        left = (time.monotonic() - began) / sum(costs[:at]) * sum(costs[at:])
        print(f"{line(rows[-1])}  [{at}/{len(chosen)}, about {left / 60:.1f} min left]", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """How many cells miss what is required of them."""
    parser = argparse.ArgumentParser(prog="python -m remeasure.judging.coverage", description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="data sets a cell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--only", default="", metavar="PREFIX", help="cells whose line begins so, as in 'times'"
    )
    parser.add_argument("--write", action="store_true", help="write the table, of all cells")
    given = parser.parse_args(arguments)
    if given.write and given.only:
        parser.error("the committed table has all cells; leave out --only or --write")
    chosen = cells(given.only)
    if not chosen:
        parser.error(f"no cell begins with {given.only!r}; the groups are {', '.join(_groups())}")
    rows = run_all(chosen, given.draws, given.seed)
    print(f"\n{markdown(rows)}")
    missed = [row for row in rows if not row.ok]
    print(f"{len(rows)} cells, {len(missed)} outside of what is required")
    for row in missed:
        print(line(row))
    if given.write:
        TABLE.write_bytes(encoded(rows))
    return len(missed)


def _groups() -> list[str]:
    return list(dict.fromkeys(cell.group for cell in cells()))


if __name__ == "__main__":
    sys.exit(min(main(), 1))
