"""`remeasure do gr4ad tokenize`, `train` and `recommend` on small folders, and every fault in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gr4ad.catalogues import MODEL, TOKENS, WIDTHS, folder, run
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.amazon18_office.loader import load
from remeasure.datasets.amazon18_office.request import Request
from remeasure.datasets.common.interactions import Interactions
from remeasure.datasets.common.sids import read_sids
from remeasure.datasets.uci_online_retail.loader import Request as Baskets
from remeasure.datasets.uci_online_retail.loader import load as load_baskets
from remeasure.errors import UserError
from remeasure.impls.gr4ad.generator import Training, tokenized
from remeasure.impls.gr4ad.learning.checkpoint import read
from remeasure.impls.gr4ad.questions import Generating
from remeasure.impls.gr4ad.use.asked import Running, Serving, Tokenizing
from remeasure.impls.gr4ad.use.latest import given as given_histories
from remeasure.impls.gr4ad.use.latest import latest
from remeasure.impls.gr4ad.use.recommending import recommend, served
from remeasure.impls.gr4ad.use.tokens import read_tokens, tokenize
from remeasure.impls.gr4ad.use.training import asked_of, train

SHORT = MODEL | {"steps": "8", "every": "0"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("files") / "shop")


@pytest.fixture(scope="module")
def made(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SIDs and a checkpoint; no test changes it."""
    out = tmp_path_factory.mktemp("made")
    run("tokenize", files, out, TOKENS)
    run("train", files, out, SHORT)
    return out


def copied(made: Path, to: Path) -> Path:
    for path in made.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def lists(files: Path, out: Path, **asked: str) -> pd.DataFrame:
    run("recommend", files, out, WIDTHS | asked)
    return pd.read_csv(out / "recommendations.tsv", sep="\t", dtype={"user": str, "item": str})


def test_every_user_gets_ranked_items_with_scores(files, made, tmp_path):
    table = lists(files, copied(made, tmp_path), k="5")
    data = load(Request(), files)
    assert list(table.columns) == ["row", "user", "rank", "item", "score"]
    assert table.groupby("row")["user"].first().tolist() == data.users.tolist()
    for _, ranked in table.groupby("row"):
        assert ranked["rank"].tolist() == list(range(1, 6))
        assert ranked["item"].is_unique and ranked["user"].nunique() == 1
        assert (ranked["score"].diff().dropna() <= 0).all()
    assert set(table["item"]) <= set(data.test.items.ids.tolist())


def test_a_checkpoint_answers_as_the_training_it_was_taken_from(files, made, tmp_path):
    table = lists(files, copied(made, tmp_path), rows="test", k="4")
    split = load(Request(), files).test
    asked = Generating(
        d=8, heads=2, layers=2, parallel=1, dropout=0.1, batch=16, history=4, steps=8, widths=(6, 12, 24)
    )
    training = Training(split, asked, 0, read_tokens(split.items, made))
    while training.done < training.steps:
        training.step()
    items, scores = training.generator().top(split.rows, 4)
    assert table["item"].tolist() == split.items.ids[items].ravel().tolist()
    assert np.allclose(table["score"], scores.ravel(), atol=1e-5)
    assert table["user"].iloc[::4].tolist() == load(Request(), files).users[split.rows.user].tolist()


def test_the_same_words_give_the_same_bytes(files, made, tmp_path):
    run("tokenize", files, tmp_path, TOKENS)
    run("train", files, tmp_path, SHORT | {"every": "60"})
    for name in ("sids.index.json", "vectors.npy", "checkpoint.safetensors"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_the_tokenizer_is_the_one_that_arms_have(files, made):
    split = load(Request(), files).test
    expected = tokenized(split, Generating(sizes=(8, 4, 4), dims=8), seed=0)
    found = read_tokens(split.items, made)
    assert (found.sids == expected.sids).all()
    assert (found.vectors == expected.vectors).all()


def test_ids_that_the_data_bring_are_taken_where_they_are_asked_for(files, made, tmp_path):
    with pytest.raises(UserError, match="the data bring no SIDs; choose another scheme"):
        run("tokenize", files, tmp_path, {"scheme": "data"})
    assert not list(tmp_path.iterdir())
    shop = folder(tmp_path / "shop")
    ids = load(Request(), files).test.items.ids.tolist()
    brought = {item: [f"<a_{place % 7}>", f"<b_{place}>"] for place, item in enumerate(ids)}
    (shop / "Shop.index.json").write_text(json.dumps(brought))
    run("tokenize", shop, tmp_path, {"scheme": "data"})
    assert json.loads((tmp_path / "sids.index.json").read_text()) == brought
    assert read_tokens(load(Request(), shop).test.items, tmp_path).codes == (7, 40)


def test_a_training_tells_how_far_it_is_and_does_nothing_where_it_is_done(files, made, tmp_path):
    run("tokenize", files, tmp_path, TOKENS)
    told = [line for line in run("train", files, tmp_path, SHORT) if line.startswith("step")]
    assert len(told) == 8
    assert told[3].startswith("step 4 of 8, loss ") and told[3].endswith(" left")
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert run("train", files, tmp_path, SHORT)[-1] == "going on after step 8 of 8"
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


# Whom to ask about.


def test_a_user_is_asked_about_after_all_that_is_known_of_him(files):
    data = load(Request(), files)
    asked = latest(data)
    expected: dict[str, list[int]] = {}
    log = data.test.train
    for user, name in enumerate(data.users.tolist()):
        expected[name] = log.item[log.offsets[user] : log.offsets[user + 1]].tolist()
    for rows in (data.validation.rows, data.test.rows):
        for row in range(len(rows)):
            target = rows.item[rows.offsets[row] : rows.offsets[row + 1]].tolist()
            past = rows.log.item[rows.start[row] : rows.end[row]].tolist()
            expected[data.users[rows.user[row]]] = past + target
    found = {
        name: asked.rows.log.item[asked.rows.start[row] : asked.rows.end[row]].tolist()
        for row, name in enumerate(asked.users.tolist())
    }
    assert found == expected
    assert (asked.rows.last(1).age == 1).all()


def test_baskets_are_asked_about_at_the_last_moment_of_the_data(tmp_path):
    data: Interactions = load_baskets(Baskets(customers=150, products=60), None)
    asked = latest(data)
    rows = data.test.rows
    known = np.diff(data.test.train.offsets) > 0
    known[rows.user] = True
    assert asked.users.tolist() == data.users[known].tolist()
    assert len(set(asked.rows.time.tolist())) == 1
    assert (asked.rows.last(64).age >= 0).all()
    spent = dict(zip(asked.users.tolist(), asked.rows.spent().tolist(), strict=True))
    for row in range(0, len(rows), 7):
        value = rows.spent()[row] + rows.value[rows.offsets[row] : rows.offsets[row + 1]].sum()
        assert spent[data.users[rows.user[row]]] == pytest.approx(value)


def test_given_histories_are_answered_as_the_same_histories_of_the_data(files, made, tmp_path):
    out = copied(made, tmp_path)
    expected = lists(files, out, rows="test")
    data = load(Request(), files)
    rows, ids = data.test.rows, data.test.items.ids
    lines = [
        {
            "user": str(data.users[rows.user[row]]),
            "items": ids[rows.log.item[rows.start[row] : rows.end[row]]].tolist(),
        }
        for row in range(len(rows))
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = lists(files, out, histories=str(tmp_path / "asked.jsonl"))
    pd.testing.assert_frame_equal(found, expected)


@given(st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=6), min_size=1, max_size=5))
def test_histories_are_read_as_they_were_written(files, tmp_path_factory, histories):
    path = tmp_path_factory.mktemp("asked") / "asked.jsonl"
    lines = [json.dumps({"user": n, "items": history}) for n, history in enumerate(histories)]
    path.write_text("\n".join(lines))
    asked = given_histories(path, load(Request(), files).test.items, "steps")
    rows = asked.rows
    assert asked.users.tolist() == [str(n) for n in range(len(histories))]
    assert [rows.log.item[rows.start[n] : rows.end[n]].tolist() for n in range(len(histories))] == histories


@pytest.mark.parametrize(
    ("line", "clock", "said"),
    [
        ('{"user": "A12", "items": []}', "steps", "user A12 has no history; give at least one known item."),
        ('{"user": "A12", "items": ["0", "99"]}', "steps", "items 99 is no item of the data; mend the row."),
        ('["0"]', "steps", "is no history; write it as"),
        ("{", "steps", "is no history; write it as"),
        ('{"user": "A12", "items": ["0"]}', "seconds", "ages of user A12 are None; give seconds"),
        ('{"user": "A12", "items": ["0", "1"], "ages": [1, 5]}', "seconds", "give seconds of at least 0 for"),
        ('{"user": "A12", "items": ["0"], "ages": [-1]}', "seconds", "give seconds of at least 0"),
        ('{"user": "A12", "items": ["0"], "ages": [NaN]}', "seconds", "give seconds of at least 0"),
    ],
)
def test_a_fault_in_given_histories_is_named_by_file_row_and_field(files, tmp_path, line, clock, said):
    (tmp_path / "asked.jsonl").write_text('{"user": 1, "items": [3], "ages": [4]}\n' + line)
    with pytest.raises(UserError) as error:
        given_histories(tmp_path / "asked.jsonl", load(Request(), files).test.items, clock)
    assert str(error.value).startswith("asked.jsonl, row 2") and said in str(error.value)


def test_histories_that_are_nowhere_or_none_are_refused(files, tmp_path):
    items = load(Request(), files).test.items
    with pytest.raises(UserError, match=r"cannot be read .*; name a file of histories"):
        given_histories(tmp_path / "asked.jsonl", items, "steps")
    (tmp_path / "asked.jsonl").write_text("\n")
    with pytest.raises(UserError, match="holds no history"):
        given_histories(tmp_path / "asked.jsonl", items, "steps")


def test_only_named_users_are_answered_and_one_without_a_history_is_refused(files, made, tmp_path):
    out = copied(made, tmp_path)
    users = load(Request(), files).users.tolist()
    assert set(lists(files, out, users=f"{users[3]},{users[1]}")["user"]) == {users[1], users[3]}
    before = (out / "recommendations.tsv").read_bytes()
    with pytest.raises(UserError) as error:
        lists(files, out, users=f"{users[3]},Z12")
    assert str(error.value) == "user Z12 has no history; give at least one known item."
    assert (out / "recommendations.tsv").read_bytes() == before


def test_new_leaves_out_what_the_user_has(files, made, tmp_path):
    table = lists(files, copied(made, tmp_path), new="true", k="6")
    data = load(Request(), files)
    asked = latest(data)
    for row, name in enumerate(asked.users.tolist()):
        seen = data.test.items.ids[asked.rows.log.item[asked.rows.start[row] : asked.rows.end[row]]]
        assert not set(table[table["user"] == name]["item"]) & set(seen.tolist())


def test_baskets_with_values_are_ranked_by_the_value_token(tmp_path):
    data = load_baskets(Baskets(customers=150, products=60), None)
    tokenize(data.test, Tokenizing("random", (8, 8, 4)), tmp_path, lambda line: None)
    asked = Generating(d=8, heads=2, layers=1, batch=16, history=6, steps=4, bins=4, weights=True)
    tokens = read_tokens(data.test.items, tmp_path)
    training = Training(data.test, asked, 0, tokens)
    path = tmp_path / "checkpoint.safetensors"
    told = asked_of(asked, Running(), "uci_online_retail", data.test, tokens)
    train(training, told, path, 60.0, lambda line: None)
    tables = []
    for order in ("log p", "token"):
        serving = Serving(widths=(8, 16, 32), order=order)
        generator = served(read(path), data.test.items, tokens, serving)
        tables.append(pd.read_csv(recommend(data, generator, serving, tmp_path, lambda line: None), sep="\t"))
    assert set(tables[0]["user"]) == set(tables[1]["user"])
    assert not tables[0]["score"].equals(tables[1]["score"])


# What is refused.


def test_ids_that_were_made_again_refuse_the_checkpoint(files, made, tmp_path):
    out = copied(made, tmp_path)
    run("tokenize", files, out, TOKENS | {"scheme": "random"})
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    said = r"checkpoint was trained on SIDs \w{4}…, the folder has \w{4}…; tokenize again or choose the other folder"
    with pytest.raises(UserError, match=said):
        run("recommend", files, out, WIDTHS)
    with pytest.raises(UserError, match=said):
        run("train", files, out, SHORT)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_checkpoint_of_another_config_is_not_trained_on(files, made, tmp_path):
    out = copied(made, tmp_path)
    with pytest.raises(UserError, match=r"trained with steps = 8, and 9 is asked; ask the same or"):
        run("train", files, out, SHORT | {"steps": "9"})
    with pytest.raises(UserError, match=r"trained with seed = 0, and 1 is asked"):
        run("train", files, out, SHORT | {"seed": "1"})


def test_a_loss_that_is_no_number_stops_with_step_and_seed_and_the_last_good_checkpoint_stays(
    files, tmp_path
):
    run("tokenize", files, tmp_path, TOKENS)
    with pytest.raises(
        UserError, match=r"(loss is nan at|no number after) step \d of seed 5; lower the rate"
    ):
        run("train", files, tmp_path, SHORT | {"rate": "1e30", "seed": "5"})
    assert read(tmp_path / "checkpoint.safetensors").done >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.safetensors",
        "sids.index.json",
        "vectors.npy",
    ]


def test_what_comes_before_is_asked_for(files, made, tmp_path):
    with pytest.raises(UserError, match=r"has no sids.index.json; say `remeasure do gr4ad tokenize`"):
        run("train", files, tmp_path, SHORT)
    run("tokenize", files, tmp_path, TOKENS)
    with pytest.raises(UserError, match=r"there is no checkpoint .*; say `remeasure do gr4ad train` first"):
        run("recommend", files, tmp_path)


def test_a_fault_in_the_folder_leaves_nothing_behind(tmp_path):
    shop = folder(tmp_path / "shop")
    text = (shop / "Shop.item.json").read_text()
    (shop / "Shop.item.json").write_text(text[:-1] + ', "17": {"title": "again"}}')
    with pytest.raises(UserError, match=r"Shop.item.json: item 17 stands twice; give every item one id\."):
        run("tokenize", shop, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (lambda table: table.pop("3"), "sids.index.json: item 3 has no SID; give every item one"),
        (lambda table: table["3"].pop(), "SID of item 3 has 2 levels, others have 3; give all the same"),
    ],
)
def test_a_sid_that_is_missing_or_of_another_length_is_named(files, made, tmp_path, spoiled, said):
    out = copied(made, tmp_path)
    table = json.loads((out / "sids.index.json").read_text())
    spoiled(table)
    (out / "sids.index.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=said):
        run("train", files, out, SHORT)


def test_vectors_of_other_items_are_refused(files, made, tmp_path):
    out = copied(made, tmp_path)
    np.save(out / "vectors.npy", np.ones((3, 8), np.float32))
    with pytest.raises(UserError, match=r"holds float32 \(3, 8\) for 40 items; tokenize again"):
        run("train", files, out, SHORT)
    (out / "vectors.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"vectors.npy cannot be read .*; tokenize again"):
        run("train", files, out, SHORT)


@pytest.mark.parametrize(
    ("command", "asked", "said"),
    [
        (
            "train",
            {"objectve": "dpo"},
            "this command has no setting 'objectve'; it has dataset, seed, every, hist",
        ),
        ("train", {"scheme": "rq"}, "this command has no setting 'scheme'"),
        (
            "train",
            {"objective": "ppo"},
            "objective cannot be 'ppo'; give one of: none, dpo, s-dpo, grpo, rspo.",
        ),
        ("train", {"objective": "dpo"}, "preference learning needs a reward"),
        ("train", {"steps": "many"}, "steps cannot be 'many'; give a whole number."),
        ("train", {"steps": "0"}, "steps is 0; give a number of at least 1."),
        ("train", {"rate": "nan"}, "rate cannot be 'nan'; give a finite number."),
        ("train", {"rate": "-1"}, "rate is -1.0; give a number of at least 0."),
        ("train", {"dropout": "1"}, "dropout is 1.0; give a share below 1."),
        ("train", {"weights": "perhaps"}, "weights cannot be 'perhaps'; give true or false."),
        ("train", {"d": "10", "heads": "4"}, "4 heads do not divide d = 10"),
        ("train", {"layers": "2", "parallel": "2"}, "K = 2 leaves no layer for the autoregressive stage"),
        ("train", {"every": "-1"}, "every is -1.0; give a number of at least 0."),
        ("tokenize", {"encoder": "bert"}, "encoder cannot be 'bert'; give one of: light, minilm."),
        ("tokenize", {"scheme": "pq"}, "scheme cannot be 'pq'; give one of: rq, mr, mr.business"),
        ("tokenize", {"sizes": "8,4"}, "sizes cannot be '8,4'; give 3 values with commas between them."),
        ("tokenize", {"dataset": "movies"}, "dataset cannot be 'movies'; give one of: amazon18_office, "),
        (
            "tokenize",
            {"sizes": "300,4,4"},
            "codebook 300 is larger than the .* distinct vectors; choose at most",
        ),
        ("recommend", {"k": "0"}, "k is 0; give a number of at least 1."),
        ("recommend", {"widths": "512,512,512"}, "width 512 at level 1 exceeds its 8 codes; choose 1 to 8."),
        ("recommend", {"widths": "6,12"}, "2 widths for 3 levels; give one width a level."),
        (
            "recommend",
            {"order": "token"} | WIDTHS,
            "the order token needs a value token; train with --set bins=16",
        ),
        (
            "recommend",
            {"order": "known"} | WIDTHS,
            "the order known needs prices, which the data do not have",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_can(files, made, tmp_path, command, asked, said):
    out = copied(made, tmp_path)
    if command == "train":
        (out / "checkpoint.safetensors").unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UserError, match=said) as error:
        run(command, files, out, asked)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_sids_are_in_the_format_of_minionerec(files, made):
    items = load(Request(), files).test.items
    table = json.loads((made / "sids.index.json").read_text())
    assert list(table) == items.ids.tolist()
    assert all([token[:3] for token in sid] == ["<a_", "<b_", "<c_"] for sid in table.values())
    assert read_sids(made / "sids.index.json", items.ids.tolist()).shape == (40, 3)
