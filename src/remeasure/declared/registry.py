"""What there is to measure: a folder with `claims.toml` is a system, one with `dataset.toml` a data set.

Looked through are this package's own folders, the entry points `remeasure.systems` and `remeasure.datasets`,
and the dotted packages named in $REMEASURE_SYSTEMS and $REMEASURE_DATASETS. Nothing heavy is imported here.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ..contracts import Case, in_system
from ..errors import UserError
from ..package import PACKAGE
from .cards import DataCard, read_card
from .claim_checks import check_claims
from .claims import Claim, Claims, read_claims

T = TypeVar("T")


@dataclass(frozen=True)
class System:
    """One published system: its folder, its measured cases, the claims of its paper."""

    name: str
    folder: Path
    package: str
    """Dotted, e.g. `remeasure.impls.opdai`."""

    @cached_property
    def cases(self) -> dict[str, Case]:
        """The cases that `cases.py` declares, in its order; of a folder `cases/` those that its `__init__.py` names,
        in that order, then what its other files declare."""
        where = _cases_of(self.folder)
        try:
            modules = list(_modules(f"{self.package}.cases"))
        except UserError:
            raise
        except Exception as error:
            place, what = _place(error, self.folder, where), f"{type(error).__name__}: {_one_line(error)}"
            raise UserError(f"{place} cannot be imported: {what}; mend it.") from error
        found: dict[str, Case] = {}
        values = (value for module in modules for value in vars(module).values())
        # By identity: a case may be bound to two names, but two cases may not share one.
        for declared in {id(value): value for value in values if isinstance(value, Case)}.values():
            if declared.name in found:
                raise UserError(
                    f"{self.name}/{where}: case {declared.name} stands twice; rename one of them."
                )
            found[declared.name] = in_system(declared, self.name)
        return found

    @cached_property
    def claims(self) -> Claims:
        """The claims and figures of `claims.toml`, each naming cases, arms and metrics that exist."""
        path = self.folder / "claims.toml"
        claims = read_claims(path)
        check_claims(claims, self.cases, path)
        return claims


@dataclass(frozen=True)
class Registry:
    """Everything found."""

    systems: Mapping[str, System]
    datasets: Mapping[str, DataCard]

    def system(self, name: str) -> System:
        if name not in self.systems:
            raise unknown("system", name, self.systems)
        return self.systems[name]

    def dataset(self, name: str) -> DataCard:
        if name not in self.datasets:
            raise unknown("data set", name, self.datasets)
        return self.datasets[name]

    def case(self, name: str) -> Case:
        """`system/case`, or the case's name alone where only one system has it."""
        if "/" in name:
            system = self.system(name.split("/", 1)[0])
            by_id = {case.id: case for case in system.cases.values()}
            if name not in by_id:
                raise unknown("case", name, by_id)
            return by_id[name]
        return _only("case", name, {case.id: case for case in self.cases()})

    def claim(self, name: str) -> tuple[System, Claim]:
        """`system/claim`, or the claim's id alone where only one system has it."""
        systems = [self.system(name.split("/", 1)[0])] if "/" in name else self.systems.values()
        found = [(system, claim) for system in systems for claim in system.claims.claim]
        by_id = {f"{system.name}/{claim.id}": (system, claim) for system, claim in found}
        if "/" in name:
            if name not in by_id:
                raise unknown("claim", name, by_id)
            return by_id[name]
        return _only("claim", name, by_id)

    def cases(self) -> list[Case]:
        return [case for system in self.systems.values() for case in system.cases.values()]


def registry() -> Registry:
    """The registry of this process; looked up once for the environment variables as they are."""
    return _registry(os.environ.get("REMEASURE_SYSTEMS", ""), os.environ.get("REMEASURE_DATASETS", ""))


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The refusal of a name that nothing has, with the nearest ones."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    short = names if len(names) <= 12 else [*names[:12], "…"]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(short) or 'none'}."
    return UserError(f"there is no {what} called {name!r}; {hint}")


@lru_cache(maxsize=8)
def _registry(systems: str, datasets: str) -> Registry:
    found_systems: dict[str, System] = {}
    for folder, package in _folders("impls", "claims.toml", "systems", systems):
        _once(found_systems, folder.name, package)
        found_systems[folder.name] = System(folder.name, folder, package)
    found_datasets: dict[str, DataCard] = {}
    for folder, package in _folders("datasets", "dataset.toml", "datasets", datasets):
        _once(found_datasets, folder.name, package)
        found_datasets[folder.name] = read_card(folder, package)
    return Registry(found_systems, found_datasets)


def _folders(builtin: str, marker: str, kind: str, named: str) -> Iterator[tuple[Path, str]]:
    """Folders that hold `marker`, each with its dotted package and each once, built-in ones first."""
    built_in = sorted(path.parent for path in (PACKAGE / builtin).glob(f"*/{marker}"))
    yield from ((folder, f"remeasure.{builtin}.{folder.name}") for folder in built_in)
    group = f"remeasure.{kind}"
    outside = {
        point.value: f"entry point {point.name} of group {group}" for point in entry_points(group=group)
    }
    outside |= {name.strip(): f"$REMEASURE_{kind.upper()}" for name in named.split(",") if name.strip()}
    for package, said_by in sorted(outside.items()):
        folder = _folder_of(package, said_by)
        if folder in built_in:
            continue
        if not (folder / marker).is_file():
            raise UserError(f"{said_by} names the package {package}, whose folder holds no {marker}; add it.")
        yield folder, package


def _folder_of(package: str, said_by: str) -> Path:
    """The folder of a package that is not imported for it (its parents are)."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{said_by} names the package {package}, which is not found; install it.")
    return Path(next(iter(spec.submodule_search_locations)))


def _once(found: Mapping[str, System | DataCard], name: str, package: str) -> None:
    if name in found:
        raise UserError(f"{found[name].package} and {package} are both called {name}; rename one of them.")


def _only(what: str, name: str, by_id: Mapping[str, T]) -> T:
    matches = [full for full in by_id if full.split("/", 1)[1] == name]
    if len(matches) > 1:
        raise UserError(f"more than one system has a {what} called {name!r}; say {' or '.join(matches)}.")
    if not matches:
        raise unknown(what, name, [*by_id, *(full.split("/", 1)[1] for full in by_id)])
    return by_id[matches[0]]


def _cases_of(folder: Path) -> str:
    """Where a system's cases stand, `cases.py` or `cases/`; raises UserError for neither and for both."""
    there = [name for name in ("cases.py", "cases/__init__.py") if (folder / name).is_file()]
    if len(there) != 1:
        what = (
            "both cases.py and a folder cases; keep one"
            if there
            else "no cases; add cases.py or cases/__init__.py"
        )
        raise UserError(f"system {folder.name} has {what}.")
    return there[0]


def _modules(package: str) -> Iterator[ModuleType]:
    """A module, and where it is a package the modules in it, by name."""
    module = importlib.import_module(package)
    yield module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield importlib.import_module(f"{package}.{inner.name}")


def _place(error: Exception, folder: Path, cases: str) -> str:
    """File and line inside the system's folder where the error arose."""
    if isinstance(error, SyntaxError) and error.filename:
        arose = [(Path(error.filename), error.lineno)]
    else:
        arose = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(path.relative_to(folder), line) for path, line in arose if path.is_relative_to(folder)]
    return f"{folder.name}/{own[-1][0].as_posix()} line {own[-1][1]}" if own else f"{folder.name}/{cases}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or "no message"
