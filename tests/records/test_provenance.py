"""Environment, commit, fingerprint, key: equal where the numbers must be, different where they may differ."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest
import threadpoolctl

from remeasure import PACKAGE
from remeasure.contracts import Arm, Case, Metric
from remeasure.declared.cards import DataCard
from remeasure.declared.overrides import at_profile
from remeasure.declared.registry import System, registry
from remeasure.records import provenance
from remeasure.records.provenance import block_key, commit, environment, fingerprint
from toy.env import use_toy

MEASURING = ("measure.py", "units.py", "garbage.py")
"""The files of `running` that decide what a sample is."""


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


def test_the_environment_has_every_variable_that_sets_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    for number, name in enumerate(names):
        monkeypatch.setenv(name, str(number))
    assert environment()[1].threads == {name: str(number) for number, name in enumerate(names)}
    for name in names:
        monkeypatch.delenv(name)
    assert environment()[1].threads == {}


@pytest.mark.parametrize(
    ("cores", "ours", "said"),
    [(8, {0, 2, 5}, (8, 3)), (8, None, (8, 8)), (None, {0, 1}, (1, 2)), (None, None, (1, 1))],
)
def test_the_environment_has_the_cores_and_how_many_of_them_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, ours: set[int] | None, said: tuple[int, int]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    if ours is None:  # as where the system does not tell
        monkeypatch.delattr(os, "sched_getaffinity")
    else:
        monkeypatch.setattr(os, "sched_getaffinity", {0: ours}.__getitem__)
    record = environment()[1]
    assert (record.cores, record.affinity) == said


def test_the_environment_is_read_where_the_kernel_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=3 * 2**30))
    monkeypatch.setattr(provenance, "_cgroup_cpu", str)
    monkeypatch.setattr(provenance, "settings", lambda cpu, kernel: {"cpu": str(cpu), "kernel": str(kernel)})
    record = environment()[1]
    assert record.ram_mb == 3072
    assert record.cgroup_cpu == "/sys/fs/cgroup"
    assert record.settings == {"cpu": "/sys/devices/system/cpu", "kernel": "/proc/sys/kernel"}


@pytest.mark.parametrize(
    ("told", "processor", "model"),
    [
        (
            "processor\t: 0\nmodel name\t: A  CPU @ 2 GHz \nflags\t: x\nmodel name\t: B\n",
            "P",
            "A  CPU @ 2 GHz",
        ),
        ("processor\t: 0\n", "P", "P"),
        ("processor\t: 0\n", "", "M"),
        (None, "P", "P"),
    ],
)
def test_the_cpu_is_called_what_the_kernel_calls_it_or_what_python_does(
    monkeypatch: pytest.MonkeyPatch, told: str | None, processor: str, model: str
) -> None:
    def read(path: Path) -> str:
        if told is None or str(path) != "/proc/cpuinfo":
            raise FileNotFoundError(str(path))
        return told

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: "M")
    assert provenance.cpu_model() == model


def test_packages_are_all_that_is_installed_but_this_one_and_of_two_the_one_that_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = [("zoo", "1"), ("Foo_Bar", "2"), ("foo.bar", "3"), (None, "4"), ("Remeasure", "5")]
    monkeypatch.setattr(
        importlib.metadata,
        "distributions",
        lambda: [SimpleNamespace(metadata={"Name": name}, version=version) for name, version in installed],
    )
    packages = environment()[1].packages
    assert list(packages.items()) == [("foo-bar", "2"), ("zoo", "1")]


BLAS = {
    "user_api": "blas",
    "internal_api": "openblas",
    "prefix": "libscipy_openblas",
    "version": "0.3",
    "threading_layer": "pthreads",
    "architecture": "Haswell",
}


def test_the_blas_is_numpys_own_or_what_there_is_without_thread_counts_or_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numpys = {**BLAS, "filepath": "/x/numpy.libs/blas.so", "num_threads": 8}
    older = {**numpys, "version": "0.2", "architecture": None}
    scipys = {**BLAS, "filepath": "/x/scipy.libs/blas.so", "version": "0.1"}
    openmp = {"user_api": "openmp", "filepath": "/x/numpy.libs/gomp.so"}

    def found(*loaded: dict[str, Any]) -> list[dict[str, Any]]:
        monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: list(loaded))
        return environment()[1].blas

    assert found(openmp, numpys, scipys, older) == [{**BLAS, "version": "0.2", "architecture": ""}, BLAS]
    assert found(openmp, scipys, {**BLAS, "version": "0"}) == [
        {**BLAS, "version": version} for version in ("0", "0.1")
    ]
    assert found(openmp) == []


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
        ({"cpu.max": "max 1", "cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, "max"),
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


def test_what_is_untracked_counts_by_content_up_to_a_mebibyte_and_by_size_above(working_copy: Path) -> None:
    def dirty(content: bytes) -> str:
        (working_copy / "new").write_bytes(content)
        found = commit().dirty
        assert found
        return found

    assert dirty(b"a" * 2**20) != dirty(b"b" * 2**20)
    assert dirty(b"a" * (2**20 + 1)) == dirty(b"b" * (2**20 + 1)) != dirty(b"a" * (2**20 + 2))


def test_what_is_untracked_and_cannot_be_read_makes_the_tree_dirty(working_copy: Path) -> None:
    (working_copy / "new").symlink_to("nothing")
    assert commit().dirty


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


def test_git_that_does_not_come_to_an_end_is_as_good_as_none(
    working_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
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
        f'[ "$1" = rev-parse ] && exec {shutil.which("git")} "$@"\n'  # what it lists is kept for the whole process
        '[ "$LC_ALL $GIT_OPTIONAL_LOCKS" = "C 0" ] || exit 128\n'  # in words that are known, and touching nothing
        "printf \"fatal: detected dubious ownership in repository at '\\\\377'\\\\n\" >&2\n"
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
    for name in MEASURING:
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
        "toysys/costs.csv",
        *(f"remeasure/running/{name}" for name in MEASURING),
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


def test_the_fingerprint_of_the_same_code_stays_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else everything that was measured before would have to be measured again."""
    system = replace(registry().system("toysys"), folder=tmp_path / "system")
    card = replace(registry().dataset("toydata"), folder=tmp_path / "data")
    package = tmp_path / "package"
    for path, text in {
        "system/cases.py": "from remeasure.impls.common.shared import x\n",
        "data/loader.py": "y = 1\n",
        "package/impls/common/shared.py": "x = 1\n",
        **{f"package/running/{name}": "z = 1\n" for name in MEASURING},
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    assert fingerprint(system, card) == "0ed8cbb63179269c7223ac69ee19a8b0c00033fca5800d0d223759a71ffc586b"


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


def test_the_key_of_the_same_block_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody finds what was measured before."""
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "12", "7"))
    monkeypatch.setattr(provenance, "cpu_model", lambda: "a CPU")
    metric = Metric("CPU seconds", unit="s", better="lower", kind="time")
    case = Case(
        "c",
        "?",
        lambda *_: lambda: None,
        "none",
        None,
        (Arm("a", "strawman", None),),
        (metric,),
        {},
        system="s",
    )
    assert key(case) == "a4ffca4911a8dcbadaf0301332e5fc1e"


def test_what_is_plain_has_the_keys_of_json() -> None:
    assert provenance.plain({1: {2: "a"}}) == {"1": {"2": "a"}}
