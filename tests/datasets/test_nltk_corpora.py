"""Tenants' texts, real or simulated: each document in one part, cleaned, repeatable; damaged zips are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.nltk_corpora import corpora, loader
from remeasure.datasets.nltk_corpora.loader import TENANTS, Corpora, Request, Texts, load, split
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "nltk_corpora"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ, reason="no real nltk_corpora in $REMEASURE_DATA"
)
VERSES = "".join(f"Verse {n} says something of some length here, and it ends.\n" for n in range(600))


def zipped(folder: Path, archive: str, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All four zip files, small, each in its own encoding and with what has to be cleaned."""
    reviews = {
        f"movie_reviews/{kind}/cv{n}.txt": f"film {kind} {n} .\n"
        for kind in ("neg", "pos")
        for n in range(10)
    }
    reviews |= {"movie_reviews/README": "no review"}
    zipped(tmp_path, "movie_reviews.zip", {name: text.encode() for name, text in reviews.items()})
    speeches = {f"inaugural/{1800 + n}-X.txt": f"Speech {n}.".encode() for n in range(5)}
    speeches |= {
        "inaugural/2005-Bush.txt": "America’s vital interests —".encode("big5"),
        "inaugural/README": b"no",
    }
    zipped(tmp_path, "inaugural.zip", speeches)
    union = {f"state_union/{1950 + n}-Y.txt": f"Address {n}.".encode() for n in range(5)}
    zipped(tmp_path, "state_union.zip", union | {"state_union/1954-E.txt": "five ½ ¢".encode("cp1252")})
    books = {
        "english-kjv": VERSES.encode(),
        "german": VERSES.replace("Verse", "Da&szlig; Räder").encode("cp1252"),
        "french": VERSES.replace("Verse", "Été").encode("cp1252"),
        "swedish": VERSES.replace("Verse", "<spärr>År</spärr> ¢").encode("cp850"),
        "finnish": b"not read",
    }
    zipped(tmp_path, "genesis.zip", {f"genesis/{name}.txt": text for name, text in books.items()})
    return tmp_path


def parts(texts: Texts) -> tuple[tuple[str, ...], ...]:
    return texts.train, texts.valid, texts.test


def check_split(texts: Texts, whole: list[str], count: int) -> None:
    held = [document for part in parts(texts) for document in part]
    assert len(held) == count, "not so many documents as asked for"
    assert set(held) <= set(whole), "no documents of the tenant"
    assert len(set(held)) == len(held), "a document twice"
    assert min(map(len, parts(texts))) >= 1, "an empty part"
    assert abs(len(texts.valid) - count / 10) <= 1 and len(texts.valid) == len(texts.test), (
        "parts of another size"
    )


@given(count=st.integers(3, 200), asked=st.integers(0, 200), seed=st.integers(0, 2**32))
def test_a_document_is_in_one_part(count: int, asked: int, seed: int) -> None:
    whole = [f"document {n}" for n in range(count)]
    request = Request(documents=asked, seed=seed)
    if 0 < asked < 3 or asked > count:
        with pytest.raises(UserError, match="documents"):
            split("speeches", whole, request)
        return
    check_split(split("speeches", whole, request), whole, asked or count)


MUTANTS: dict[str, Callable[[Texts], Texts]] = {
    "a document twice": lambda texts: replace(texts, test=(texts.train[0], *texts.test[1:])),
    "an empty part": lambda texts: replace(texts, train=texts.train + texts.valid, valid=()),
    "no documents of the tenant": lambda texts: replace(texts, valid=("another", *texts.valid[1:])),
    "not so many documents as asked for": lambda texts: replace(texts, train=texts.train[1:]),
    "parts of another size": lambda texts: replace(
        texts, train=texts.train[5:], test=texts.test + texts.train[:5]
    ),
}


@pytest.mark.parametrize("fault", MUTANTS)
def test_the_check_finds_a_wrong_split(fault: str) -> None:
    whole = [f"document {n}" for n in range(40)]
    texts = split("speeches", whole, Request())
    check_split(texts, whole, 40)
    with pytest.raises(AssertionError, match=fault):
        check_split(MUTANTS[fault](texts), whole, 40)


def check_cleaned(data: Corpora) -> None:
    for tenant, texts in data.texts.items():
        for document in (document for part in parts(texts) for document in part):
            odd = {c for c in set(document) if c != "\n" and unicodedata.category(c)[0] == "C"}
            assert not odd, f"control characters in {tenant}"
            assert document and document == document.strip(), "blanks around"
            assert "  " not in document and " \n" not in document and "\n\n\n" not in document, (
                "blanks in rows"
            )
            assert "&szlig;" not in document and "<sp" not in document, "marks of another format"


def test_texts_come_cleaned_from_their_encodings(folder: Path) -> None:
    data = load(Request(), folder)
    assert tuple(data.texts) == TENANTS and not data.simulated
    check_cleaned(data)
    joined = {
        name: "\n".join(map(texts.joined, ("train", "valid", "test"))) for name, texts in data.texts.items()
    }
    assert "film neg 3 ." in joined["movie reviews"] and "film pos 9 ." in joined["movie reviews"]
    assert "America’s vital interests —" in joined["speeches"] and "five ½ ¢" in joined["speeches"]
    assert "Speech 4." in joined["speeches"] and "Address 4." in joined["speeches"]
    assert "Daß Räder 7 says" in joined["genesis german"]
    assert "Été 7 says" in joined["genesis french"]
    assert 'År " 7 says' in joined["genesis swedish"]
    assert not any("not read" in text or "no review" in text for text in joined.values())
    sizes = {name: sum(map(len, parts(texts))) for name, texts in data.texts.items()}
    assert (sizes["movie reviews"], sizes["speeches"]) == (20, 12)


def test_control_characters_become_what_they_were() -> None:
    assert corpora.clean(
        "today\x12s \x13movies\x14 \x16 and so on\x05\r\n\r\n\r\n\r\nend\x00\x7f \u00ad.\t"
    ) == ("today’s “movies” – and so on…\n\nend .")


def test_the_check_of_cleaning_finds_texts_as_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "clean", lambda text: text)
    with pytest.raises(AssertionError):
        check_cleaned(load(Request(), folder))


@given(st.lists(st.text(st.characters(categories=["L", "P"]), max_size=400), max_size=60))
def test_passages_are_the_book_in_order(lines: list[str]) -> None:
    text = "\n".join(line + "." for line in lines).strip()
    cut = corpora.passages(text)
    assert "\n".join(cut) == text
    assert all(len(passage) >= corpora.PASSAGE for passage in cut[:-1])


@pytest.mark.parametrize("real", [True, False])
def test_the_same_request_gives_the_same_texts_and_who_else_is_asked_for_changes_none(
    folder: Path, real: bool
) -> None:
    root = folder if real else None
    data = load(Request(documents=8), root)
    assert data == load(Request(documents=8), root) and data.simulated is not real
    assert data.texts != load(Request(documents=8, seed=1), root).texts
    alone = load(Request(("genesis german",), documents=8), root)
    assert alone.texts == {"genesis german": data.texts["genesis german"]}
    check_cleaned(data)


def test_simulated_tenants_have_words_of_their_own() -> None:
    data = load(Request(), None)
    words = {
        name: set(texts.joined("train").lower().replace(".", "").split())
        for name, texts in data.texts.items()
    }
    for name, texts in data.texts.items():
        check_split(texts, [d for part in parts(texts) for d in part], loader.SIMULATED_DOCUMENTS)
        new = set(texts.joined("test").lower().replace(".", "").split()) - words[name]
        assert len(new) < 0.05 * len(words[name])
        for other in set(words) - {name}:
            assert len(words[name] & words[other]) < 0.5 * len(words[name])


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request(("poems",)), "no tenant 'poems' in nltk_corpora; it has movie reviews, speeches"),
        (Request(()), "at least one tenant"),
        (Request(documents=2), "at least one tenant and 3 documents"),
        (Request(documents=-1), "at least one tenant and 3 documents"),
        (Request(("speeches",), documents=13), "speeches has 12 documents, 13 are needed"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(folder: Path, request_: Request, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load(request_, folder)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def one_byte_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, r"genesis\.zip does not exist; put it there or say"),
    "no zip": (lambda path: path.write_text("x") and None, r"genesis\.zip is no whole zip file \("),
    "cut": (cut_short, r"genesis\.zip is no whole zip file \("),
    "byte": (one_byte_changed, r"genesis\.zip is no whole zip file \("),
    "other files": (
        lambda path: zipped(path.parent, path.name, {"a.txt": b"a"}),
        r"genesis\.zip holds no genesis/english-kjv\.txt",
    ),
    "encoding": (
        lambda path: zipped(path.parent, path.name, {"genesis/english-kjv.txt": b"ab\xff"}),
        r"genesis/english-kjv\.txt is no utf-8 text \(byte 2\)",
    ),
    "too little": (
        lambda path: zipped(path.parent, path.name, {"genesis/english-kjv.txt": b"short."}),
        "genesis english has 1 documents, 3 are needed",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_zip_is_refused_in_one_sentence(folder: Path, damage: str) -> None:
    harm, sentence = DAMAGE[damage]
    harm(folder / "genesis.zip")
    with pytest.raises(UserError, match=sentence) as refusal:
        load(Request(("genesis english",)), folder)
    assert "\n" not in str(refusal.value)


def test_asking_for_texts_loads_nothing_heavy() -> None:
    code = "import sys; from remeasure.datasets.nltk_corpora.loader import Request; Request(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pandas"} & set(done.stdout.split())


@needs_real
def test_the_published_files_make_six_cleaned_tenants() -> None:
    data = load(Request(), REAL)
    check_cleaned(data)
    sizes = {name: sum(map(len, parts(texts))) for name, texts in data.texts.items()}
    assert sizes == {
        "movie reviews": 2000, "speeches": 124,
        "genesis english": 63, "genesis german": 63, "genesis french": 62, "genesis swedish": 61,
    }  # fmt: skip
    for name, texts in data.texts.items():
        check_split(texts, [d for part in parts(texts) for d in part], sizes[name])
        assert len(texts.joined("train")) > 150_000
    letters = {name: set(texts.joined("train")) for name, texts in data.texts.items()}
    assert {"ß", "ü"} <= letters["genesis german"] and {"é", "ç"} <= letters["genesis french"]
    assert {"å", "ä", "ö"} <= letters["genesis swedish"] and "¢" not in letters["genesis swedish"]
    assert not {"¡", "¦", "§"} & letters["speeches"]
