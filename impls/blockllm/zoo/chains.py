"""A model's chain on disk: `chains/<model>.json`, which objects it is made of, place by place.

The one file whose renaming into place makes an inserted model exist. It ends with a hash over itself, so that a changed
byte is found, as in the objects.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from remeasure.errors import UserError
from remeasure.impls.common.llama import LlamaConfig

from ..groups import Kind, Place, places

SUFFIX = ".json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+, -]{0,99}")
"""What a model may be called: it becomes a file's name."""
Hash = str


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place of a chain."""

    place: Place
    object: Hash
    """Name of the object with the tensors."""
    delta: Hash | None = None
    """Name of the object with what a delta has at this place."""

    @property
    def objects(self) -> Iterator[Hash]:
        yield self.object
        if self.delta is not None:
            yield self.delta


class Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the zoo knows of a model beside its tensors."""

    model: str
    parent: str
    """The foundation it was trained from; empty for a foundation."""
    delta: Kind | None
    """Kind of its delta, if it has one."""
    config: LlamaConfig
    steps: tuple[Step, ...]
    format: Literal[1] = 1
    sha256: Hash = ""
    """Over all that stands before it."""

    @property
    def objects(self) -> dict[Hash, Place]:
        """Every object that the model needs, with the first place that needs it."""
        found: dict[Hash, Place] = {}
        for step in self.steps:
            for name in step.objects:
                found.setdefault(name, step.place)
        return found


def encode(stored: Stored) -> bytes:
    """The file's only form."""
    unsealed = msgspec.structs.replace(stored, sha256="")
    seal = hashlib.sha256(msgspec.json.encode(unsealed)).hexdigest()
    sealed = msgspec.json.encode(msgspec.structs.replace(stored, sha256=seal))
    return msgspec.json.format(sealed, indent=1) + b"\n"


def decode(path: Path) -> Stored:
    """Read a chain's file. Raises UserError naming it where it is missing or not what was written."""
    try:
        content = path.read_bytes()
        stored = msgspec.json.decode(content, type=Stored)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; insert the model {path.stem}.") from None
    except (msgspec.MsgspecError, OSError) as error:
        raise UserError(f"{path} is no chain of this zoo ({error}); {_again(path)}.") from None
    if encode(stored) != content:
        raise UserError(f"{path} is not as it was written; {_again(path)}.")
    if path.name != stored.model + SUFFIX:
        raise UserError(f"{path} holds the chain of {stored.model}; {_again(path)}.")
    acting = any(step.delta for step in stored.steps)
    if [step.place for step in stored.steps] != places(stored.config) or acting != (stored.delta is not None):
        raise UserError(f"{path} does not list the places and the delta of its model; {_again(path)}.")
    return stored


def checked_name(model: str) -> str:
    """The name of a model, if it can be a file's name; else UserError."""
    if not NAME.fullmatch(model):
        raise UserError(
            f"{model!r} cannot name a model: begin with a letter or digit, go on with those and . _ + , - or blanks."
        )
    return model


def _again(path: Path) -> str:
    return f"delete it and insert {path.stem} again"
