"""`remeasure new`: skeletons of a system, a data set or a case, which pass the contract tests as they are.

A skeleton is a folder of templates under `skeletons/`; discovery finds what is written, no list names it.
"""

from __future__ import annotations

import keyword
import os
import re
import shutil
import tempfile
from pathlib import Path

from .contracts import Case
from .errors import UserError
from .registry import DataCard, System

SKELETONS = Path(__file__).parent / "skeletons"


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
    """Append a case to the system's `cases.py`; it begins as a copy of the system's first one."""
    _check(name.replace("-", "_"), name)
    if name in system.cases:
        raise UserError(f"{system.name} already has a case {name}; choose another name.")
    if not system.cases:
        raise UserError(f"{system.name}/cases.py has no case to begin from; write the first one by hand.")
    path = system.folder / "cases.py"
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    like = _variable(text, next(iter(system.cases.values())), path)
    addition = _render("case.py.j2", name=name, function=name.replace("-", "_"), like=like)
    temporary = path.with_name(".cases.py.new")
    temporary.write_text(text + addition, encoding="utf-8")
    os.replace(temporary, path)
    return path


def _folder(kind: str, name: str, parent: Path, **values: str) -> Path:
    """All files of a skeleton, written aside and moved into place together."""
    _check(name, name)
    target = parent / name
    if target.exists():
        raise UserError(f"{target} is there already; choose another name or remove it.")
    parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        for template in sorted((SKELETONS / kind).glob("*.j2")):
            rendered = _render(f"{kind}/{template.name}", name=name, title=_title(name), **values)
            (aside / template.stem).write_text(rendered, encoding="utf-8")
        aside.chmod(0o755)
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return target


def _render(template: str, **values: str) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SKELETONS),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
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


def _variable(text: str, case: Case, path: Path) -> str:
    """The name under which `cases.py` holds a case: its function's."""
    name = case.prepare.__name__
    if not re.search(rf"^def {name}\(", text, flags=re.MULTILINE):
        raise UserError(
            f"{path.parent.name}/cases.py does not declare {case.name} with @case; write this one by hand."
        )
    return name
