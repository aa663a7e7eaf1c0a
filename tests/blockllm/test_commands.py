"""`remeasure do blockllm insert | list | verify`: what they say of a zoo on disk, and what they refuse."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remeasure.cli.app import run
from remeasure.impls.blockllm.zoo.store import Zoo
from toy.env import variables

VARIANTS = 7
"""Of the micro family: those of the real one, without the two whose trained layers would be all it has."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here, so that the family is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def say(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in an empty folder; its exit code, and what it said on both ways."""
    monkeypatch.setenv("REMEASURE_CACHE", str(cache))
    monkeypatch.delenv("REMEASURE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(command: str, **settings: str) -> tuple[int, str, str]:
        given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        code = run(["do", "blockllm", command, *given])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def made(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo with the foundation and a variant with a delta, as the command makes it."""
    root = tmp_path_factory.mktemp("made") / "zoo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REMEASURE_CACHE", str(cache))
        patch.delenv("REMEASURE_DATA", raising=False)
        patch.chdir(root.parent)
        for model in ("foundation", "bitfit on movie reviews"):
            settings = (f"zoo={root}", "family=micro", f"model={model}")
            assert run(["do", "blockllm", "insert", *(w for one in settings for w in ("--set", one))]) == 0
    return root


@pytest.fixture
def zoo(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """A copy of it, in the folder that the commands take when none is named."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "out" / "zoo")
    return Zoo(Path("out/zoo"))


def refused(said: tuple[int, str, str]) -> str:
    """The one sentence of a refusal; that data are simulated may be said before it."""
    code, out, err = said
    lines = [line for line in err.splitlines() if "SIMULATED" not in line]
    assert (code, out, len(lines)) == (2, "", 1), said
    assert lines[0].startswith("remeasure: ") and lines[0].endswith(".")
    return lines[0]


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_inserting_says_what_was_new_and_what_was_there(say: Say) -> None:
    code, out, _ = say("insert", family="micro", model="all")
    lines = out.splitlines()
    assert code == 0 and len(lines) == VARIANTS + 2 and lines[-1] == "out/zoo"
    foundation, lora = lines[0], lines[1]
    assert re.match(
        r"foundation: 0\.07 MB new in 6 objects, 0\.00 MB shared; [\d.]+ s, then [\d.]+ s", foundation
    )
    assert lora.startswith("lora-8 on movie reviews: ") and "in 2 objects, 0.06 MB shared" in lora
    again = say("insert", family="micro", model="all")[1].splitlines()
    assert all(": 0.00 MB new in 0 objects, " in line for line in again[:-1])
    held = Zoo(Path("out/zoo"))
    assert len(held.models()) == VARIANTS + 1 and held.fetch(*held.models())


def test_a_model_is_inserted_alone_and_into_the_named_zoo(say: Say, tmp_path: Path) -> None:
    code, out, _ = say("insert", family="micro", model="bitfit on movie reviews", zoo="mine")
    assert code == 0 and out.splitlines()[-1] == "mine"
    assert Zoo(tmp_path / "mine").models() == ["bitfit on movie reviews"]


def test_listing_shows_what_models_share_in_mb_and_segments(say: Say, zoo: Zoo) -> None:
    code, out, _ = say("list")
    head, *rows, last = out.splitlines()
    assert code == 0 and re.split(r"  +", head) == [
        "model",
        "own MB",
        "shared MB",
        "segments",
        "of them shared",
    ]
    assert [re.split(r"  +", row) for row in rows] == [
        ["bitfit on movie reviews", "0.00", "0.06", "1", "1"],
        ["foundation", "0.00", "0.06", "1", "1"],
    ]
    assert re.fullmatch(r"models: 2, 0\.07 MB; stored apart 0\.13 MB, so 4[89]\.\d % are saved\.", last)


def test_a_sound_zoo_is_said_to_be_well(say: Say, zoo: Zoo) -> None:
    code, out, err = say("verify")
    assert (
        (code, err) == (0, "") and out.startswith("out/zoo: all is well;") and "models: 2, objects: 10" in out
    )


def test_a_damaged_object_is_named_with_its_block_and_its_models(say: Say, zoo: Zoo) -> None:
    path = zoo.object_file(zoo.stored("foundation").steps[2].object)
    damage(path)
    said = refused(say("verify"))
    assert f"{path} is damaged" in said and "ffn 0 of bitfit on movie reviews, ffn 0 of foundation" in said


def test_of_several_damaged_files_each_is_named(say: Say, zoo: Zoo) -> None:
    paths = sorted(map(zoo.object_file, zoo.stored("foundation").objects))[:3]
    for path in paths:
        damage(path)
    code, out, err = say("verify")
    assert code == 2 and "It is one of 3 things that are wrong." in err
    assert len(out.splitlines()) == 2 and len(err.splitlines()) == 1
    assert all(str(path) in out + err for path in paths)


def test_a_missing_object_is_named_by_listing_and_by_verifying(say: Say, zoo: Zoo) -> None:
    path = zoo.object_file(zoo.stored("foundation").steps[0].object)
    path.unlink()
    for command in ("list", "verify"):
        said = refused(say(command))
        assert f"{path} is missing" in said and "embed of foundation" in said


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", None])
def test_a_chain_that_cannot_be_read_is_named(content: bytes | None, say: Say, zoo: Zoo) -> None:
    path = zoo.chain_file("foundation")
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for command in ("list", "verify"):
        assert f"{path} is no chain of this zoo" in refused(say(command))


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_folder_without_a_zoo_is_refused_and_left_as_it_is(command: str, say: Say, tmp_path: Path) -> None:
    for zoo in ("nowhere", "empty", "a file"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "a file").write_text("x")
        assert f"{zoo} is no zoo; insert a model" in refused(say(command, zoo=zoo))
    assert not (tmp_path / "nowhere").exists() and not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("command", "settings", "said"),
    [
        (
            "insert",
            {"family": "micro", "model": "nobody"},
            "no model 'nobody'; say all or one of foundation, lora-8 on",
        ),
        ("insert", {"family": "huge"}, "no family 'huge'; it is one of smollm2, bytes, micro"),
        ("insert", {"famly": "micro"}, "no setting 'famly'; it has zoo, family, model"),
        ("list", {"model": "all"}, "no setting 'model'; it has zoo"),
        ("verify", {"family": "micro"}, "no setting 'family'; it has zoo"),
    ],
)
def test_what_a_command_does_not_know_is_refused_before_anything_is_written(
    command: str, settings: dict[str, str], said: str, say: Say, tmp_path: Path
) -> None:
    assert said in refused(say(command, **settings))
    assert not files(tmp_path)


def test_a_zoo_where_a_file_is_cannot_be_made(say: Say, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("x")
    said = refused(say("insert", family="micro", zoo="a file"))
    assert "a file does not take foundation (" in said
    assert (tmp_path / "a file").read_text() == "x"


def test_a_full_disk_is_said_and_the_zoo_stays_as_it_was(
    say: Say, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, written = files(zoo.root), iter(range(3))
    really = os.pwrite

    def full(descriptor: int, content: memoryview, start: int) -> int:
        if next(written, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really(descriptor, content, start)

    monkeypatch.setattr(os, "pwrite", full)
    said = refused(say("insert", family="micro", model="full on movie reviews"))
    assert "out/zoo does not take full on movie reviews (No space left on device)" in said
    assert files(zoo.root) == before


def test_a_limit_of_the_system_is_said_by_the_program_itself(cache: Path, zoo: Zoo) -> None:
    """A process of its own, whose files the system keeps from growing past the size of one small object."""
    before = files(zoo.root)
    ended = subprocess.run(
        [sys.executable, "-m", "remeasure", "do", "blockllm", "insert"]
        + [
            word for setting in ("family=micro", "model=full on movie reviews") for word in ("--set", setting)
        ],
        env={**os.environ, **variables(cache)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)),
    )
    assert "full on movie reviews (File too large)" in refused((ended.returncode, ended.stdout, ended.stderr))
    assert files(zoo.root) == before


@pytest.fixture(autouse=True)
def models_are_made_anew() -> Iterator[None]:
    """Families are remembered by the data they come from; another test's may be in another cache."""
    from remeasure.impls.blockllm import family

    yield
    family._models.cache_clear()
    family._foundation.cache_clear()
