"""What is found, and how what cannot be found or read is refused."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from remeasure.declared import registry as registry_module
from remeasure.declared.registry import Registry, registry
from remeasure.errors import UserError
from toy.env import use_toy

CASES = '''
from remeasure.contracts import Arm, At, Metric, case
from toy.systems.toysys.configs import Loop

@case(dataset="toydata", request=Loop(1), arms=[Arm("a", "strawman", Loop(1))],
      metrics=[Metric("m", "", "lower", "count")], profiles={"tiny": At()})
def first(arm, data, seed):
    """What?"""
'''
CLAIMS = 'title = "t"\npaper = "p"\nlink = "l"\n'


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy(monkeypatch, tmp_path / "cache")


def write_package(monkeypatch: pytest.MonkeyPatch, root: Path, package: str, **files: str) -> str:
    """A package on the path whose files are given by stem, e.g. `cases_py`."""
    folder = root.joinpath(*package.split("."))
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    if "cases_py" in files:
        files.setdefault("claims_toml", CLAIMS)
    for name, text in files.items():
        stem, suffix = name.rsplit("_", 1)
        (folder / f"{stem}.{suffix}").write_text(text)
    monkeypatch.syspath_prepend(str(root))
    return package


def outside() -> Registry:
    """What the variables name, without the systems that come with the tool."""
    found = registry()
    named = {name: system for name, system in found.systems.items() if "remeasure" not in system.package}
    return Registry(named, found.datasets)


def test_the_toy_system_and_its_data_set_are_found() -> None:
    found = registry()
    assert {"toysys", "faulty"} <= set(found.systems)
    assert found.system("toysys").package == "toy.systems.toysys"
    assert list(found.system("toysys").cases) == ["loop-time", "prediction", "queue-latency"]
    assert found.dataset("toydata").files[0].path == "scores.tsv"


def test_every_case_knows_its_system() -> None:
    assert {case.system for case in outside().cases()} == {"toysys", "faulty"}
    assert outside().case("toysys/prediction").id == "toysys/prediction"


def test_built_in_folders_are_found_without_being_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", "")
    monkeypatch.setenv("REMEASURE_DATASETS", "")
    found = registry()
    assert found.dataset("xmrec").package == "remeasure.datasets.xmrec"
    assert "toysys" not in found.systems


def test_a_case_and_a_claim_are_found_by_full_and_by_short_name() -> None:
    found = outside()
    assert found.case("toysys/prediction") is found.case("prediction")
    system, claim = found.claim("toysys/shorter-queue")
    assert (system.name, claim.id) == ("toysys", "shorter-queue")
    assert found.claim("shorter-queue")[1] is claim


def test_names_that_nothing_has_are_refused_with_near_ones() -> None:
    found = outside()
    with pytest.raises(UserError, match="system called 'toysis'; did you mean toysys"):
        found.system("toysis")
    with pytest.raises(UserError, match="data set called 'toydate'; did you mean toydata"):
        found.dataset("toydate")
    with pytest.raises(UserError, match="did you mean toysys/prediction"):
        found.case("toysys/predicton")
    with pytest.raises(UserError, match=r"did you mean .*prediction"):
        found.case("predicton")
    with pytest.raises(UserError, match=r"did you mean .*shorter-queue"):
        found.claim("shorter-queu")
    with pytest.raises(UserError, match="system called 'opdia'"):
        found.claim("opdia/shorter-queue")


def test_a_claim_id_that_two_systems_have_must_be_said_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    claim = '[[claim]]\nid = "on-the-moon"\nstatement = "s"\nwhere = "w"\nkind = "ratio"\nvalue = 1.0\n'
    claim += 'testability = "not-testable"\nwhy = "y"\n'
    package = write_package(
        monkeypatch, tmp_path, "twice_claimed", cases_py=CASES, claims_toml=CLAIMS + claim
    )
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"toy.systems.toysys, {package}")
    with pytest.raises(UserError, match="toysys/on-the-moon or twice_claimed/on-the-moon"):
        outside().claim("on-the-moon")


def test_a_package_that_is_not_there_is_refused_and_says_who_named_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", "toy.systems.nothing")
    with pytest.raises(UserError, match=r"\$REMEASURE_SYSTEMS names the package toy.systems.nothing"):
        registry()


def test_a_package_without_cases_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", "toy.datasets.toydata")
    with pytest.raises(UserError, match=r"holds no claims\.toml"):
        registry()


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [("no_cases", (), "has no cases; add cases.py"), ("two_of", ("cases.py", "cases"), "has both")],
)
def test_a_system_has_its_cases_in_one_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, there: tuple[str, ...], said: str
) -> None:
    package = write_package(monkeypatch, tmp_path, name, claims_toml=CLAIMS)
    if there:
        (tmp_path / name / "cases.py").write_text(CASES)
        (tmp_path / name / "cases").mkdir()
        (tmp_path / name / "cases" / "__init__.py").write_text("")
    monkeypatch.setenv("REMEASURE_SYSTEMS", package)
    with pytest.raises(UserError, match=rf"{name} {said}"):
        outside().cases()


def case_folder(monkeypatch: pytest.MonkeyPatch, root: Path, package: str, **files: str) -> str:
    """A system whose cases are a folder, its files given by stem."""
    write_package(monkeypatch, root, package, claims_toml=CLAIMS)
    (root / package / "cases").mkdir()
    for stem, text in files.items():
        (root / package / "cases" / f"{stem}.py").write_text(text)
    return package


def test_cases_of_a_folder_are_found_though_nobody_lists_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    second = CASES.replace("first", "second")
    listed = "from .later import second\n"
    package = case_folder(monkeypatch, tmp_path, "in_folder", __init__=listed, early=CASES, later=second)
    monkeypatch.setenv("REMEASURE_SYSTEMS", package)
    assert list(registry().system("in_folder").cases) == ["second", "first"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("f_error", "x = 1\ny = 1 / 0\n", "ZeroDivisionError"), ("f_syntax", "\ndef broken(:\n", "SyntaxError")],
)
def test_an_error_in_a_folder_of_cases_is_placed_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, message: str
) -> None:
    package = case_folder(monkeypatch, tmp_path, name, __init__="", deep=text)
    monkeypatch.setenv("REMEASURE_SYSTEMS", package)
    with pytest.raises(UserError, match=rf"{name}/cases/deep\.py line 2 cannot be imported: {message}"):
        outside().cases()


def test_the_systems_and_data_sets_that_come_with_the_tool_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", "")
    monkeypatch.setenv("REMEASURE_DATASETS", "")
    found = registry()
    assert {"blockllm", "flexserve", "opdai"} <= set(found.systems)
    assert {"azure_llm_2023", "ondevice", "xmrec"} <= set(found.datasets)


def test_two_systems_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = write_package(monkeypatch, tmp_path, "elsewhere_a.toysys", cases_py=CASES)
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"toy.systems.toysys,{package}")
    with pytest.raises(UserError, match="both called toysys"):
        registry()


def test_a_system_is_found_through_an_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = write_package(monkeypatch, tmp_path, "by_entry", cases_py=CASES, claims_toml=CLAIMS)
    point = EntryPoint("by_entry", package, "remeasure.systems")
    monkeypatch.setattr(
        registry_module, "entry_points", lambda group: [point] if group == "remeasure.systems" else []
    )
    monkeypatch.setenv("REMEASURE_SYSTEMS", " toy.systems.toysys ")
    assert registry().case("by_entry/first").question == "What?"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b_name", "x = 1\ny = nothing\n", r"line 2 cannot be imported: NameError"),
        ("b_syntax", "def broken(:\n", r"line 1 cannot be imported: SyntaxError"),
        ("b_import", "import there_is_no_such_module\n", r"line 1 .*there_is_no_such_module"),
        ("b_twice", CASES + "other = first\n" + CASES, "case first stands twice"),
    ],
)
def test_a_system_that_cannot_be_imported_is_refused_with_file_and_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, message: str
) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", write_package(monkeypatch, tmp_path, name, cases_py=text))
    with pytest.raises(UserError, match=rf"{name}/cases\.py.*{message}"):
        outside().cases()


def test_a_broken_system_does_not_keep_the_others_from_being_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = write_package(monkeypatch, tmp_path, "broken_beside", cases_py="1/0\n")
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"toy.systems.toysys,{package}")
    assert registry().case("toysys/prediction").name == "prediction"


def claims_with(monkeypatch: pytest.MonkeyPatch, root: Path, name: str, old: str, new: str) -> str:
    """A copy of the toy whose claims.toml has `old` replaced by `new`, once."""
    toysys = registry().system("toysys").folder
    text = (toysys / "claims.toml").read_text()
    assert old in text
    cases = "from toy.systems.toysys.cases import loop_time, prediction, queue_latency\n"
    return write_package(monkeypatch, root, name, cases_py=cases, claims_toml=text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "c_case",
            'case = "prediction"',
            'case = "predicton"',
            "names the case predicton, which does not exist",
        ),
        ("c_arm", 'treatment = "toy"', 'treatment = "toi"', "three-times-faster names the arm toi"),
        (
            "c_base",
            'baseline = "slow"',
            'baseline = "slo"',
            "names the arm slo, which case loop-time does not",
        ),
        ("c_metric", 'metric = "accuracy"', 'metric = "auc"', "names the metric auc"),
        (
            "c_order",
            '"group mean", "global',
            '"grp mean", "global',
            "order-of-predictors names the arm grp mean",
        ),
        (
            "c_peek",
            'treatment = "own and group"',
            'treatment = "peek"',
            "own-ratings-help uses arm peek, which",
        ),
        ("c_half", 'baseline = "slow"\n', "", "three-times-faster needs a baseline"),
        ("c_figure", 'arm = "toy"', 'arm = "toi"', "figure speedup over slow names the arm toi"),
        (
            "c_figcase",
            'case = "loop-time"\narm',
            'case = "lop"\narm',
            "figure speedup over slow names the case lop",
        ),
    ],
)
def test_a_claim_that_names_what_does_not_exist_or_may_not_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    package = claims_with(monkeypatch, tmp_path, name, old, new)
    monkeypatch.setenv("REMEASURE_SYSTEMS", package)
    with pytest.raises(UserError, match=rf"{name}/claims\.toml line \d+: .*{message}"):
        _ = registry().system(name).claims


def test_only_our_own_claims_may_use_a_control(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert outside().claim("peek-is-better")[1].by == "remeasure"
    package = claims_with(
        monkeypatch, tmp_path, "c_other", 'by = "remeasure"', 'by = "other"\nsource = "a blog"'
    )
    monkeypatch.setenv("REMEASURE_SYSTEMS", package)
    with pytest.raises(UserError, match="peek-is-better uses arm peek"):
        outside().claim("peek-is-better")


CARD = 'name = "{name}"\ntitle = "t"\nwhat = "w"\n'
FILE = '[[files]]\npath = "{path}"\nbytes = 1\nurl = "u"\nsha256 = "{sha}"\n'
OWN = '[own]\nsetting = "{setting}"\nfiles = "{files}"\nlayout = "files"\n'
SOURCE = 'canonical = "c"\nlicence = "l"\ncitation = ["c"]\n'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d_toml", "name = \n", r"d_toml/dataset\.toml cannot be read: .*line 1"),
        ("d_key", CARD.format(name="d_key") + "colour = 1\n", "unknown field `colour`"),
        ("d_name", CARD.format(name="other"), "name is other but the folder is d_name"),
        (
            "d_lic",
            CARD.format(name="d_lic") + FILE.format(path="a", sha="0" * 64),
            "needs canonical, licence",
        ),
        ("d_sha", CARD.format(name="d_sha") + SOURCE + FILE.format(path="a", sha="xyz"), "must be 64 hex"),
        ("d_out", CARD.format(name="d_out") + SOURCE + FILE.format(path="../a", sha="0" * 64), "inside"),
        ("d_abs", CARD.format(name="d_abs") + SOURCE + FILE.format(path="/etc/a", sha="0" * 64), "inside"),
        (
            "d_two",
            CARD.format(name="d_two") + SOURCE + 2 * FILE.format(path="a", sha="0" * 64),
            "stands twice",
        ),
        (
            "d_all",
            CARD.format(name="d_all") + OWN.format(setting="data", files="x"),
            "own.setting is 'data'; it",
        ),
        (
            "d_odd",
            CARD.format(name="d_odd") + OWN.format(setting="a.b", files="x"),
            "own.setting is 'a.b'; it",
        ),
        ("d_re", CARD.format(name="d_re") + OWN.format(setting="mine", files="("), "own.files is no regular"),
    ],
)
def test_a_malformed_data_card_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, message: str
) -> None:
    monkeypatch.setenv("REMEASURE_DATASETS", write_package(monkeypatch, tmp_path, name, dataset_toml=text))
    with pytest.raises(UserError, match=message):
        registry()
