"""Semantic ids in MiniOneRec's format: `{"item": ["<a_60>", "<b_159>", "<c_203>"]}`, a letter a level."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np

from remeasure.errors import UserError

TOKEN = re.compile(r"<([a-z])_(\d{1,9})>")


def read_sids(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Codes int64 [N, levels] of the items with these ids, in their order.

    Raises UserError for an item whose SID is missing, of another length than the first one's, or no SID; for an item
    that is none of these.
    """
    table = dict(read_pairs(path))
    levels = 0
    codes = []
    for item in ids:
        tokens = table.get(item)
        if not tokens:
            raise UserError(f"{path.name}: item {item} has no SID; give every item one.")
        levels = levels or len(tokens)
        if len(tokens) != levels:
            raise UserError(
                f"{path.name}: the SID of item {item} has {len(tokens)} levels, others have {levels}; "
                "give all the same number."
            )
        codes.append([_code(path, item, tokens, level) for level in range(levels)])
    known = set(ids)
    if stranger := next((item for item in table if item not in known), None):
        raise UserError(f"{path.name}: item {stranger} is not among the items; take it out or describe it.")
    return np.array(codes, dtype=np.int64)


def write_sids(path: Path, ids: Sequence[str], codes: np.ndarray) -> None:
    """Write int64 [N, levels] so that MiniOneRec and `read_sids` read it."""
    table = {item: tokens(row) for item, row in zip(ids, codes.tolist(), strict=True)}
    path.write_text(json.dumps(table), encoding="utf-8")


def tokens(codes: Sequence[int]) -> list[str]:
    """The tokens of one SID."""
    return [f"<{letter}_{code}>" for letter, code in zip(ascii_lowercase, codes, strict=False)]


def sid_strings(codes: np.ndarray) -> np.ndarray:
    """objects of str [N]: SIDs as MiniOneRec compares them, tokens joined."""
    return np.array(["".join(tokens(row)) for row in codes.tolist()], dtype=object)


def read_pairs(path: Path) -> list[tuple[str, Any]]:
    """The items of a JSON object, in order; inner objects are dicts.

    Raises UserError for a file that is missing or no JSON object, and for an item without id or id twice.
    """
    try:
        pairs = json.loads(path.read_bytes(), object_pairs_hook=_Pairs)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put it there.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} is no readable JSON ({error}); write it again.") from None
    if not isinstance(pairs, _Pairs) or not pairs:
        raise UserError(f"{path.name} holds no items; it must be a JSON object with one entry an item.")
    seen: set[str] = set()
    for place, (item, _) in enumerate(pairs, start=1):
        if not item.strip():
            raise UserError(f"{path.name}: entry {place} has no id; give every item one.")
        if item in seen:
            raise UserError(f"{path.name}: item {item} stands twice; give every item one id.")
        seen.add(item)
    return [(item, dict(content) if isinstance(content, _Pairs) else content) for item, content in pairs]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object before anything in it is lost."""


def _code(path: Path, item: str, sid: Any, level: int) -> int:
    found = TOKEN.fullmatch(sid[level]) if isinstance(sid, list) and isinstance(sid[level], str) else None
    if not found or found[1] != ascii_lowercase[level]:
        raise UserError(
            f"{path.name}: the SID of item {item} is {sid}; write it as <a_1>, <b_2>, … in a list, a letter a level."
        )
    return int(found[2])
