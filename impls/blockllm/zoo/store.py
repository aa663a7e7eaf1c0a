"""The block zoo on disk: every tensor group is stored once, whichever models have it.

Insertion compares a new model with what is there and writes only what differs (the paper's *lazy* partition): the
objects first, then one rename of the chain's file. A process that is killed on the way leaves a zoo that holds what
it held before, and objects that `collect` removes. Layout: `objects/<sha256>.safetensors`, `chains/<model>.json`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from remeasure.errors import UserError
from remeasure.impls.common.llama import Weights

from ..chain import Block, Chain, Model, Settings
from . import assemble, chains, objects, overlap
from .chains import Hash, Stored
from .memory import Place, Scratch, Spare, fresh
from .objects import Content
from .writing import TEMPORARY, Batch, put, wait_for_disk

P = ParamSpec("P")
T = TypeVar("T")
USES_SHOWN = 5
"""Uses of a damaged object that its sentence names before it only counts them."""


@dataclass(frozen=True)
class Inserted:
    """What one insertion did to the zoo."""

    new_bytes: int
    """By which it grew, the chain's file included; 0 for a model that was there."""
    shared_bytes: int
    """Of objects that the model needs and that were there."""
    new_objects: int
    seconds: float
    """Wall time of hashing and writing, until the kernel had all objects."""
    fsync_s: float
    """Wall time from there until the disk had them, and the chain."""


class Zoo:
    """A folder of models cut into shared objects. Several processes may use it at the same time."""

    def __init__(self, root: Path, threads: int | None = None) -> None:
        """`root` is made by the first insertion. threads: how many hash at a time; None is one for each core."""
        self.root = root
        self.objects, self.chains = root / "objects", root / "chains"
        self.threads = threads or len(os.sched_getaffinity(0))
        self._staging = Spare(objects.PIECE)

    def insert(self, model: Model) -> Inserted:
        """Store a model; a second time, and where another model has the same tensors, nothing is added.

        Raises UserError for a model that is not what its configuration says, for a name that another model has, and
        where the disk does not take it: the zoo then holds what it held before.
        """
        begun = time.perf_counter()
        parts = list(assemble.parts(model))
        path = self.chain_file(model.name)
        with self._changing(f"take {model.name}", fcntl.LOCK_SH):
            batch = Batch(self.objects, self._staging)
            try:
                content = chains.encode(assemble.to_stored(model, self._add(batch, parts)))
                there = path.exists()
                if there and path.read_bytes() != content:
                    raise UserError(
                        f"{self.root} has another model {model.name}; remove it or take another name."
                    )
                written = time.perf_counter()
                batch.commit()
                if not there:
                    put(path, content)
            finally:
                batch.abandon()
        new_bytes = sum(batch.new.values()) + (0 if there else len(content))
        seconds, fsync_s = written - begun, time.perf_counter() - written
        return Inserted(new_bytes, sum(batch.shared.values()), len(batch.new), seconds, fsync_s)

    def fetch(self, *names: str, check: bool = True, place: Place = fresh) -> dict[str, Model]:
        """Models as they were inserted, bit for bit; equal groups are the same tensors.

        check: hash them. place: gives the memory that they are read into, of a server's such as `memory.Reserved`.
        Raises UserError naming a missing or damaged object, its block and its models.
        """
        wanted = {name: self.stored(name) for name in names}
        contents = overlap.pipelined(
            self._files_of(wanted.values()),
            self._said(lambda path: objects.taken(path, place)),
            self._said(lambda path, file: objects.understood(path, file, check)),
            (self.threads, self.threads),
        )
        found = {content.name: content for content in contents.values()}
        return {name: assemble.to_model(stored, found) for name, stored in wanted.items()}

    def load(self, *names: str, check: bool = True) -> dict[str, Chain]:
        """Models ready to run, fp32; equal blocks, of all of them, are one object.

        check: hash them. Raises UserError as `fetch` does, and for a chain that cannot be executed.
        """
        wanted = {name: self.stored(name) for name in names}
        scratch = Scratch()
        files = self._files_of(wanted.values())
        contents = overlap.for_each(
            sorted(files, key=lambda path: -files[path]),  # so that no thread is left with a large one
            self._said(lambda path: assemble.widened(objects.read(path, check, scratch))),
            self.threads,
        )
        found = {content.name: content for content in contents}
        blocks: dict[str, Block] = {}
        return {name: assemble.to_chain(stored, found, blocks) for name, stored in wanted.items()}

    def remove(self, name: str) -> None:
        """Forget a model; its objects stay until `collect`. Raises UserError for one that is not here."""
        path = self.chain_file(name)
        if not path.exists():
            raise UserError(self._absent(name))
        with self._changing(f"give up {name}", fcntl.LOCK_EX):
            path.unlink(missing_ok=True)
            wait_for_disk([self.chains])

    def collect(self) -> int:
        """Remove what no model needs, and what killed insertions left; returns how many bytes that freed.

        Raises UserError where a chain cannot be read: what it needs is then not known, and nothing is removed.
        """
        if not self.root.exists():
            return 0
        freed = 0
        with self._changing("give anything up", fcntl.LOCK_EX):
            needed = self.needed()
            for path in self._files(self.objects, objects.SUFFIX):
                if path.name.removesuffix(objects.SUFFIX) not in needed:
                    freed += _unlinked(path)
            for folder in (self.objects, self.chains, self.root):
                freed += sum(map(_unlinked, self._files(folder, TEMPORARY)))
        return freed

    def models(self) -> list[str]:
        """Names of the models, sorted."""
        return [path.name.removesuffix(chains.SUFFIX) for path in self._files(self.chains, chains.SUFFIX)]

    def stored(self, name: str) -> Stored:
        """What a model is made of. Raises UserError for one that is not here, or whose chain is damaged."""
        path = self.chain_file(name)
        if not path.exists():
            raise UserError(self._absent(name))
        return chains.decode(path)

    def needed(self) -> dict[Hash, list[str]]:
        """Every object that a model needs, with its uses, such as `attn 3 of base`. Raises UserError as `stored`."""
        return uses(self.stored(model) for model in self.models())

    def readable(self) -> tuple[list[Stored], list[str]]:
        """The models whose chains can be read, and a sentence for each other one."""
        found, broken = [], []
        for model in self.models():
            try:
                found.append(self.stored(model))
            except UserError as error:
                broken.append(str(error))
        return found, broken

    @property
    def total_bytes(self) -> int:
        """Of all objects and chains, whether or not a model needs them."""
        files = self._files(self.objects, objects.SUFFIX) + self._files(self.chains, chains.SUFFIX)
        return sum(path.stat().st_size for path in files)

    def chain_file(self, model: str) -> Path:
        """Where a model's chain is kept. Raises UserError for a name that no model can have."""
        return self.chains / (chains.checked_name(model) + chains.SUFFIX)

    def object_file(self, name: Hash) -> Path:
        """Where an object is kept."""
        return self.objects / (name + objects.SUFFIX)

    def complaint(self, name: Hash, error: Exception, uses: Sequence[str]) -> str:
        """The sentence about an object that cannot be used: file, what is wrong, block and models, what to do."""
        shown = ", ".join(uses[:USES_SHOWN]) or "no model"
        more = f" and {len(uses) - USES_SHOWN} more" if len(uses) > USES_SHOWN else ""
        missing = isinstance(error, FileNotFoundError)
        return (
            f"{self.object_file(name)} is {'missing' if missing else f'damaged ({_reason(error)})'}; it is used by "
            f"{shown}{more}: {'' if missing else 'delete it and '}insert one of its models again."
        )

    def _add(self, batch: Batch, parts: Sequence[tuple[object, Weights, Settings]]) -> list[Hash]:
        """Hash a model's parts and write those that are missing, some while others are hashed; their names."""
        names: dict[int, Hash] = {}

        def missing(number: int) -> Content | None:
            _, weights, settings = parts[number]
            content = objects.described(weights, settings)
            names[number] = content.name
            return content if batch.lacks(content) else None

        sizes = {
            number: sum(t.nbytes for t in weights.values()) for number, (_, weights, _) in enumerate(parts)
        }
        overlap.pipelined(
            sizes, missing, lambda _, content: batch.write(content), (self.threads, 2 * self.threads)
        )
        return [names[number] for number in sizes]

    def _files_of(self, models: Iterable[Stored]) -> dict[Path, int]:
        """Every object of some models, once, with its bytes."""
        names = {name for stored in models for name in stored.objects}
        return {path: _size(path) for path in map(self.object_file, sorted(names))}

    def _said(self, work: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
        """The same work on an object's file, with the sentence about the object where it fails."""

        def call(path: Path, /, *given: P.args, **named: P.kwargs) -> T:
            try:
                return work(path, *given, **named)
            except (OSError, ValueError) as error:
                name = path.name.removesuffix(objects.SUFFIX)
                raise UserError(self.complaint(name, error, uses(self.readable()[0]).get(name, ()))) from None

        return call

    @contextmanager
    def _changing(self, what: str, lock: int) -> Iterator[None]:
        """Hold the zoo's lock: insertions share it, what removes files has it alone. A disk's error becomes ours."""
        try:
            for folder in (self.objects, self.chains):
                folder.mkdir(parents=True, exist_ok=True)
            with (self.root / ".lock").open("wb") as file:
                fcntl.flock(file, lock)
                yield
        except OSError as error:
            raise UserError(
                f"{self.root} does not {what} ({_reason(error)}); it holds what it held before: "
                "make room there, or choose another folder."
            ) from None

    def _absent(self, name: str) -> str:
        return f"{self.root} has no model {name}; it has {', '.join(self.models()) or 'none'}."

    @staticmethod
    def _files(folder: Path, suffix: str) -> list[Path]:
        return sorted(folder.glob(f"*{suffix}"))


def uses(models: Iterable[Stored]) -> dict[Hash, list[str]]:
    """Every object that these models need, with where they need it, such as `attn 3 of base`."""
    found: dict[Hash, list[str]] = {}
    for stored in models:
        for name, place in stored.objects.items():
            found.setdefault(name, []).append(f"{place} of {stored.model}")
    return found


def _reason(error: Exception) -> str:
    """Why a file could not be used, as a clause without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _unlinked(path: Path) -> int:
    """Remove a file; its bytes."""
    nbytes = path.stat().st_size
    path.unlink()
    return nbytes
