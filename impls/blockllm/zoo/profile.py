"""The profile table: what each block weighs and how long it takes at each batch size.

The paper profiles every block of its zoo offline; schedulers choose batch sizes and placements by such a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from remeasure.errors import UserError

from ..chain import Block
from .writing import put

BATCHES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Row:
    """One block at one batch size."""

    block: str
    """Its id."""
    kind: str
    bytes: int
    """As stored, in fp16."""
    parameters: int
    """The embedding that a tied head shares is the embed block's, not its own."""
    batch: int
    """Rows of hidden states, or tokens, that go through at a time."""
    ms: float


def profile(
    blocks: Iterable[Block], measure: Callable[[Block, int], float], batches: Sequence[int] = BATCHES
) -> list[Row]:
    """Measure every block once, whichever chains it is in; `measure(block, batch)` gives milliseconds."""
    distinct = {block.id: block for block in blocks}
    return [
        Row(block.id, block.kind, 2 * block.parameters, block.parameters, batch, measure(block, batch))
        for block in distinct.values()
        for batch in batches
    ]


def write(rows: Sequence[Row], path: Path) -> None:
    """Write a table as parquet, whole or not at all. Raises UserError where the disk does not take it."""
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Row)}
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    try:
        put(path, sink.getvalue().to_pybytes())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another folder.") from None


def read(path: Path) -> list[Row]:
    """The table that was written; UserError where it is missing, damaged or another table."""
    import pyarrow
    import pyarrow.parquet

    try:
        return [Row(**row) for row in pyarrow.parquet.read_table(path).to_pylist()]
    except (OSError, TypeError, pyarrow.ArrowException) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is no profile of a zoo ({said}); profile its blocks again.") from None
