"""asv's matrix of requirements from constraints.txt: `python -m remeasure.asv_matrix [--check]`.

asv installs each requirement by a pip call of its own, so they stand leaves first: what a package needs is
there, in the locked version, before it. Without that pip would bring whatever is newest.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from .doctor import locks

BUILD = ("setuptools", "wheel")
"""The wheel is built without isolation, so asv's environment needs them."""
RUNNER = ("asv_runner", "build", "pympler")
"""What asv itself installs into its environment, in whatever version it finds, unless it is there already."""
EXTRA = "models"
FILES = ("pyproject.toml", "constraints.txt")


def matrix(pyproject: str, constraints: str) -> dict[str, list[str]]:
    """Package → [version] of all a benchmark needs, leaves first; from the texts of both files."""
    versions = {normal(name): version for name, version in locks(constraints).items()}
    project = tomllib.loads(pyproject)["project"]
    stated = [*project["dependencies"], *project["optional-dependencies"][EXTRA]]
    ordered: dict[str, None] = {}
    for name in sorted([*BUILD, *RUNNER, *_names(stated)], key=normal):
        _visit(normal(name), ordered, set())
    return {name: [versions[name]] for name in ordered if name in versions}


def with_matrix(config: str, pyproject: str, constraints: str) -> str:
    """The text of asv.conf.json with its matrix replaced."""
    parsed = json.loads(config)
    parsed["matrix"]["req"] = matrix(pyproject, constraints)
    return json.dumps(parsed, indent=4) + "\n"


def normal(name: str) -> str:
    """A package's name as registries compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _visit(name: str, ordered: dict[str, None], above: set[str]) -> None:
    """Put what `name` needs before it; a circle is cut where it closes."""
    if name in ordered or name in above:
        return
    try:
        stated = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        stated = []
    for needed in sorted(map(normal, _names(stated))):
        _visit(needed, ordered, above | {name})
    ordered[name] = None


def _names(stated: Iterable[str]) -> Iterator[str]:
    """The packages that requirements name, without what this platform or the lack of extras rules out."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, stated):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def main() -> None:
    root = Path.cwd()
    config = root / "asv.conf.json"
    current = config.read_text(encoding="utf-8")
    wanted = with_matrix(current, *((root / name).read_text(encoding="utf-8") for name in FILES))
    if "--check" not in sys.argv:
        config.write_text(wanted, encoding="utf-8")
    elif current != wanted:
        sys.exit("asv.conf.json does not follow constraints.txt; run `python -m remeasure.asv_matrix`.")


if __name__ == "__main__":
    main()
