"""For notebooks: `remeasure.load("results")` is every sample as a pandas DataFrame in long form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .errors import UserError
from .records.export import COLUMNS, FORMATS, rows
from .records.store import Store

if TYPE_CHECKING:
    import pandas as pd


def load(where: str | Path) -> pd.DataFrame:
    """Samples in long form, columns as in `remeasure export`.

    where: a results folder, one record of it (.json), or an exported file (.jsonl, .csv, .parquet).
    Raises UserError for anything else, and for records that are damaged or of another version.
    """
    import pandas as pd

    path = Path(where)
    if path.is_dir():
        folder = path.parent if path.name == "runs" else path
        if not (folder / "runs").is_dir():
            raise UserError(f"{path} holds no runs; name a results folder, a record or an exported file.")
        return _frame(pd.DataFrame(rows(Store(folder).read_all()), columns=list(COLUMNS)))
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a results folder, a record or an exported file.")
    if path.suffix == ".json":
        if len(path.absolute().parents) < 4 or path.absolute().parents[2].name != "runs":
            raise UserError(f"{path} is no record in a results folder; name one, or an exported file.")
        record = Store(path.absolute().parents[3]).read(path.stem)
        return _frame(pd.DataFrame(rows([record]), columns=list(COLUMNS)))
    if path.suffix not in FORMATS:
        raise UserError(f"{path.name} is no export; those end in {', '.join(FORMATS)}.")
    try:
        return _frame(_read(path)[list(COLUMNS)])
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is no export of remeasure ({error}); export it again.") from None


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".jsonl":
        return pd.DataFrame(msgspec.json.Decoder().decode_lines(path.read_bytes()))
    # Keys and commits are text, even those that look like numbers.
    words = {name: str for name, type_ in COLUMNS.items() if type_ is str}
    return pd.read_csv(path, dtype=words, keep_default_na=False, na_values={"value": [""]})


def _frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The same types whichever way the rows came."""
    types = {int: "int64", float: "float64", str: "str"}
    return frame.astype({name: types[type_] for name, type_ in COLUMNS.items()}).reset_index(drop=True)
