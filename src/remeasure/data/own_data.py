"""A user's own files: `--set data=DIR` for every case, or by the word of a data card, such as `--set trace=DIR`.

Such a word selects: a folder goes to the data sets whose layout it has, and cases on other data are left out. Files
named so are read before anything is measured, so that a fault in them is one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import Case
from ..declared.cards import DataCard
from ..declared.overrides import at_profile
from ..declared.registry import Registry
from ..errors import UserError
from .copies import visible_files
from .sources import open_data, resolve

DATA = "data"
"""The setting that means every data set."""
Asked = tuple[str, str, Mapping[str, Any]]
"""A case (`system/case`), its profile, and the fields that were set."""


@dataclass(frozen=True)
class OwnData:
    """A folder of one's own files, and whose it is."""

    setting: str
    """The word that named it."""
    folder: Path
    """Absolute."""
    datasets: tuple[str, ...] | None = None
    """The data sets whose layout it has; None: whatever a case asks for, as `data=DIR` means it."""

    def serves(self, case: Case) -> bool:
        """Whether the case is about these files; one that always asks for the simulator is not."""
        return self.datasets is None or (case.dataset in self.datasets and not case.simulated)


def own_data(found: Registry, settings: Mapping[str, str]) -> tuple[OwnData | None, dict[str, str]]:
    """The folder that the settings name, if any, and the settings that are fields.

    Raises UserError for two folders, for one that is not there, and for one that has no known layout.
    """
    words = {DATA, *(card.own.setting for card in found.datasets.values() if card.own)}
    named = [word for word in settings if word in words]
    fields = {field: value for field, value in settings.items() if field not in words}
    if not named:
        return None, fields
    if len(named) > 1:
        raise UserError(
            f"--set {named[0]} and --set {named[1]} both name files of your own; give one of them."
        )
    setting, text = named[0], settings[named[0]]
    folder = Path(text).expanduser()
    if not folder.is_dir():
        what = (
            "is a file; name the folder it lies in"
            if folder.is_file()
            else "is no folder; name the one that holds the files"
        )
        raise UserError(f"--set {setting}={text}: {folder} {what}.")
    return OwnData(setting, folder.resolve(), _datasets(found, setting, folder)), fields


def read_once(own: OwnData, asked: Iterable[Asked], found: Registry) -> None:
    """Load what the cases ask of the folder; raises the loader's UserError."""
    read: set[tuple[str, str]] = set()
    for name, profile, overrides in asked:
        case = at_profile(found.case(name), profile, overrides)
        request = (case.dataset, repr(case.request))
        if request not in read:
            read.add(request)
            open_data(case, resolve(found.dataset(case.dataset), own.folder))


def _datasets(found: Registry, setting: str, folder: Path) -> tuple[str, ...] | None:
    """The data sets that know files of this word and have the folder's layout; None for `data`."""
    if setting == DATA:
        return None
    cards = [card for card in found.datasets.values() if card.own and card.own.setting == setting]
    names = [name for name, _ in visible_files(folder) if "/" not in name]
    fitting = tuple(card.name for card in cards if _fits(card, names))
    if not fitting:
        layouts = ", or ".join(f"{card.own.layout} (as {card.name})" for card in cards if card.own)
        raise UserError(f"--set {setting}={folder} has no known layout; put there {layouts}.")
    return fitting


def _fits(card: DataCard, names: Sequence[str]) -> bool:
    return card.own is not None and any(re.fullmatch(card.own.files, name) for name in names)
