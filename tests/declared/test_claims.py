"""The claims loader refuses what could not be judged fairly, naming file, line and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from remeasure.declared.claims import read_claims
from remeasure.errors import UserError

HEAD = 'title = "t"\npaper = "p"\nlink = "l"\n'
GOOD = """
[[claim]]
id = "first"
statement = "s"
where = "section 1"
kind = "ratio"
value = 2.0
case = "c"
treatment = "a"
baseline = "b"
testability = "measured"
"""


def write(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "impls" / "sys"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "claims.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    claims = read_claims(write(tmp_path, HEAD + GOOD))
    assert claims.claim[0].value == 2.0
    assert claims.claim[0].by == "paper"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('where = "section 1"', 'where = " "', "names no place in the paper"),
        ('testability = "measured"', 'testability = "not-testable"', "gives no reason"),
        ("value = 2.0", "value = 2.0\ntolerance = 2.0", "without `tolerance_changed_because`"),
        ("value = 2.0", 'value = 2.0\nby = "other"', "names no `source`"),
        ('case = "c"\n', "", "names no `case`"),
        ('kind = "ratio"', 'kind = "property"', "names no `test`"),
        ("value = 2.0\n", "", "claims no `value`"),
        ('kind = "ratio"\nvalue = 2.0', 'kind = "value"', "claims no `value`"),
        ('kind = "ratio"', 'kind = "bound"', "states no `margin`"),
    ],
)
def test_a_claim_that_could_not_be_judged_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, HEAD + GOOD.replace(old, new))
    with pytest.raises(UserError, match=rf"impls/sys/claims\.toml line 6: claim first .*{message}"):
        read_claims(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("value = 2.0", "value = 0.0", "claims a ratio of 0, and a ratio is above 0"),
        ("value = 2.0", "value = -3.0", "claims a ratio of -3"),
        ("value = 2.0", 'value = 2.0\ntolerance = 1.0\ntolerance_changed_because = "x"', "a factor above 1"),
    ],
)
def test_a_ratio_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_claims(write(tmp_path, HEAD + GOOD.replace(old, new)))


def test_a_claim_that_stands_twice_is_refused_with_the_second_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"claims\.toml line 17: claim first stands twice"):
        read_claims(write(tmp_path, HEAD + GOOD + GOOD))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 2.0", "valeu = 2.0", "line 6: .*unknown field `valeu`"),
        ('kind = "ratio"', 'kind = "rato"', "line 6: .*Invalid enum value 'rato'"),
        ("value = 2.0", 'value = "two"', "line 6: .*Expected `float"),
        ('statement = "s"\n', "", "line 6: .*missing required field `statement`"),
        ('id = "first"\n', "", r"claims\.toml: .*missing required field `id`"),
    ],
)
def test_a_key_that_does_not_exist_or_a_wrong_type_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        read_claims(write(tmp_path, HEAD + GOOD.replace(old, new)))
    assert "CONTRIBUTING.md" in str(refusal.value)


def test_an_unknown_key_at_the_top_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"impls/sys/claims\.toml: .*unknown field `year`"):
        read_claims(write(tmp_path, HEAD + "year = 2020\n" + GOOD))


def test_a_wrong_figure_is_refused_by_its_line(tmp_path: Path) -> None:
    figure = '[[figure]]\nname = "f"\ncase = "c"\narm = "a"\nstatistic = "mode"\n'
    with pytest.raises(UserError, match=r"line 5: .*'mode'"):
        read_claims(write(tmp_path, HEAD + figure + GOOD))


def test_malformed_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"claims\.toml cannot be read: .*line 4"):
        read_claims(write(tmp_path, HEAD + "[[claim]\n"))


def test_a_missing_file_and_one_that_is_not_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"claims\.toml cannot be read"):
        read_claims(tmp_path / "impls" / "sys" / "claims.toml")
    path = write(tmp_path, "")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"claims\.toml cannot be read"):
        read_claims(path)


def test_a_refusal_is_one_line_without_the_machines_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        read_claims(write(tmp_path, HEAD + GOOD.replace("value = 2.0\n", "")))
    assert "\n" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_not_testable_needs_no_case_once_it_says_why(tmp_path: Path) -> None:
    text = GOOD.replace('case = "c"\ntreatment = "a"\nbaseline = "b"\n', "").replace(
        '"measured"', '"not-testable"'
    )
    assert read_claims(write(tmp_path, HEAD + text + 'why = "no cluster"\n')).claim[0].why == "no cluster"
