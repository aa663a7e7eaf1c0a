"""Markets in the layout of the WSDM Cup 2022: a folder a market, any names, any number, every file optional.

`train.tsv`, `train_5core.tsv` and `valid_qrel.tsv` have a header `userId itemId rating`; `valid_run.tsv` and
`test_run.tsv` have none, a line is `user<TAB>item,item,...`. A folder that holds neither `train.tsv` nor
`train_5core.tsv` is no market and is left out with a note.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

from .parse import read_interactions, read_lists

TABLES = ("train", "train_5core", "valid_qrel")
RUNS = ("valid_run", "test_run")


@dataclass(frozen=True, eq=False)
class Lists:
    """Candidate lists, one a user.

    users   str [U]
    items   str [U, C]; lists may differ in length: shorter ones are padded with "" at the end
    """

    users: np.ndarray
    items: np.ndarray


@dataclass(frozen=True, eq=False)
class CodedTable:
    """One interaction table as codes into its market's `Coded.users` and `Coded.items`, in file order."""

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray


@dataclass(frozen=True, eq=False)
class Coded:
    """A market's tables as integers, made once: every corpus and every list is cut from it.

    users, items   str, sorted, all that occur in any of the tables
    tables         by name, only those that exist; codes int64 [rows], ratings float32 [rows]
    """

    users: np.ndarray
    items: np.ndarray
    tables: Mapping[str, CodedTable]


@dataclass(frozen=True, eq=False)
class Market:
    """One market; a file that does not exist is None.

    Tables have the columns userId, itemId (strings) and rating (float64, > 0). A user has one row in
    `valid_qrel`: the held-out purchase, which `valid_run` hides among its candidates.
    """

    name: str
    train: pd.DataFrame | None = None
    train_5core: pd.DataFrame | None = None
    valid_qrel: pd.DataFrame | None = None
    valid_run: Lists | None = None
    test_run: Lists | None = None

    def tables(self) -> dict[str, pd.DataFrame]:
        """The interaction tables that exist, by name, in the order train, train_5core, valid_qrel."""
        found = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in found.items() if table is not None}

    @cached_property
    def coded(self) -> Coded:
        tables = self.tables()
        users, user_codes = _factorize([table["userId"] for table in tables.values()])
        items, item_codes = _factorize([table["itemId"] for table in tables.values()])
        coded = {
            name: CodedTable(u, i, table["rating"].to_numpy(np.float32))
            for (name, table), u, i in zip(tables.items(), user_codes, item_codes, strict=True)
        }
        return Coded(users, items, coded)


@dataclass(frozen=True, eq=False)
class Markets(Mapping[str, Market]):
    """Markets by name, with notes on what was left out."""

    by_name: Mapping[str, Market]
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Market:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)


def read_markets(root: Path, names: Sequence[str] | None = None) -> Markets:
    """Read the markets under `root`: those named, or every folder that holds interactions, sorted by name.

    Raises UserError naming file and line for anything malformed, and for a named market that is not there.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds one folder a market.")
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    markets: dict[str, Market] = {}
    notes = []
    for name in folders if names is None else names:
        folder = root / name
        if name not in folders:
            raise UserError(
                f"{folder}: no such market; name one of the folders there: {', '.join(folders) or 'none'}."
            )
        if not any((folder / f"{table}.tsv").is_file() for table in ("train", "train_5core")):
            message = f"{folder}: neither train.tsv nor train_5core.tsv"
            if names is not None:
                raise UserError(f"{message}; add one of them, or do not ask for this market.")
            notes.append(f"{message}: the folder is ignored.")
            continue
        markets[name] = _read_market(folder)
    if not markets:
        raise UserError(f"{root}: no market found; a market is a folder with train.tsv or train_5core.tsv.")
    return Markets(markets, tuple(notes))


def positives_of(market: Market, users: np.ndarray) -> np.ndarray:
    """The `valid_qrel` item of each of `users`, str [U]; every user must have one (KeyError otherwise)."""
    if market.valid_qrel is None:
        raise KeyError(f"{market.name} has no valid_qrel")
    by_user = market.valid_qrel.set_index("userId")["itemId"]
    return np.asarray(by_user.loc[users].tolist(), dtype=str)


def _factorize(columns: Sequence[pd.Series]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Sorted distinct strings of all columns, and each column as codes into them."""
    if not columns:
        return np.empty(0, dtype="U1"), []
    codes, values = pd.factorize(pd.concat(columns, ignore_index=True))
    names = np.asarray(values.tolist(), dtype=str)
    order = np.argsort(names)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return names[order], np.split(place[codes], np.cumsum([len(column) for column in columns])[:-1])


def _read_market(folder: Path) -> Market:
    tables = {name: folder / f"{name}.tsv" for name in TABLES}
    frames = {name: read_interactions(path) if path.is_file() else None for name, path in tables.items()}
    qrel = frames["valid_qrel"]
    if qrel is not None:
        _refuse_second_positive(qrel, tables["valid_qrel"])
    paths = {name: folder / f"{name}.tsv" for name in RUNS}
    runs = {name: Lists(*read_lists(path)) if path.is_file() else None for name, path in paths.items()}
    valid = runs["valid_run"]
    if qrel is not None and valid is not None:
        _check_positives(qrel, valid, tables["valid_qrel"], paths["valid_run"])
    return Market(
        folder.name,
        train=frames["train"],
        train_5core=frames["train_5core"],
        valid_qrel=qrel,
        valid_run=valid,
        test_run=runs["test_run"],
    )


def _refuse_second_positive(qrel: pd.DataFrame, path: Path) -> None:
    again = qrel["userId"].duplicated().to_numpy()
    if again.any():
        row = int(again.argmax())
        raise UserError(
            f"{path}:{row + 2}: user {qrel['userId'].iloc[row]!r} has a second row; "
            "keep one held-out item a user."
        )


def _check_positives(qrel: pd.DataFrame, lists: Lists, qrel_path: Path, run_path: Path) -> None:
    """Labels and lists must cover the same users, and each list must hold its user's positive."""
    place = pd.Index(lists.users).get_indexer(pd.Index(qrel["userId"]))
    if (place < 0).any():
        row = int((place < 0).argmax())
        raise UserError(
            f"{qrel_path}:{row + 2}: user {qrel['userId'].iloc[row]!r} has no candidates in {run_path.name}; "
            "add a list for the user or remove the row."
        )
    labelled = np.zeros(len(lists.users), dtype=bool)
    labelled[place] = True
    if not labelled.all():
        row = int(labelled.argmin())
        raise UserError(
            f"{run_path}:{row + 1}: user {str(lists.users[row])!r} has no row in {qrel_path.name}; "
            "add the held-out item or remove the list."
        )
    positives = np.asarray(qrel["itemId"].tolist(), dtype=str)
    found = (lists.items[place] == positives[:, None]).any(axis=1)
    if not found.all():
        row = int(found.argmin())
        raise UserError(
            f"{run_path}:{int(place[row]) + 1}: the list of user {qrel['userId'].iloc[row]!r} lacks "
            f"the positive {str(positives[row])!r} of {qrel_path.name}:{row + 2}; add it to the list."
        )
