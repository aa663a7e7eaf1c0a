"""Where a run writes: the results folder and the page."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The folders of one call."""

    root: Path | None
    """The project's checkout, if the call was made inside one."""
    results: Path
    """Records, environments, logs and releases."""
    site: Path
    """Where the page goes."""

    @property
    def releases(self) -> Path:
        """The committed releases: of the checkout, wherever its records go."""
        return (self.root / "results" if self.root else self.results) / "releases"


def places(results: Path | None = None, out: Path | None = None) -> Places:
    """`results/` and `site/` of the checkout; outside of one `remeasure-results/` and `site/` here.

    A results folder that is named keeps its page inside, so that two of them never share one.
    """
    root = project_root()
    if results is not None:
        return Places(root, results, out or results / "site")
    base, name = (root, "results") if root else (Path.cwd(), "remeasure-results")
    return Places(root, base / name, out or base / "site")


def project_root(start: Path | None = None) -> Path | None:
    """The nearest folder, from here upwards, whose pyproject.toml is this project's."""
    here = start or Path.cwd()
    return next((folder for folder in (here, *here.parents) if _is_project(folder / "pyproject.toml")), None)


def shown(path: Path) -> str:
    """A path as a person here would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _is_project(pyproject: Path) -> bool:
    try:
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return False
    return isinstance(project, dict) and project.get("name") == "remeasure"
