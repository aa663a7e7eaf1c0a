"""Looking at every byte of a zoo: the hash of each object, each chain, and that nothing is missing or foreign."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from remeasure.errors import UserError

from . import assemble, objects, overlap
from .chains import Hash
from .memory import Scratch
from .objects import Content
from .store import Zoo, uses
from .writing import TEMPORARY

OBJECT = re.compile(r"[0-9a-f]{64}\.safetensors")
CHAIN = re.compile(r".+\.json")
OTHER = re.compile(r"\.lock|objects|chains|(profile|equiv)\.parquet")
"""What lies in a zoo's folders: in objects, in chains, above them."""


def verify(zoo: Zoo) -> list[str]:
    """A sentence for each thing that is wrong, naming file, block and models; none for a sound zoo.

    What killed insertions left is not wrong: `Zoo.collect` removes it. Raises UserError where there is no zoo.
    """
    if not (zoo.objects.is_dir() and zoo.chains.is_dir()):
        raise UserError(f"{zoo.root} is no zoo; insert a model into it first.")
    wrong = [f"{path} does not belong to a zoo; move it away." for path in _foreign(zoo)]
    stored, broken = zoo.readable()
    needed = uses(stored)
    there = {
        path.name.removesuffix(objects.SUFFIX)
        for path in zoo.objects.iterdir()
        if OBJECT.fullmatch(path.name)
    }
    found = _contents(zoo, sorted(there | needed.keys()))
    contents = {name: content for name, content in found.items() if isinstance(content, Content)}
    wrong += broken
    wrong += [
        zoo.complaint(name, content, needed.get(name, ()))
        for name, content in found.items()
        if not isinstance(content, Content)
    ]
    for one in stored:
        if contents.keys() >= one.objects.keys():
            try:
                assemble.to_chain(one, contents, {})
            except UserError as error:
                wrong.append(f"{zoo.chain_file(one.model)} is wrong: {error}")
    return wrong


def _foreign(zoo: Zoo) -> Iterator[Path]:
    """Files that no zoo writes."""
    for folder, named in ((zoo.root, OTHER), (zoo.objects, OBJECT), (zoo.chains, CHAIN)):
        for path in sorted(folder.iterdir()):
            if not named.fullmatch(path.name) and path.suffix != TEMPORARY:
                yield path


def _contents(zoo: Zoo, names: list[Hash]) -> dict[Hash, Content | Exception]:
    """Each object, hashed, but with no more than the shapes of its tensors; or why it cannot be had."""
    place = Scratch()

    def read(path: Path) -> Content | Exception:
        try:
            content = objects.read(path, place=place)
            shapes = {name: tensor.to("meta") for name, tensor in content.tensors.items()}
            return replace(content, tensors=shapes)
        except (OSError, ValueError) as error:
            return error

    found = overlap.for_each([zoo.object_file(name) for name in names], read, zoo.threads)
    return dict(zip(names, found, strict=True))
