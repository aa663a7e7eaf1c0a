"""Environment, commit, fingerprint, key: equal where the numbers must be, different where they may differ."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from remeasure import PACKAGE
from remeasure.contracts import Case
from remeasure.declared.cards import DataCard
from remeasure.declared.overrides import at_profile
from remeasure.declared.registry import System, registry
from remeasure.records import provenance
from remeasure.records.provenance import block_key, commit, environment, fingerprint
from toy.env import use_toy


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy(monkeypatch, tmp_path / "cache")


def test_the_environment_is_the_same_each_time_and_named_by_its_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sha, record = environment()
    assert environment() == (sha, record)
    assert record.packages["numpy"] and "remeasure" not in record.packages
    assert list(record.packages) == sorted(record.packages)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    other, changed = environment()
    assert other != sha and changed.threads["OMP_NUM_THREADS"] == "7"


def test_the_environment_names_neither_host_nor_folder() -> None:
    text = msgspec.json.encode(environment()[1]).decode()
    assert not platform.node() or f'"{platform.node()}"' not in text
    assert sys.prefix not in text and str(Path.home()) not in text


def test_the_environment_does_not_depend_on_what_was_imported_and_imports_no_torch() -> None:
    code = (
        "import sys; from remeasure.records.provenance import environment; first = environment()[0];"
        "assert not {'torch', 'lightgbm', 'pandas'} & set(sys.modules);"
        "import scipy.linalg, sklearn; assert environment()[0] == first"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_with_src())
    assert done.returncode == 0, done.stderr


def _with_src() -> dict[str, str]:
    return {"PYTHONPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        ({"cpu.max": "150000 100000"}, "1.5"),
        ({"cpu.max": "max 100000"}, "max"),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, "2"),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "max"),
        ({"cpu.max": "garbage"}, "max"),
        ({}, "max"),
    ],
)
def test_the_cpu_limit_of_a_control_group_is_read(
    tmp_path: Path, files: dict[str, str], allowed: str
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert provenance._cgroup_cpu(tmp_path) == allowed


@pytest.fixture
def working_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A committed repository that this module pretends to be from."""
    root = tmp_path / "repo"
    package = root / "src" / "remeasure"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n")
    (root / "results").mkdir()
    (root / "results" / "latest.json").write_text("{}")
    (root / ".gitignore").write_text("ignored\n")
    _git(root, "init", "-q")
    _git(root, "add", ".")
    _git(root, "commit", "-qm", "first")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    return root


def _git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", root, *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_clean_working_copy_has_a_commit_and_no_dirty_hash(working_copy: Path) -> None:
    found = commit()
    assert (found.commit, found.dirty, found.why) == (_git(working_copy, "rev-parse", "HEAD"), "", "")


def test_what_is_uncommitted_outside_results_makes_the_tree_dirty(working_copy: Path) -> None:
    (working_copy / "results" / "latest.json").write_text("{1}")
    (working_copy / "results" / "new.json").write_text("{}")
    (working_copy / "ignored").write_text("x")
    assert commit().dirty == ""
    (working_copy / "src" / "remeasure" / "__init__.py").write_text("x = 2\n")
    edited = commit().dirty
    (working_copy / "new.py").write_text("y = 1\n")
    untracked = commit().dirty
    (working_copy / "new.py").write_text("y = 2\n")
    assert len({"", edited, untracked, commit().dirty}) == 4


def test_a_package_inside_a_repository_that_does_not_track_it_has_no_commit(
    working_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = working_copy / "ignored" / "site-packages"
    inside.mkdir(parents=True)
    (inside / "__init__.py").write_text("x = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE", inside)
    assert (commit().commit, commit().why) == ("unknown", "this code is no checkout")


def test_without_git_the_commit_is_unknown(working_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert (commit().commit, commit().why) == ("unknown", "git is not here")


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS"])
def test_what_another_git_left_in_the_environment_changes_nothing(
    working_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (working_copy / "new.py").write_text("y = 1\n")
    before = commit()
    assert before.commit != "unknown" and before.dirty
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert commit() == before


def test_git_that_refuses_is_told_from_no_checkout_with_its_remedy(
    working_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "bin" / "git"
    refusing.parent.mkdir()
    refusing.write_text(
        "#!/bin/sh\n"
        '[ "$1" = rev-parse ] && exit 0\n'
        "echo \"fatal: detected dubious ownership in repository at 'x'\" >&2\n"
        "echo 'git config --global --add safe.directory x' >&2\n"
        "exit 128\n"
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}:/usr/bin:/bin")
    found = commit()
    assert found.commit == "unknown"
    assert "git refuses" in found.why and "safe.directory" in found.why


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[System, DataCard]:
    """The toy in folders that a test may edit."""
    system, card = registry().system("toysys"), registry().dataset("toydata")
    package = tmp_path / "remeasure"
    shutil.copytree(system.folder, tmp_path / "toysys", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(card.folder, tmp_path / "toydata", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "impls" / "common").mkdir(parents=True)
    common = package / "impls" / "common"
    (common / "shared.py").write_text("from .deeper import x\n")
    (package / "datasets" / "common").mkdir(parents=True)
    (package / "datasets" / "common" / "text.py").write_text("x = 1\n")
    with (tmp_path / "toydata" / "loader.py").open("a") as file:
        file.write("\nfrom remeasure.datasets.common.text import x\n")
    (common / "deeper.py").write_text("x = 1\n")
    (common / "of_others.py").write_text("x = 1\n")
    with (tmp_path / "toysys" / "models.py").open("a") as file:
        file.write("\nfrom remeasure.impls.common.shared import x\n")
    (package / "running").mkdir()
    for name in provenance.MEASURING:
        (package / "running" / name).write_text("x = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    return replace(system, folder=tmp_path / "toysys"), replace(card, folder=tmp_path / "toydata")


@pytest.mark.parametrize(
    "edited",
    [
        "toysys/models.py",
        "toysys/cases.py",
        "toysys/calibration.json",
        "toysys/deep/er.py",
        "toydata/loader.py",
        "toydata/dataset.toml",
        *(f"remeasure/running/{name}" for name in provenance.MEASURING),
        "remeasure/impls/common/shared.py",
        "remeasure/impls/common/deeper.py",
        "remeasure/datasets/common/text.py",
    ],
)
def test_code_that_can_change_numbers_changes_the_fingerprint(
    copied: tuple[System, DataCard], tmp_path: Path, edited: str
) -> None:
    before = fingerprint(*copied)
    (tmp_path / edited).parent.mkdir(exist_ok=True)
    with (tmp_path / edited).open("a") as file:
        file.write("\n# another\n")
    assert fingerprint(*copied) != before


@pytest.mark.parametrize("edited", ["toysys/README.md", "toysys/claims.toml", "toysys/__pycache__/models.py"])
def test_claims_and_prose_do_not_change_the_fingerprint(
    copied: tuple[System, DataCard], tmp_path: Path, edited: str
) -> None:
    before = fingerprint(*copied)
    (tmp_path / edited).parent.mkdir(exist_ok=True)
    with (tmp_path / edited).open("a") as file:
        file.write("\n# another\n")
    assert fingerprint(*copied) == before


def test_common_code_that_the_system_does_not_import_leaves_its_fingerprint_alone(
    copied: tuple[System, DataCard], tmp_path: Path
) -> None:
    before = fingerprint(*copied)
    (tmp_path / "remeasure" / "impls" / "common" / "of_others.py").write_text("x = 2\n")
    assert fingerprint(*copied) == before


def test_a_renamed_file_changes_the_fingerprint(copied: tuple[System, DataCard], tmp_path: Path) -> None:
    before = fingerprint(*copied)
    (tmp_path / "toysys" / "models.py").rename(tmp_path / "toysys" / "model.py")
    assert fingerprint(*copied) != before


def key(case: Case, **changed: object) -> str:
    parts = {
        "profile": "tiny",
        "data_sha256": "d",
        "seed": 1,
        "rounds": 2,
        "fingerprint": "f",
        "packages": {"numpy": "2"},
        **changed,
    }
    return block_key(case, **parts)  # type: ignore[arg-type]


def test_everything_that_decides_the_numbers_changes_the_key() -> None:
    declared = registry().case("toysys/prediction")
    case = at_profile(declared, "tiny", {})
    assert key(case) == key(at_profile(declared, "tiny", {}))
    keys = {
        key(case),
        key(case, profile="smoke"),
        key(case, data_sha256="e"),
        key(case, seed=2),
        key(case, rounds=3),
        key(case, fingerprint="g"),
        key(at_profile(declared, "tiny", {"users": 31})),
        key(at_profile(declared, "tiny", {"weight": 0.1})),
        key(replace(case, arms=case.arms[:-1])),
        key(registry().case("toysys/queue-latency")),
    }
    keys |= {key(case, packages={"numpy": "3"}), key(case, packages={"numpy": "2", "torch": ""})}
    assert len(keys) == 12


def test_only_cases_with_a_clock_depend_on_the_cpu_model(monkeypatch: pytest.MonkeyPatch) -> None:
    timed, quality = registry().case("toysys/loop-time"), registry().case("toysys/prediction")
    before = key(timed), key(quality)
    monkeypatch.setattr(provenance, "cpu_model", lambda: "another CPU")
    assert key(timed) != before[0]
    assert key(quality) == before[1]
