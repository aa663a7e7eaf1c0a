"""`latest.json`, what refuses to become one, README's block, and the published schemas."""

import json
from pathlib import Path

import msgspec
import pytest
from records_factory import SEEDS, SYSTEM, better, claim, judged, provenance, report, timed

from remeasure.declared.claims import Figure
from remeasure.errors import UserError
from remeasure.judging.judged import Report, SystemRow
from remeasure.report.html import page
from remeasure.report.latest import latest_json, read_latest, schemas, write_release, write_schemas
from remeasure.report.markdown import markdown
from remeasure.report.readme import BEGIN, END, readme_tables, update_readme

FIGURE = Figure(name="seconds a round", case="speed", arm="ours", statistic="median")


@pytest.fixture(scope="module")
def made():
    records = [timed(seed) for seed in SEEDS] + [judged(seed) for seed in SEEDS]
    return msgspec.structs.replace(report(records, [claim(), better()], [FIGURE]), profile="standard")


def of(**third):
    return report([timed(1), timed(2), timed(3, from_=provenance(**third))], [claim()])


def elsewhere(made, name, profile="standard", **environment):
    """The report of another system, made on a machine that may differ."""
    row = made.systems[0]
    (sha, here), *_ = made.environments.items()
    return msgspec.structs.replace(
        made,
        profile=profile,
        environments={sha: {**here, **environment}},
        systems=[SystemRow(**{**msgspec.structs.asdict(row), "name": name})],
        claims=[msgspec.structs.replace(one, system=name) for one in made.claims],
        figures=[msgspec.structs.replace(one, system=name) for one in made.figures],
    )


def test_latest_has_exactly_the_documented_shape(made):
    latest = json.loads(latest_json(made))
    assert list(latest) == ["profile", "environment", "systems", "claims", "figures"]
    assert latest["systems"] == {SYSTEM: {"commit": "c" * 40, "fingerprint": "f" * 64, "date": "2026-07-01"}}
    names = ["system", "id", "verdict", "evidence", "data", "claimed", "estimate", "lo", "hi", "n"]
    names += ["data_sha256", "data_label"]
    assert [list(row) for row in latest["claims"]] == [names, names]
    assert latest["claims"][0]["verdict"] == "reproduced"
    names = "system name value unit lo hi evidence data data_sha256 target met invalid"
    assert {tuple(row) for row in latest["figures"]} == {tuple(names.split())}
    assert latest["environment"]["cpu_model"] == "A processor"


def test_latest_names_only_packages_that_results_depend_on(made):
    assert json.loads(latest_json(made))["environment"]["packages"] == {"numpy": "2.4.6", "scipy": "1.17.1"}


def test_the_same_report_gives_the_same_bytes(made):
    assert latest_json(made) == latest_json(msgspec.json.decode(msgspec.json.encode(made), type=Report))


def test_release_is_written_and_read_back(made, tmp_path):
    path = write_release(made, tmp_path / "releases")
    assert path.read_bytes() == latest_json(made)
    assert read_latest(path).claims[0].id == "faster"


@pytest.mark.parametrize(
    "third,said",
    [
        ({"dirty": "d1ff"}, "uncommitted changes"),
        ({"commit": "a" * 40}, "several commits"),
        ({"commit": "unknown"}, "several commits"),
    ],
)
def test_release_of_a_dirty_tree_or_foreign_commits_is_refused(third, said, tmp_path):
    with pytest.raises(UserError, match=said):
        write_release(of(**third), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert write_release(of(), tmp_path).exists()


def test_release_by_code_of_no_known_commit_is_refused(tmp_path):
    unknown = report([timed(seed, from_=provenance(commit="unknown")) for seed in SEEDS], [claim()])
    with pytest.raises(UserError, match="no known commit"):
        write_release(unknown, tmp_path)


def test_release_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing is measured"):
        write_release(report([], [claim()]), tmp_path)


def test_systems_that_this_run_does_not_contain_keep_their_entries(made, tmp_path):
    write_release(elsewhere(made, "other"), tmp_path)
    latest = read_latest(write_release(made, tmp_path))
    assert list(latest.systems) == [SYSTEM, "other"]
    assert (
        {row.system for row in latest.claims} == {row.system for row in latest.figures} == {SYSTEM, "other"}
    )
    again = read_latest(write_release(made, tmp_path))
    assert again == latest


def test_system_that_was_listed_but_not_measured_keeps_its_entries(made, tmp_path):
    write_release(made, tmp_path)
    other = elsewhere(made, "other")
    unmeasured = msgspec.structs.replace(made.systems[0], commit="")
    both = msgspec.structs.replace(
        other, systems=[*other.systems, unmeasured], claims=[*other.claims, *made.claims]
    )
    latest = read_latest(write_release(both, tmp_path))
    assert latest.systems[SYSTEM].commit == "c" * 40
    assert len([row for row in latest.claims if row.system == SYSTEM]) == 2


def test_machines_of_one_release_are_named_side_by_side(made, tmp_path):
    write_release(elsewhere(made, "other", cpu_model="Another processor"), tmp_path)
    environment = read_latest(write_release(made, tmp_path)).environment
    assert environment["cpu_model"] == "Another processor; A processor"
    assert environment["cores"] == 2


def test_release_of_another_profile_has_a_summary_of_its_own(made, tmp_path):
    standard = write_release(elsewhere(made, "other", profile="standard"), tmp_path)
    before = standard.read_bytes()
    smoke = write_release(elsewhere(made, "other", profile="smoke"), tmp_path)
    assert (standard, smoke) == (tmp_path / "latest.json", tmp_path / "smoke" / "latest.json")
    assert standard.read_bytes() == before
    assert read_latest(smoke).profile == "smoke"


def test_profiles_are_not_mixed_in_one_summary(made, tmp_path):
    (tmp_path / "latest.json").write_bytes(latest_json(elsewhere(made, "other", profile="smoke")))
    with pytest.raises(UserError, match="release of profile smoke"):
        write_release(elsewhere(made, "other", profile="standard"), tmp_path)


@pytest.mark.parametrize("content", [b"{", b'{"profile": 1}', b"[]"])
def test_damaged_release_is_refused_and_left_alone(content, made, tmp_path):
    path = tmp_path / "latest.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"latest\.json"):
        write_release(made, tmp_path)
    assert path.read_bytes() == content


def test_readme_block_shows_words_numbers_and_their_age(made, tmp_path):
    block = readme_tables(read_latest(write_release(made, tmp_path)))
    assert block.startswith(BEGIN) and block.endswith(END)
    assert f"**{SYSTEM}**, measured 2026-07-01 at commit `cccccccccc`" in block
    assert "| faster | reproduced | 3 |" in block
    assert "| seconds a round | " in block
    assert "measured, real data" in block


def test_readme_is_updated_between_the_markers_only_and_once(made, tmp_path):
    latest = read_latest(write_release(made, tmp_path))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert update_readme(readme, latest) is True
    text = readme.read_text(encoding="utf-8")
    assert text == f"before\n{readme_tables(latest)}\nafter\n"
    assert update_readme(readme, latest) is False


def test_readme_without_markers_is_refused(made, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"nothing here {END} {BEGIN}")
    with pytest.raises(UserError, match="put both markers in"):
        update_readme(readme, read_latest(write_release(made, tmp_path)))


def test_cells_of_a_table_cannot_break_it(made, tmp_path):
    piped = msgspec.structs.replace(made.claims[0], id="a|b")
    block = readme_tables(read_latest(write_release(msgspec.structs.replace(made, claims=[piped]), tmp_path)))
    assert "| a\\|b |" in block


def test_schemas_are_published_for_report_latest_and_record(tmp_path):
    assert sorted(schemas()) == ["latest.schema.json", "record.schema.json", "report.schema.json"]
    for path in write_schemas(tmp_path):
        schema = json.loads(path.read_text())
        assert "$ref" in schema and "$defs" in schema
    latest = schemas()["latest.schema.json"]["$defs"]["Latest"]
    assert latest["required"] == ["profile", "environment", "systems", "claims", "figures"]
    assert latest["additionalProperties"] is False


def older(made, folder, said):
    """A release whose figures say nothing of their evidence, and the report beside it."""
    path = write_release(made, folder)
    latest = json.loads(path.read_text())
    for figure in latest["figures"]:
        for key in ("evidence", "data", "data_sha256", "target", "met", "invalid"):
            del figure[key]
    for one in latest["claims"]:
        del one["data_sha256"], one["data_label"]
    path.write_text(json.dumps(latest))
    if said:
        (folder / made.profile).mkdir()
        (folder / made.profile / "report.json").write_bytes(msgspec.json.encode(made))
    return path


def test_what_an_older_release_lacks_is_taken_from_its_report(made, tmp_path):
    filled, whole = (
        read_latest(older(made, tmp_path, said=True)),
        read_latest(write_release(made, tmp_path / "n")),
    )
    mine = [row for row in filled.figures if row.name == FIGURE.name]
    assert mine == [row for row in whole.figures if row.name == FIGURE.name]
    assert filled.claims == whole.claims
    assert "not recorded" not in readme_tables(filled)


def test_without_its_report_an_older_release_says_that_nothing_is_recorded(made, tmp_path):
    block = readme_tables(read_latest(older(made, tmp_path, said=False)))
    (line,) = [line for line in block.splitlines() if line.startswith(f"| {FIGURE.name} |")]
    assert line.endswith("| – | not recorded |")


def test_a_figure_that_a_guard_refused_says_so_wherever_it_is_printed(tmp_path):
    goal = Figure(name="seconds a round", case="speed", arm="ours", at_most=1.0)
    refused = report([timed(seed, contract="no") for seed in SEEDS], [claim()], [goal])
    (row,) = [figure for figure in refused.figures if figure.case]
    assert (row.met, row.invalid) == (None, f"contract: seeds {', '.join(map(str, SEEDS))}: no")
    block = readme_tables(read_latest(write_release(refused, tmp_path)))
    (line,) = [line for line in block.splitlines() if line.startswith(f"| {goal.name} |")]
    assert "≤ 1 s, not judged" in line and "invalid, contract" in line
    assert "! invalid: contract" in markdown(refused)
    assert "tone-invalid" in page(refused)


def test_the_committed_schemas_are_those_of_the_code(tmp_path):
    committed = Path(__file__).parents[2] / "results" / "releases" / "schemas"
    for path in write_schemas(tmp_path):
        assert (committed / path.name).read_bytes() == path.read_bytes(), f"{path.name} is not what it was"
