"""Documents of the corpora, read from their zip files and cleaned."""

from __future__ import annotations

import html
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from remeasure.errors import UserError

PASSAGE = 3000
"""Least characters of a passage that a book is cut into."""
LOST_BIT = {byte: bytes([byte | 0x80]).decode("cp1252") for byte in (0x05, 0x12, 0x13, 0x14, 0x16)}
"""Control characters that are punctuation of CP1252 without its eighth bit."""
INVISIBLE = (
    *(range(0x00, 0x09), range(0x0E, 0x1C), range(0x7F, 0x85), range(0x86, 0xA0), range(0xAD, 0xAE)),
    *(range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070), range(0xE000, 0xF900), (0xFEFF,)),
)
"""Control and format characters and private ones, apart from what breaks lines and words."""
CLEANED = {code: None for codes in INVISIBLE for code in codes} | LOST_BIT
TAG = re.compile(r"</?\w+>")


def speech(content: bytes) -> str:
    """UTF-8; else Big5, whose punctuation begins with 0xA1; else CP1252."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("big5" if b"\xa1" in content else "cp1252")


def swedish(content: bytes) -> str:
    """CP850, where the file has ¢ for quotation marks."""
    return content.decode("cp850").replace("¢", '"')


@dataclass(frozen=True)
class Corpus:
    """Where a tenant's documents are."""

    files: tuple[tuple[str, str], ...]
    """Zip file, and pattern of names in it."""
    decode: Callable[[bytes], str]
    cut: bool = False
    """A file is a book, cut into passages; else it is a document."""


def _genesis(language: str, decode: Callable[[bytes], str]) -> Corpus:
    return Corpus((("genesis.zip", f"genesis/{language}.txt"),), decode, cut=True)


CORPORA = {
    "movie reviews": Corpus((("movie_reviews.zip", "movie_reviews/[np]*/*.txt"),), bytes.decode),
    "speeches": Corpus(
        (("inaugural.zip", "inaugural/*.txt"), ("state_union.zip", "state_union/*.txt")), speech
    ),
    "genesis english": _genesis("english-kjv", bytes.decode),
    "genesis german": _genesis("german", lambda content: content.decode("cp1252")),
    "genesis french": _genesis("french", lambda content: content.decode("cp1252")),
    "genesis swedish": _genesis("swedish", swedish),
}


def documents(tenant: str, root: Path) -> list[str]:
    """The tenant's documents in the order of their names, cleaned, none empty.

    Raises UserError for a zip file that is missing, damaged or lacks the texts, and for a text in another encoding.
    """
    corpus = CORPORA[tenant]
    found: list[str] = []
    for archive, pattern in corpus.files:
        path = root / archive
        for name, content in _members(path, pattern):
            try:
                text = clean(corpus.decode(content))
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}: {name} is no {error.encoding} text (byte {error.start}); "
                    "say `remeasure dataset fetch nltk_corpora`."
                ) from None
            found += passages(text) if corpus.cut else [text] if text else []
    return found


def clean(text: str) -> str:
    """Without entities, tags and control characters; one blank between words, at most one empty line."""
    plain = TAG.sub("", html.unescape(text)).translate(CLEANED)
    plain = unicodedata.normalize("NFC", plain.replace("\r\n", "\n").replace("\r", "\n"))
    lines = (" ".join(line.split()) for line in plain.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def passages(text: str) -> list[str]:
    """A book as runs of whole lines, each of at least `PASSAGE` characters; the rest goes to the last one."""
    cut: list[str] = []
    held: list[str] = []
    size = 0
    for line in text.split("\n"):
        held.append(line)
        size += len(line) + 1
        if size > PASSAGE and line.endswith((".", "!", "?", '"')):
            cut.append("\n".join(held).strip())
            held, size = [], 0
    rest = "\n".join(held).strip()
    if rest and cut:
        cut[-1] += f"\n{rest}"
    return cut or ([rest] if rest else [])


def _members(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a zip file whose names fit, in the order of their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if fnmatch(name, pattern))
            if not names:
                raise UserError(
                    f"{path} holds no {pattern}; say `remeasure dataset fetch nltk_corpora`."
                ) from None
            for name in names:
                yield name, archive.read(name)
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; put it there or say `remeasure dataset fetch nltk_corpora`."
        ) from None
    # What zipfile raises for bytes that are not what they should be: also for a cipher or a method it lacks.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise UserError(
            f"{path} is no whole zip file ({error}); say `remeasure dataset fetch nltk_corpora`."
        ) from None
