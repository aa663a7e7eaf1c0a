"""README and its companions say only what is true of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import typer

import remeasure
from remeasure.cli import exits
from remeasure.cli.app import app
from remeasure.declared.claims import Claim
from remeasure.declared.registry import registry
from remeasure.judging.coverage_table import markdown, read_table
from remeasure.report.latest import read_latest
from remeasure.report.readme import BEGIN, END, readme_tables

ROOT = Path(__file__).parents[2]
DOCS = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/statistics.md")
]
TREE = typer.main.get_command(app)


def commands() -> dict[str, set[str]]:
    """Command → its subcommands."""
    return {name: set(getattr(command, "commands", {})) for name, command in TREE.commands.items()}  # type: ignore[attr-defined]


def mentioned(text: str) -> list[tuple[str, str]]:
    """(command, next word) of every call of `remeasure` in code of a text."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`(remeasure [^`]*)`", text)
    code = "\n".join(blocks)
    return re.findall(r"(?<![\w.])remeasure (\S+)(?: +(\S+))?", code)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_docs_mention_only_commands_that_exist(path: Path) -> None:
    calls = mentioned(path.read_text())
    assert calls
    for command, word in calls:
        if command.startswith("-"):
            continue
        assert command in commands(), f"{path.name}: remeasure {command}"
        if commands()[command]:
            assert word in commands()[command], f"{path.name}: remeasure {command} {word}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_docs_use_only_options_that_exist(path: Path) -> None:
    for line in re.findall(r"remeasure [a-z]+ [^`\n#]*", path.read_text()):
        command = TREE.commands[line.split()[1]] if line.split()[1] in commands() else None  # type: ignore[attr-defined]
        if command is None:
            continue
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in line.split() if re.fullmatch(r"--[a-z-]+", word)} <= known, line


def test_readme_tells_the_exit_codes_that_the_code_gives() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == exits.MEANING


def test_readme_has_a_place_for_the_generated_figures() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


def test_readme_names_systems_cases_and_claims_that_exist() -> None:
    found = registry()
    for name in re.findall(r"remeasure describe (\S+)", (ROOT / "README.md").read_text()):
        found.case(name)
    for name in re.findall(r"remeasure show (\S+)", (ROOT / "README.md").read_text()):
        found.claim(name)


def test_readme_names_folders_that_exist() -> None:
    for folder in re.findall(r"^\| `([a-z/]+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE):
        # results/ comes with the first run or release.
        assert folder == "results" or (ROOT / folder).is_dir(), folder


def test_the_coverage_in_statistics_is_the_committed_one() -> None:
    text = (ROOT / "docs" / "statistics.md").read_text()
    begin, end = "<!-- coverage:begin -->\n", "<!-- coverage:end -->"
    shown = text[text.index(begin) + len(begin) : text.index(end)]
    rows = read_table()
    assert rows
    assert shown.strip() == markdown(rows).strip(), (
        "put there what `python -m remeasure.judging.coverage` says"
    )


def test_contributing_explains_every_key_of_a_claim() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("## A claim") : text.index("## Locked versions")]
    keys = {field.name for field in msgspec.structs.fields(Claim)}
    assert keys - set(re.findall(r"`([a-z_]+)`", table)) == set()


def test_versions_agree() -> None:
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation and citation[1] == remeasure.__version__
    assert remeasure.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


@pytest.mark.parametrize(
    "name",
    [
        "Makefile",
        "README.md",
        "CONTRIBUTING.md",
        "pyproject.toml",
        "asv.conf.json",
        ".ci/run",
        "constraints.txt",
    ],
)
def test_no_file_names_a_place_of_one_machine_or_a_registry(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"(?<![\w.$/{}])/(home|root|work|opt|Users)/", text)
    assert not re.search(r"--(extra-)?index-url|--find-links|pypi\.org|download\.pytorch", text)


def test_readme_quotes_the_committed_release_and_nothing_else() -> None:
    """What `remeasure report --release` would write again must be what stands there."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    block = text.split(BEGIN)[1].split(END)[0]
    latest = read_latest(ROOT / "results" / "releases" / "latest.json")
    assert block.strip() in readme_tables(latest)
    assert all(figure.name in block for figure in latest.figures)


def test_the_released_report_has_the_release_numbers() -> None:
    releases = ROOT / "results" / "releases"
    latest = read_latest(releases / "latest.json")
    report = json.loads((releases / latest.profile / "report.json").read_text(encoding="utf-8"))
    told = {(row["system"], row["name"]): row["value"] for row in report["figures"]}
    assert {(row.system, row.name): row.value for row in latest.figures} == told
