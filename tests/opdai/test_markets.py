"""Reading markets: any names, any subset of files, and one clear sentence for whatever is malformed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from remeasure.datasets.xmrec.describe import describe
from remeasure.datasets.xmrec.loader import Request, judge, load
from remeasure.datasets.xmrec.markets import read_markets
from remeasure.errors import UserError

HEADER = "userId\titemId\trating\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One valid market named `alpha`."""
    folder = tmp_path / "alpha"
    folder.mkdir()
    (folder / "train.tsv").write_text(HEADER + "u1\ta\t5\nu1\tb\t3.0\nu2\ta\t1.0\n")
    (folder / "train_5core.tsv").write_text(HEADER + "u1\ta\t1\nu2\tc\t1\n")
    (folder / "valid_qrel.tsv").write_text(HEADER + "u1\tc\t1\nu2\tb\t1\n")
    (folder / "valid_run.tsv").write_text("u2\tb,d\nu1\td,e,c\n")
    return tmp_path


def test_ratings_may_be_integers_or_decimals(root: Path) -> None:
    train = read_markets(root)["alpha"].train
    assert train is not None
    assert train["rating"].tolist() == [5.0, 3.0, 1.0]
    assert train["itemId"].tolist() == ["a", "b", "a"]


def test_short_lists_are_padded(root: Path) -> None:
    lists = read_markets(root)["alpha"].valid_run
    assert lists is not None
    assert lists.users.tolist() == ["u2", "u1"]
    assert lists.items.tolist() == [["b", "d", ""], ["d", "e", "c"]]


def test_windows_line_ends_and_a_missing_last_newline_are_fine(root: Path) -> None:
    path = root / "alpha" / "train.tsv"
    before = read_markets(root)["alpha"].train
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    after = read_markets(root)["alpha"].train
    assert before is not None and after is not None and before.equals(after)


def test_ids_that_look_like_numbers_or_missing_values_stay_strings(root: Path) -> None:
    (root / "alpha" / "train.tsv").write_text(HEADER + '007\tNA\t5\nnull\t"q\t4\n')
    train = read_markets(root, ["alpha"])["alpha"].train
    assert train is not None
    assert train["userId"].tolist() == ["007", "null"]
    assert train["itemId"].tolist() == ["NA", '"q']


def test_a_folder_without_interactions_is_ignored_with_a_note(root: Path) -> None:
    (root / "merged").mkdir()
    (root / "merged" / "valid_qrel.tsv").write_text(HEADER + "u1\tc\t1\n")
    markets = read_markets(root)
    assert list(markets) == ["alpha"]
    assert len(markets.notes) == 1 and "merged" in markets.notes[0]


def test_every_file_but_one_table_is_optional(root: Path) -> None:
    for name in ("train", "valid_qrel", "valid_run"):
        (root / "alpha" / f"{name}.tsv").unlink()
    market = read_markets(root)["alpha"]
    assert market.train is None and market.valid_run is None and market.train_5core is not None


def test_describe_says_what_each_market_can_serve_as(root: Path) -> None:
    assert describe(read_markets(root)).loc["alpha", "serves_as"] == "source; target with official lists"
    (root / "alpha" / "valid_run.tsv").unlink()
    row = describe(read_markets(root)).loc["alpha"]
    assert row["serves_as"] == "source; target with resampled lists only"
    assert (row["train_rows"], row["train_users"], row["train_items"], row["union"], row["core_only"]) == (
        3,
        2,
        2,
        4,
        1,
    )
    (root / "alpha" / "valid_qrel.tsv").unlink()
    assert describe(read_markets(root)).loc["alpha", "serves_as"] == "source"


Edit = Callable[[str], str]
BAD: dict[str, tuple[str, Edit, int, str]] = {
    "missing column": ("train", lambda s: s.replace("rating", "stars"), 1, "column rating is missing"),
    "empty file": ("train", lambda s: "", 1, "column userId is missing"),
    "rating not a number": ("train", lambda s: s.replace("3.0", "good"), 3, "rating 'good'"),
    "rating not finite": ("train", lambda s: s.replace("3.0", "inf"), 3, "rating 'inf'"),
    "rating missing value": ("train", lambda s: s.replace("3.0", "nan"), 3, "rating 'nan'"),
    "rating negative": ("train", lambda s: s.replace("3.0", "-1"), 3, "rating '-1.0'"),
    "too many fields": ("train", lambda s: s.replace("u1\tb", "u1\tb\tb"), 3, "4 tab-separated fields"),
    "every row too long": (
        "train_5core",
        lambda s: s.replace("\t1\n", "\t1\tx\n"),
        2,
        "4 tab-separated fields",
    ),
    "too few fields": ("train", lambda s: s.replace("u1\tb\t", "u1\t"), 3, "2 tab-separated fields"),
    "blank line": ("train", lambda s: s.replace("u1\tb", "\nu1\tb"), 3, "1 tab-separated fields"),
    "empty item": ("train", lambda s: s.replace("u1\tb", "u1\t"), 3, "itemId is empty"),
    "header only": ("train_5core", lambda s: HEADER, 1, "only its header"),
    "second positive": ("valid_qrel", lambda s: s + "u1\td\t1\n", 4, "user 'u1' has a second row"),
    "label without list": ("valid_qrel", lambda s: s + "u3\td\t1\n", 4, "user 'u3' has no candidates"),
    "list without label": ("valid_run", lambda s: s + "u3\td,e\n", 3, "user 'u3' has no row"),
    "no candidates": ("valid_run", lambda s: s.replace("\tb,d", "\t"), 1, "user 'u2' has no candidates"),
    "no tab in a list": ("valid_run", lambda s: s.replace("u2\tb,d", "u2"), 1, "1 tab-separated fields"),
    "positive not listed": ("valid_run", lambda s: s.replace("e,c", "e,f"), 2, "lacks the positive 'c'"),
    "second list": ("valid_run", lambda s: s + "u1\tc,d\n", 3, "user 'u1' has a second list"),
    "candidate twice": ("valid_run", lambda s: s.replace("d,e,c", "d,c,d"), 2, "candidate 'd' occurs twice"),
    "empty candidate": ("valid_run", lambda s: s.replace("d,e,c", "d,,c"), 2, "a candidate is empty"),
    "tab in a candidate": ("valid_run", lambda s: s.replace("d,e,c", "d,\te,c"), 2, "3 tab-separated fields"),
    "empty lists": ("valid_run", lambda s: "", 1, "the file is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_file_and_line(root: Path, case: str) -> None:
    name, edit, line, message = BAD[case]
    path = root / "alpha" / f"{name}.tsv"
    path.write_text(edit(path.read_text()))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_markets(root)
    assert f"{path}:{line}: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["train", "valid_run"])
@pytest.mark.parametrize("junk", [b"\xff", b"\0"])
def test_bytes_that_are_no_text_are_refused(root: Path, name: str, junk: bytes) -> None:
    path = root / "alpha" / f"{name}.tsv"
    path.write_bytes(path.read_bytes().replace(b"u1\t", b"u1" + junk + b"\t", 1))
    with pytest.raises(UserError, match="not UTF-8") as caught:
        read_markets(root)
    assert f"{path}:2: " in str(caught.value)


def test_a_market_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="beta: no such market; name one of the folders there: alpha"):
        read_markets(root, ["beta"])
    (root / "gamma").mkdir()
    with pytest.raises(UserError, match=r"gamma: neither train\.tsv"):
        read_markets(root, ["gamma"])
    with pytest.raises(UserError, match="no such folder"):
        read_markets(root / "nowhere")
    with pytest.raises(UserError, match="no market found"):
        read_markets(root / "gamma")


def test_roles_come_from_the_request_and_default_to_all_others(root: Path) -> None:
    for name in ("beta", "gamma"):
        (root / name).mkdir()
        (root / name / "train.tsv").write_text(HEADER + "v1\ta\t5\n")
    data = load(Request(target="alpha"), root)
    assert (data.sources, data.co_targets, data.simulated) == (("beta", "gamma"), (), False)
    assert data.label == "alpha (official lists)"
    assert data.positives.tolist() == ["b", "c"]
    configured = judge(read_markets(root), Request(target="alpha"), targets=("alpha", "gamma", "elsewhere"))
    assert (configured.sources, configured.co_targets) == (("beta",), ("gamma",))
    with pytest.raises(UserError, match="there is no market 'delta'"):
        load(Request(target="delta"), root)
    with pytest.raises(UserError, match="roles overlap"):
        load(Request(target="alpha", sources=("alpha",)), root)
    with pytest.raises(UserError, match="beta has no official lists"):
        load(Request(target="beta"), root)
    with pytest.raises(UserError, match="beta has no valid_qrel"):
        load(Request(target="beta", lists="resampled"), root)
