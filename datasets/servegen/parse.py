"""Files of clients, packed or single, as clients of one window; what is wrong with one is said by file and line."""

from __future__ import annotations

import ast
import json
import math
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from remeasure.errors import UserError

from .clients import Client, Family, Pmf

ARCHIVE = "servegen_m-small.tar.gz"
CHUNK = re.compile(r"chunk-(\d+)-(trace\.csv|dataset\.json)")
DEFAULT_S = 727_800
"""Start of the window of the published files that is served unless another one is asked for."""
COLUMNS = ("start", "rate", "CV", "family", "shape", "scale")


@dataclass(frozen=True)
class Source:
    """The files of a folder or an archive."""

    where: Path
    packed: bool
    traces: Mapping[int, bytes]
    datasets: Mapping[int, bytes]


def source(folder: Path) -> Source:
    """What `folder` holds: the archive, else single files."""
    archive = folder / ARCHIVE
    found = _unpacked(archive) if archive.is_file() else _single(folder)
    parts: dict[str, dict[int, bytes]] = {"trace.csv": {}, "dataset.json": {}}
    for name, content in found.items():
        if match := CHUNK.fullmatch(name):
            parts[match[2]][int(match[1])] = content
    where = archive if archive.is_file() else folder
    if not parts["trace.csv"]:
        raise UserError(
            f"{where} holds no chunk-N-trace.csv; name a folder of ServeGen's files, or {ARCHIVE}'s folder."
        )
    return Source(where, archive.is_file(), parts["trace.csv"], parts["dataset.json"])


def read(files: Source, window_s: int | None, ids: tuple[int, ...]) -> tuple[int, tuple[Client, ...]]:
    """A window's start and the clients `ids` in it, in that order; no ids: all that send something.

    window_s None: DEFAULT_S where the files have it, else the window with the most requests.
    """
    if missing := [id_ for id_ in ids if id_ not in files.traces]:
        raise UserError(
            f"{files.where} has no client {missing[0]} (chunk-{missing[0]}-trace.csv); "
            f"it has {len(files.traces)}: {', '.join(map(str, sorted(files.traces)))}."
        )
    known = {id_: _windows(files, id_) for id_ in ids or sorted(files.traces)}
    at = _busiest(files, known) if window_s is None else window_s
    clients = []
    for id_, windows in known.items():
        name = _name(files, id_, "trace.csv")
        if at not in windows:
            raise UserError(
                f"{name} has no window that begins at {at} s; choose one of {_some(windows)} with window_s."
            )
        window = windows[at]
        if window.family is not None:
            clients.append(
                Client(
                    id_,
                    window.rate,
                    window.cv,
                    window.family,
                    window.shape,
                    window.scale,
                    *_lengths(files, id_, at),
                )
            )
        elif ids:
            raise UserError(
                f"{name}: client {id_} sends nothing at {at} s; leave it out or choose another window."
            )
    return at, tuple(clients)


@dataclass(frozen=True)
class _Window:
    """A line of a client's file."""

    rate: float
    cv: float
    family: Family | None
    """None at rate 0."""
    shape: float
    scale: float


def _busiest(files: Source, known: Mapping[int, Mapping[int, _Window]]) -> int:
    """The start of the window to take where none is asked for, of those that all clients have."""
    common = set.intersection(*(set(windows) for windows in known.values()))
    if not common:
        raise UserError(
            f"{files.where}: no window stands in the files of all clients; cut them to the same time."
        )
    if DEFAULT_S in common:
        return DEFAULT_S
    return min(common, key=lambda start: (-sum(windows[start].rate for windows in known.values()), start))


def _some(starts: Iterable[int]) -> str:
    """Windows as a person may choose from them."""
    first = sorted(starts)
    return ", ".join(map(str, first[:3])) + (f", … {first[-1]}" if len(first) > 3 else "")


def _unpacked(archive: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = [member for member in tar if member.isfile()]
            found = {member.name: tar.extractfile(member) for member in members}
            return {Path(name).name: file.read() for name, file in found.items() if file is not None}
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{archive} cannot be unpacked ({error}); bring it again.") from None


def _single(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise UserError(f"the trace {folder} is no folder; name one that holds chunk-N-trace.csv.")
    try:
        return {path.name: path.read_bytes() for path in sorted(folder.glob("chunk-*")) if path.is_file()}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); make it readable.") from None


def _name(files: Source, id_: int, kind: str) -> str:
    return f"{files.where}/chunk-{id_}-{kind}" if not files.packed else f"{files.where}: chunk-{id_}-{kind}"


def _windows(files: Source, id_: int) -> dict[int, _Window]:
    """A client's windows by their start in s."""
    name = _name(files, id_, "trace.csv")
    windows: dict[int, _Window] = {}
    before = -math.inf
    for number, line in enumerate(_text(name, files.traces[id_]).splitlines(), start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(COLUMNS):
            raise UserError(f"{name}, line {number}: {len(cells)} fields; write {', '.join(COLUMNS)}.")
        try:
            start, rate, cv, shape, scale = (float(cells[at]) for at in (0, 1, 2, 4, 5))
        except ValueError as error:
            raise UserError(f"{name}, line {number}: {error}; write numbers.") from None
        if not all(0 <= value < math.inf for value in (start, rate, cv, shape, scale)):
            raise UserError(f"{name}, line {number}: numbers must be finite and not negative; mend it.")
        if start <= before:
            raise UserError(
                f"{name}, line {number}: the window at {start:g} s does not come after the last one."
            )
        if rate > 0 and (cells[3] not in get_args(Family) or not shape or not scale):
            raise UserError(
                f"{name}, line {number}: a rate above 0 needs Gamma or Weibull with shape and scale above 0."
            )
        before = start
        if start == int(start):
            windows[int(start)] = _Window(rate, cv, _family(cells[3]) if rate > 0 else None, shape, scale)
    if not windows:
        raise UserError(f"{name} holds no windows; a line is {', '.join(COLUMNS)}.")
    return windows


def _family(cell: str) -> Family:
    return "Gamma" if cell == "Gamma" else "Weibull"


def _lengths(files: Source, id_: int, window_s: int) -> tuple[Pmf | None, Pmf | None]:
    """Distributions of prompt and answer tokens of the last window at or before `window_s`, both or neither."""
    if id_ not in files.datasets:
        return None, None
    name = _name(files, id_, "dataset.json")
    try:
        windows = json.loads(_text(name, files.datasets[id_]))
    except json.JSONDecodeError as error:
        raise UserError(f"{name}, line {error.lineno}: {error.msg}; bring the file again.") from None
    if not isinstance(windows, dict) or not all(key.isdecimal() for key in windows):
        raise UserError(f"{name} is no JSON object of windows by their start in seconds; bring it again.")
    begun = [int(key) for key in windows if int(key) <= window_s]
    if not begun:
        return None, None
    at = max(begun)
    prompts, outputs = (
        _pmf(f"{name}, window {at}, {key}", _entry(windows[str(at)], key))
        for key in ("input_tokens", "output_tokens")
    )
    return (prompts, outputs) if prompts and outputs else (None, None)


def _entry(window: Any, key: str) -> Any:
    return window.get(key) if isinstance(window, dict) else None


def _pmf(where: str, literal: Any) -> Pmf | None:
    """The distribution that a string like `{12: 0.5, 13: 0.5}` writes; None for an empty one."""
    try:
        pairs = ast.literal_eval(literal)
        tokens = np.array(list(pairs), dtype=np.float64)
        probability = np.array(list(pairs.values()), dtype=np.float64)
    except (ValueError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError):
        raise UserError(f"{where}: no Python dict of tokens to probability; bring the file again.") from None
    if not len(tokens):
        return None
    whole = (tokens >= 0) & (tokens == np.floor(tokens))
    if not whole.all() or not (probability >= 0).all() or not abs(probability.sum() - 1) < 1e-3:
        raise UserError(f"{where}: tokens must be whole numbers and probabilities sum to 1; mend it.")
    order = np.argsort(tokens, kind="stable")
    return Pmf(tokens[order].astype(np.int64), probability[order] / probability.sum())


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is no UTF-8 text (byte {error.start}); bring it again.") from None
