"""Office Products, one's own folder in that layout, or simulated: published figures, and every fault by its place."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interaction_checks import check, equal

from remeasure.datasets.amazon18_office.loader import Request, load
from remeasure.datasets.common.interactions import Interactions, training_rows
from remeasure.datasets.common.sids import read_sids, sid_strings, write_sids
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "amazon18_office"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ,
    reason="no real amazon18_office in $REMEASURE_DATA",
)
Row = dict[str, Any]


@cache
def real() -> Interactions:
    return load(Request(), REAL)


class Shop:
    """A small folder that a test may spoil before it is written."""

    def __init__(self) -> None:
        self.items: list[tuple[str, Any]] = [
            (str(17 + n), {"title": f"Pen {n}", "description": "blue", "brand": f"B{n % 2}"})
            for n in range(5)
        ]
        self.index: dict[str, Any] = {
            item: [f"<a_{n}>", "<b_1>", "<c_2>"] for n, (item, _) in enumerate(self.items)
        }
        self.rows: dict[str, list[Row]] = {
            "valid": [row("ann", [17, 18], 19), row("bob", [20], 17)],
            "test": [row("ann", [17, 18, 19], 20), row("cid", [21], 18)],
        }
        self.info: list[str] = []
        self.vectors: np.ndarray | None = None

    def write(self, folder: Path) -> Path:
        entries = ", ".join(f"{json.dumps(item)}: {json.dumps(content)}" for item, content in self.items)
        (folder / "Shop.item.json").write_text("{" + entries + "}")
        (folder / "Shop.index.json").write_text(json.dumps(self.index))
        for part, rows in self.rows.items():
            with (folder / f"Shop.{part}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        if self.info:
            (folder / "Shop.info.txt").write_text("\n".join(self.info))
        if self.vectors is not None:
            np.save(folder / "Shop.emb.npy", self.vectors)
        return folder


def row(user: str, history: list[int], item: int, **more: object) -> Row:
    return {"user_id": user, "history_item_id": str(history), "item_id": item, **more}


@needs_real
def test_the_real_items_have_the_published_figures() -> None:
    items = real().test.items
    assert (len(items), len(items.accounts)) == (3_459, 778)
    assert items.sids is not None and items.sids.shape == (3_459, 3)
    assert [len(np.unique(items.sids[:, level])) for level in range(3)] == [88, 256, 256]
    sids, counts = np.unique(sid_strings(items.sids).astype(str), return_counts=True)
    assert (len(sids), counts.max(), (counts == 2).sum()) == (3_444, 2, 15)
    assert items.price is None and items.text[0].startswith(
        "HP 74 Black & 75 Tri-color Original Ink Cartridges"
    )


@needs_real
def test_the_real_rows_and_what_is_learned_are_those_of_the_study() -> None:
    data = real()
    check(data)
    assert not data.simulated and data.label == "Amazon Office" and data.clock == "steps"
    train = data.test.train
    assert (len(train), np.count_nonzero(np.diff(train.offsets))) == (12_715, 3_231)
    assert len(training_rows(train)) == 9_484 and int(data.test.known.sum()) == 2_961
    assert (len(data.validation.rows), len(data.test.rows)) == (4_866, 4_866)
    assert len(np.unique(data.test.rows.user)) == 2_024
    assert int(data.test.cold().sum()) == 443
    assert int((~data.test.rows.new()).sum()) == 119  # repeats, 2.4 %
    assert np.diff(data.test.train.offsets).max() == 10
    assert "9,484 prefixes of 3,231 users" in data.notes[-1]


@needs_real
def test_no_target_of_a_judged_row_is_learned() -> None:
    """A user's training is the past of his first judged row, so it is the beginning of every later history."""
    data = real()
    train = data.test.train
    seen: set[int] = set()
    for rows in (data.validation.rows, data.test.rows):
        for number, user in enumerate(rows.user.tolist()):
            if user not in seen:
                seen.add(user)
                history = rows.log.item[rows.start[number] : rows.end[number]].tolist()
                assert train.item[train.offsets[user] : train.offsets[user + 1]].tolist() == history


@needs_real
def test_the_published_sids_survive_writing(tmp_path: Path) -> None:
    items = real().test.items
    assert items.sids is not None
    write_sids(tmp_path / "x.index.json", items.ids.tolist(), items.sids)
    published = json.loads((REAL / "Office_Products.index.json").read_text())
    assert json.loads((tmp_path / "x.index.json").read_text()) == published


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=9))
def test_sids_that_are_written_are_read(
    tmp_path_factory: pytest.TempPathFactory, codes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("sids") / "x.index.json"
    ids = [f"i{number}" for number in range(len(codes))]
    write_sids(path, ids, np.array(codes))
    assert read_sids(path, ids).tolist() == [list(code) for code in codes]


def test_a_folder_of_ones_own_is_read(tmp_path: Path) -> None:
    shop = Shop()
    for n, (_, content) in enumerate(shop.items):
        content["price"] = 1.5 * n
    shop.vectors = np.eye(5, dtype=np.float32)
    shop.info = [f"<a_{n}><b_1><c_2>\tPen {n}\t{17 + n}" for n in range(5)]
    data = load(Request(), shop.write(tmp_path))
    check(data)
    assert data.label == f"catalogue {tmp_path.name}" and not data.simulated and data.currency == "$"
    items = data.test.items
    assert items.ids.tolist() == ["17", "18", "19", "20", "21"]
    assert items.text[1] == "Pen 1\nblue" and items.accounts.tolist() == ["B0", "B1"]
    assert items.price is not None and items.price.tolist() == [0, 1.5, 3, 4.5, 6]
    assert items.vectors is not None and items.vectors.shape == (5, 5)
    assert data.users.tolist() == ["ann", "bob", "cid"]
    train = data.test.train
    assert [train.item[a:b].tolist() for a, b in zip(train.offsets, train.offsets[1:], strict=False)] == [
        [0, 1],
        [3],
        [4],
    ]
    assert data.test.rows.item.tolist() == [3, 1] and data.test.rows.value.tolist() == [4.5, 1.5]
    assert data.test.rows.last(2).item.tolist() == [[1, 2], [-1, 4]]
    assert data.test.cold().tolist() == [False, False]
    assert data.validation.cold().tolist() == [True, False]


def test_a_train_file_is_what_is_learned_where_there_is_one(tmp_path: Path) -> None:
    shop = Shop()
    shop.rows["train"] = [row("ann", [17], 18), row("dan", [21], 20), row("dan", [21, 20], 17)]
    data = load(Request(), shop.write(tmp_path))
    check(data)
    train = data.test.train
    assert data.users.tolist() == ["ann", "bob", "cid", "dan"]
    assert (train.offsets.tolist(), train.item.tolist()) == ([0, 2, 2, 2, 5], [0, 1, 4, 3, 0])
    assert len(training_rows(train)) == 3 and "from the train file" in data.notes[-1]


def test_users_without_a_history_are_counted_and_left_out(tmp_path: Path) -> None:
    shop = Shop()
    shop.rows["test"] += [row("eve", [], 18), row("fay", [], 19)]
    data = load(Request(), shop.write(tmp_path))
    check(data)
    assert data.notes[0] == "Shop.test.csv: 2 rows of users without a history are left out"
    assert len(data.test.rows) == 2 and "eve" not in data.users


def test_a_folder_without_semantic_ids_is_read(tmp_path: Path) -> None:
    shop = Shop()
    shop.info = [f"<a_{n}><b_1><c_2>\tPen {n}\t{17 + n}" for n in range(5)]
    folder = shop.write(tmp_path)
    (folder / "Shop.index.json").unlink()
    data = load(Request(), folder)
    check(data)
    assert data.test.items.sids is None and len(data.test.items) == 5


def test_made_up_users_are_like_the_published_rows_and_repeatable() -> None:
    requests = (Request(users=200, products=90), Request(users=200, products=90), Request(200, 90, seed=1))
    first, again, other = (load(request, None) for request in requests)
    check(first)
    assert first.simulated and "no real data" in first.notes[0] and first.label.endswith("simulated")
    assert equal(first.test, again.test) and not equal(first.test, other.test)
    assert np.diff(first.test.rows.log.offsets).max() == 10
    assert first.test.items.sids is not None and first.test.cold().any()


def item(shop: Shop, place: int, **fields: object) -> None:
    shop.items[place][1].update(fields)


def spoiled_vectors(value: float) -> np.ndarray:
    vectors = np.ones((5, 3))
    vectors[2, 1] = value
    return vectors


def timed(shop: Shop, valid: list[object], test: list[object]) -> None:
    for part, times in (("valid", valid), ("test", test)):
        for each, time in zip(shop.rows[part], times, strict=True):
            each["timestamp"] = time


FAULTS: dict[str, tuple[Callable[[Shop], object], str]] = {
    "an item twice": (
        lambda shop: shop.items.append(shop.items[0]),
        r"Shop.item.json: item 17 stands twice; give every item one id\.",
    ),
    "an item without id": (
        lambda shop: shop.items.append((" ", {"title": "x"})),
        r"Shop.item.json: entry 6 has no id; give every item one\.",
    ),
    "an item without title": (lambda shop: item(shop, 1, title=""), "item.json: item 18 has no title"),
    "a price that is missing": (
        lambda shop: item(shop, 0, price=1.0),
        "item.json: the price of item 18 is None; give a number for every item or for none",
    ),
    "a price that is no number": (
        lambda shop: prices(shop, float("nan")),
        "price of item 19 is nan; give a finite",
    ),
    "an infinite price": (
        lambda shop: prices(shop, float("inf")),
        "price of item 19 is inf; give a finite number",
    ),
    "a negative price": (
        lambda shop: prices(shop, -1),
        "price of item 19 is -1; give a finite number of at least 0",
    ),
    "a price in words": (lambda shop: prices(shop, "$3"), r"price of item 19 is \$3; give a number"),
    "a vector that is no number": (
        lambda shop: setattr(shop, "vectors", spoiled_vectors(float("nan"))),
        "Shop.emb.npy, row 3: the vector of item 19 is nan at place 2; give finite numbers",
    ),
    "an infinite vector": (
        lambda shop: setattr(shop, "vectors", spoiled_vectors(float("-inf"))),
        "row 3: the vector of item 19 is -inf at place 2",
    ),
    "vectors of too few items": (
        lambda shop: setattr(shop, "vectors", np.ones((4, 3))),
        r"Shop.emb.npy holds float64 \(4, 3\); give a row of floats for each of the 5 items",
    ),
    "no SID": (lambda shop: shop.index.pop("18"), "Shop.index.json: item 18 has no SID; give every item one"),
    "a SID of another length": (
        lambda shop: shop.index.update({"18": ["<a_1>", "<b_1>"]}),
        "index.json: the SID of item 18 has 2 levels, others have 3; give all the same number",
    ),
    "a SID that is none": (
        lambda shop: shop.index.update({"18": ["<a_1>", "<c_1>", "<b_1>"]}),
        "index.json: the SID of item 18 is .*; write it as <a_1>",
    ),
    "a SID of nobody": (
        lambda shop: shop.index.update({"99": ["<a_1>", "<b_1>", "<c_1>"]}),
        "index.json: item 99 is not among the items",
    ),
    "an unknown item in a history": (
        lambda shop: shop.rows["test"].append(row("eve", [17, 99], 18)),
        "Shop.test.csv, row 3: history_item_id 99 is no item of item.json; mend the row",
    ),
    "an unknown target": (
        lambda shop: shop.rows["valid"].append(row("eve", [17], 99)),
        "Shop.valid.csv, row 3: item_id 99 is no item of item.json",
    ),
    "a history that is no list": (
        lambda shop: shop.rows["valid"][1].update(history_item_id="17; 18"),
        "Shop.valid.csv, row 2: history_item_id is no list",
    ),
    "a user without a name": (
        lambda shop: shop.rows["test"][0].update(user_id=" "),
        "row 1: user_id is empty",
    ),
    "another SID in a row": (
        lambda shop: [each.update(item_sid="<a_9><b_1><c_2>") for each in shop.rows["test"]],
        "Shop.test.csv, row 1: item_sid is <a_9><b_1><c_2>, index.json has <a_3><b_1><c_2>; make them equal",
    ),
    "another SID in a history": (
        lambda shop: [each.update(history_item_sid="['<a_9>']") for each in shop.rows["test"]],
        r"row 1: history_item_sid is \['<a_9>'\], index.json has \['<a_0><b_1><c_2>', ",
    ),
    "another SID in info.txt": (
        lambda shop: shop.info.append("<a_9><b_1><c_2>\tPen 0\t17"),
        "Shop.info.txt, row 1: the SID of item 17 is <a_9><b_1><c_2>, index.json has <a_0><b_1><c_2>",
    ),
    "an unknown item in info.txt": (
        lambda shop: shop.info.append("<a_9>\tPen 0\t99"),
        "info.txt, row 1: id 99 is no",
    ),
    "no column": (
        lambda shop: [each.pop("item_id") for each in shop.rows["test"]],
        "Shop.test.csv: column item_id is missing; name it in the header",
    ),
    "a history that shrinks": (
        lambda shop: shop.rows["test"][0].update(history_item_id="[17]"),
        "Shop.test.csv, row 1: the history of user ann has 1 items, fewer than in Shop.valid.csv, row 1; put",
    ),
    "rows out of order": (
        lambda shop: timed(shop, [5, 3], [7, 8]),
        "Shop.valid.csv, row 2: timestamp 3 is earlier than the row before's, 5; sort the rows by time",
    ),
    "a test row older than those before": (
        lambda shop: timed(shop, [5, 6], [4, 8]),
        "Shop.test.csv, row 1: timestamp 4 is earlier than the last of Shop.valid.csv, 6; cut the rows by time",
    ),
    "a time that is none": (
        lambda shop: timed(shop, [5, "nan"], [4, 8]),
        "Shop.valid.csv, row 2: timestamp nan is no time",
    ),
    "nobody with a history": (
        lambda shop: [each.update(history_item_id="[]") for each in shop.rows["test"]],
        "Shop.test.csv has no row with a history",
    ),
}


def prices(shop: Shop, third: object) -> None:
    for place in range(5):
        item(shop, place, price=third if place == 2 else 1.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_that_says_where(tmp_path: Path, fault: str) -> None:
    spoil, said = FAULTS[fault]
    shop = Shop()
    spoil(shop)
    with pytest.raises(UserError, match=said) as error:
        load(Request(), shop.write(tmp_path))
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_a_test_row_older_than_training_is_refused(tmp_path: Path) -> None:
    shop = Shop()
    shop.rows["train"] = [row("ann", [17, 18, 19], 20)]
    with pytest.raises(
        UserError, match=r"valid.csv, row 1: the history of user ann has 2 items, fewer than in Shop.train"
    ):
        load(Request(), shop.write(tmp_path))


def test_a_folder_without_a_file_or_with_two_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no file \*.item.json; a folder needs"):
        load(Request(), tmp_path)
    folder = Shop().write(tmp_path)
    (folder / "Other.test.csv").write_text("user_id")
    with pytest.raises(UserError, match=r"holds both Other.test.csv and Shop.test.csv; keep one"):
        load(Request(), folder)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", '{"17": '])
def test_a_file_that_is_no_table_of_items_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = Shop().write(tmp_path)
    (folder / "Shop.item.json").write_text(text)
    with pytest.raises(UserError, match=r"Shop.item.json (is no readable JSON|holds no items)"):
        load(Request(), folder)
