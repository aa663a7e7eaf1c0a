"""Starting: what is imported, what `--help` says, how the command is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remeasure.cli import exits
from remeasure.data.copies import cache_dir
from remeasure.errors import UserError
from toy.env import variables

from .conftest import Cli

HEAVY = ("numpy", "pandas", "torch", "lightgbm", "sklearn", "gensim", "scipy", "matplotlib", "pyarrow")


def started(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables(tmp_path / "cache")}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )


@pytest.mark.parametrize(
    "command", ["--help", "list", "list cases", "claims", "describe opdai", "dataset --help"]
)
def test_commands_that_only_look_import_nothing_heavy(tmp_path: Path, command: str) -> None:
    code = f"""
import sys
from remeasure.cli.app import run
code = run({command.split()!r})
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules], "code:", code)
"""
    done = started(tmp_path, "-c", code)
    assert done.stdout.splitlines()[-1] == "heavy: [] code: 0", done.stderr


def test_help_imports_no_more_than_the_command_line_itself(tmp_path: Path) -> None:
    code = """
import sys
from remeasure.cli.app import run
run(["--help"])
print(sorted({name.split(".")[0] for name in sys.modules} & {"rich", "msgspec", "jinja2", "psutil", "pooch"}))
"""
    assert started(tmp_path, "-c", code).stdout.splitlines()[-1] == "[]"


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = started(tmp_path, "-m", "remeasure", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().count(".") == 2


def test_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    done = started(tmp_path, "-m", "remeasure", "describe", "nothing-like-this")
    assert done.returncode == exits.BAD_INPUT
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_reading_causes_no_error(tmp_path: Path) -> None:
    environment = {**os.environ, **variables(tmp_path / "cache")}
    command = f"{sys.executable} -m remeasure list arms | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stderr == ""


def test_help_tells_every_exit_code(cli: Cli) -> None:
    said = cli("--help")
    assert said.code == 0
    for code, meaning in exits.MEANING.items():
        assert f"{code:>3}  {meaning}" in said.out


@pytest.mark.parametrize(
    "command", [["--nope"], ["nope"], ["run", "--nope"], ["show"], ["run", "--jobs", "none"]]
)
def test_wrong_usage_is_one_sentence(cli: Cli, command: list[str]) -> None:
    said = cli(*command)
    assert (said.code, said.out) == (exits.BAD_INPUT, "")
    assert said.err.startswith("remeasure: ") and said.err.endswith("see `remeasure --help`.\n")
    assert said.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("command", ["list", "list --json", "plan --system toysys", "claims --json"])
@pytest.mark.parametrize(
    ("redirect", "said"), [(">/dev/full", "or a temporary file cannot be written"), (">&-", "is closed")]
)
def test_an_output_that_takes_nothing_is_one_sentence(
    tmp_path: Path, command: str, redirect: str, said: str
) -> None:
    shell = f'"{sys.executable}" -m remeasure {command} {redirect}'
    environment = {**os.environ, **variables(tmp_path)}
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and f"standard output {said}" in done.stderr


def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "REMEASURE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(UserError, match="no home folder is known for this user; set REMEASURE_CACHE"):
        cache_dir()
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
