"""Write the three files of the report, all or none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from ..errors import UserError
from ..judging.judged import Report


def render(report: Report, out: Path) -> list[Path]:
    """Write index.html, report.md and report.json to `out`. A full disk leaves the files that were there."""
    from .html import page
    from .markdown import markdown

    files = {
        "index.html": page(report).encode(),
        "report.md": markdown(report).encode(),
        "report.json": report_json(report),
    }
    waiting: list[tuple[Path, Path]] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            waiting.append((_beside(out / name, content), out / name))
        for written, final in waiting:
            written.replace(final)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {out}: {error.strerror or error}; "
            "make room or make the folder writable, the earlier files are untouched."
        ) from None
    finally:
        for written, _ in waiting:
            written.unlink(missing_ok=True)
    return [out / name for name in files]


def report_json(report: Report) -> bytes:
    """The whole report as JSON, keys sorted, so that two runs can be compared line by line."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=1) + b"\n"


def _beside(path: Path, content: bytes) -> Path:
    """Write next to the final place, so that renaming cannot cross a file system."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.chmod(0o644)
    except OSError:
        written.unlink(missing_ok=True)
        raise
    return written
