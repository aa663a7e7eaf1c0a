"""CSV files of requests as arrays; what is wrong with one is said by file and line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

TIME, PROMPT, OUTPUT = COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_all(folder: Path) -> list[tuple[Path, np.ndarray, np.ndarray, np.ndarray]]:
    """Every CSV file of a folder, by name: its path, seconds from the earliest first row, tokens in and tokens out.

    Files that give dates and files that give seconds have no common clock and are refused together.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and _is_csv(path.name))
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); name a folder of CSV files.") from None
    if not paths:
        raise UserError(f"{folder} holds no CSV file; put one there with {', '.join(COLUMNS)}.")
    read = {path: _read(path) for path in paths}
    dated = [path.name for path, (is_date, _, _) in read.items() if is_date]
    if dated and len(dated) < len(paths):
        other = next(path.name for path in paths if path.name not in dated)
        raise UserError(
            f"{folder}: {dated[0]} gives dates and {other} seconds; write all times of a trace alike."
        )
    first = min(times[0] for _, times, _ in read.values())
    if first == max(times[-1] for _, times, _ in read.values()):
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        raise UserError(f"{paths[0]}{others}: all requests have the same time; give a longer trace.")
    return [(path, (times - first) / 1e9, *tokens) for path, (_, times, tokens) in read.items()]


def _is_csv(name: str) -> bool:
    """Hidden files are nobody's trace, and the hash of a file set does not cover them."""
    return name.lower().endswith(".csv") and not name.startswith(".")


def _read(path: Path) -> tuple[bool, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Whether times are dates; times in ns int64 [n]; tokens in and out int64 [n]."""
    frame = _table(path)
    if missing := [name for name in COLUMNS if name not in frame.columns]:
        found = ", ".join(str(name) for name in frame.columns)
        raise UserError(
            f"{path}, line 1: column {missing[0]} is missing (found: {found}); name it in the header."
        )
    # Empty lines are passed over; the index still counts them, so that line = index + 2.
    frame = frame[(frame != "").any(axis=1)]
    if frame.empty:
        raise UserError(f"{path} holds no requests; a trace needs at least one line below its header.")
    dates, times = _times(path, frame[TIME])
    prompt, output = (_tokens(path, frame[name]) for name in (PROMPT, OUTPUT))
    return dates, times, (prompt, output)


def _table(path: Path) -> pd.DataFrame:
    """All cells as text, the header stripped; unquoted, the row at index i is line i + 2 of the file."""
    try:
        with warnings.catch_warnings():
            # A first row longer than the header is only a warning, and pandas then cuts every row.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                dtype=str,
                encoding="utf-8-sig",
                index_col=False,
                na_filter=False,
                skip_blank_lines=False,
                skipinitialspace=True,
            )
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty; a trace needs the header {','.join(COLUMNS)}.") from None
    except pd.errors.ParserWarning:
        raise UserError(f"{path}, line 2: more fields than the header has; mend the file.") from None
    except pd.errors.ParserError as error:
        what = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise UserError(f"{path} is no proper CSV file: {what}; mend the file.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from None
    return frame.rename(columns=lambda name: str(name).strip())


def _times(path: Path, cells: pd.Series[str]) -> tuple[bool, np.ndarray]:
    """Whether they are dates, and nanoseconds int64 [n], ascending."""
    seconds = pd.to_numeric(cells, errors="coerce")
    dates = bool(seconds.isna().iloc[0])
    if dates:
        stamps = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
        _refuse(path, cells, stamps.isna(), f"is no {TIME}", "write 2023-11-16 18:15:46.680")
        times = stamps.dt.as_unit("ns").astype("int64").to_numpy()
    else:
        _refuse(
            path, cells, ~(seconds.abs() < np.inf), f"is no {TIME}", "write seconds in every line, or dates"
        )
        _refuse(path, cells, seconds < 0, "is a negative time", "let times begin at 0")
        _refuse(path, cells, seconds > 9e9, f"is no {TIME} in seconds", "divide it")
        times = np.rint(seconds.to_numpy(dtype=np.float64) * 1e9).astype(np.int64)
    earlier = pd.Series(np.diff(times, prepend=times[:1]) < 0, index=cells.index)
    _refuse(path, cells, earlier, "is earlier than the line before", f"sort the file by {TIME}")
    return dates, times


def _tokens(path: Path, cells: pd.Series[str]) -> np.ndarray:
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    whole = (numbers % 1 == 0) & (numbers.abs() < 2**53)
    _refuse(path, cells, ~whole, f"is no whole number of {cells.name}", "count tokens")
    _refuse(path, cells, numbers < 1, f"is no number of {cells.name} above 0", "leave such requests out")
    return numbers.to_numpy().astype(np.int64)


def _refuse(path: Path, cells: pd.Series[str], wrong: pd.Series[bool], what: str, advice: str) -> None:
    """Say the first wrong cell by file and line, if there is one."""
    bad = np.flatnonzero(wrong.to_numpy())
    if len(bad):
        raise UserError(f"{path}, line {cells.index[bad[0]] + 2}: {cells.iloc[bad[0]]!r} {what}; {advice}.")
