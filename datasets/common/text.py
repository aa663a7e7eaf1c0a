"""Plain text as a file of a data set holds it."""

from __future__ import annotations

from pathlib import Path

from remeasure.errors import UserError


def read_text(path: Path, dataset: str) -> str:
    """The file's text, line ends as they are; a missing file and one that is no UTF-8 are refused."""
    hint = f"say `remeasure dataset fetch {dataset}`"
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put it there or {hint}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text (byte {error.start}); {hint}.") from None
