"""Records in long form, one row a sample, for other tools: JSON Lines, CSV, parquet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ..errors import UserError
from .record import Record

Row = dict[str, Any]
COLUMNS: Mapping[str, type] = {
    "system": str,
    "case": str,
    "profile": str,
    "seed": int,
    "status": str,
    "metric": str,
    "arm": str,
    "role": str,
    "unit": str,
    "index": int,
    "value": float,
    "evidence": str,
    "data": str,
    "commit": str,
    "environment": str,
    "key": str,
}
"""Column → type. `index` counts the samples of an arm; a failed block is one row without a value."""
TWIN = "A/A"
"""Role of the twin."""


def rows(records: Iterable[Record]) -> Iterator[Row]:
    """One row a sample, in the records' order; failures too, so that nothing is dropped."""
    for record in records:
        shared = {
            "system": record.system,
            "case": record.case,
            "profile": record.profile,
            "seed": record.seed,
            "status": record.status,
            "evidence": record.evidence,
            "data": record.data.kind if record.data else "",
            "commit": record.provenance.commit,
            "environment": record.provenance.environment,
            "key": record.key,
        }
        if record.status == "failure":
            yield _row(shared, metric="", arm="", role="", unit="", index=0, value=None)
        for metric, arms in record.samples.items():
            unit = record.metrics[metric].unit
            for arm, values in arms.items():
                role = record.arms[arm].role if arm in record.arms else TWIN
                for index, value in enumerate(values):
                    yield _row(shared, metric=metric, arm=arm, role=role, unit=unit, index=index, value=value)


def export(records: Iterable[Record], path: Path) -> int:
    """Write the records to `path`, in the format of its ending; returns the number of rows.

    Raises UserError for another ending and where the file cannot be written; nothing half-written stays.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path.name}: no format ends in {path.suffix!r}; end it in {', '.join(FORMATS)}.")
    # By record: a results folder may hold more rows than fit into memory.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            count = FORMATS[path.suffix]((list(rows([record])) for record in records), file)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); make room or choose another place."
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return count


def _row(shared: Row, **sample: Any) -> Row:
    both = shared | sample
    return {name: both[name] for name in COLUMNS}


def _json_lines(parts: Iterable[list[Row]], file: BinaryIO) -> int:
    encoder, count = msgspec.json.Encoder(), 0
    for part in parts:
        file.write(encoder.encode_lines(part))
        count += len(part)
    return count


def _csv(parts: Iterable[list[Row]], file: BinaryIO) -> int:
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        count = 0
        for part in parts:
            writer.writerows(part)
            count += len(part)
    return count


def _parquet(parts: Iterable[list[Row]], file: BinaryIO) -> int:
    import pyarrow as pa
    import pyarrow.parquet

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[type_]) for name, type_ in COLUMNS.items()])
    count = 0
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
            count += len(part)
    return count


FORMATS: Mapping[str, Callable[[Iterable[list[Row]], BinaryIO], int]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
