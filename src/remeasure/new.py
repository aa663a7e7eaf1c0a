"""`remeasure new`: skeletons of a system, a data set or a case, which pass the contract tests as they are.

A skeleton is a folder of templates under `skeletons/`; discovery finds what is written, no list names it.
"""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from pathlib import Path

from .contracts import Case, Prepare
from .declared.cards import DataCard
from .declared.registry import System
from .errors import UserError
from .package import PACKAGE
from .records.store import cannot_write, write_whole

SKELETONS = PACKAGE / "skeletons"


def new_system(name: str, parent: Path, dataset: DataCard) -> Path:
    """Write the folder of a system into `parent`; its example case runs on `dataset`."""
    imports = sorted(
        [
            "from remeasure.contracts import Arm, At, Metric, Tuning, case",
            f"from {dataset.package}.loader import Request",
        ]
    )
    return _folder("system", name, parent, dataset=dataset.name, imports="\n".join(imports))


def new_dataset(name: str, parent: Path) -> Path:
    """Write the folder of a data set, which has only its simulator, into `parent`."""
    return _folder("dataset", name, parent)


def new_case(system: System, name: str) -> Path:
    """Add a case to the system: to its `cases.py`, or as a file of its own to its folder `cases/`.

    It begins as a copy of the first one that is declared with @case.
    """
    function = name.replace("-", "_")
    _check(function, name)
    if name in system.cases:
        raise UserError(f"{system.name} already has a case {name}; choose another name.")
    like = _first(system)
    folder = system.folder / "cases"
    if not folder.is_dir():
        path = system.folder / "cases.py"
        before = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
        imports = ""
    else:
        path = folder / f"{function}.py"
        if path.exists():
            raise UserError(f"{system.name}/cases/{path.name} is there already; choose another name.")
        before = ""
        imports = f"from .{like.__module__.rpartition('.')[2]} import {like.__name__}"
    added = _render("case.py.j2", name=name, function=function, like=like.__name__, imports=imports)
    write_whole(path, (before + added).encode())
    return path


def _folder(kind: str, name: str, parent: Path, **values: str) -> Path:
    """All files of a skeleton, written aside and moved into place together."""
    _check(name, name)
    target = parent / name
    if target.exists():
        raise UserError(f"{target} is there already; choose another name or remove it.")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    except OSError as error:
        raise cannot_write(target, error) from None
    try:
        for template in sorted((SKELETONS / kind).rglob("*.j2")):
            written = aside / template.relative_to(SKELETONS / kind).with_suffix("")
            written.parent.mkdir(exist_ok=True)
            rendered = _render(
                template.relative_to(SKELETONS).as_posix(), name=name, title=_title(name), **values
            )
            written.write_text(rendered, encoding="utf-8")
        aside.chmod(0o755)
        aside.rename(target)
    except OSError as error:
        raise cannot_write(target, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _render(template: str, **values: str) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SKELETONS),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template(template).render(values)


def _check(identifier: str, name: str) -> None:
    """Names become folders, packages and functions."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", identifier) or keyword.iskeyword(identifier):
        raise UserError(
            f"{name!r} cannot be a name here; use lower-case letters and digits, beginning with a letter."
        )


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _first(system: System) -> Prepare:
    """The function of the first case that is declared with @case, so that its module holds the case by that name."""
    for case in system.cases.values():
        declared = getattr(sys.modules[case.prepare.__module__], case.prepare.__name__, None)
        if isinstance(declared, Case) and declared.name == case.name:
            return case.prepare
    raise UserError(f"{system.name} declares no case with @case to begin from; write this one by hand.")
