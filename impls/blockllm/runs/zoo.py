"""What the zoo's cases run: a family stored in a zoo of its own, in a temporary folder that goes afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count
from mmap import PAGESIZE
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from weakref import finalize

from remeasure.impls.common.llama import SMOLLM2_135M

from ..chain import Model
from ..family import Family, models
from ..groups import nbytes, places
from ..models.small import untrained
from ..zoo.limits import evict, limits, seconds_to_fill
from ..zoo.memory import Bytes, Place, Reserved, fresh
from ..zoo.plain import Plain
from ..zoo.store import Zoo

if TYPE_CHECKING:
    from ..questions import Moved, Stored

MB = 1e6
LATER = 4
"""Fetches after the first one; their median counts."""


def stored(config: Stored, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned inserts the chosen models into a fresh zoo and weighs it against separate copies."""
    family = models(Family(config.model), data)
    chosen = [m for name, m in family.items() if not m.parent or name.startswith(config.technique)]

    def run() -> dict[str, object]:
        with tempfile.TemporaryDirectory() as folder:
            zoo = Zoo(Path(folder))
            inserted = {model.name: zoo.insert(model) for model in chosen}
            own = {name: round(one.new_bytes / MB, 3) for name, one in inserted.items()}
            total = zoo.total_bytes
        # A technique's own bytes are those of its variants; of the whole family, all but the foundation's.
        variants = sum(
            one.new_bytes for one, model in zip(inserted.values(), chosen, strict=True) if model.parent
        )
        return {
            "zoo / monoliths": 100 * total / sum(map(separate_bytes, chosen)),
            "bytes of its own": variants / MB,
            "extras": {"MB by model": own},
        }

    return run


def separate_bytes(model: Model) -> int:
    """Bytes of a model that shares nothing: its groups and its delta, fp16."""
    delta = model.delta.tensors.values() if model.delta else ()
    added = sum(tensor.nbytes for tensors in delta for tensor in tensors.values())
    return sum(nbytes(model.config, place) for place in places(model.config)) + added


def moved(config: Moved, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned inserts the family into a zoo of its own, measures the limits there, and fetches it all.

    What is fetched comes from the disk, not from the page cache. Every fetch has a bare reading of the same files into
    memory of its own beside it, now before, now after it; so for the first fetch after an insertion there is a first
    reading, which the disk does in the same state.
    """
    family = (
        random_family() if config.model == "random" else list(models(Family(config.model), data).values())
    )
    hashed = sum(map(separate_bytes, family))  # every model whole: only its hash says what is there already
    names = [model.name for model in family]
    folder = Path(tempfile.mkdtemp(prefix="remeasure-zoo-"))
    rounds = count()

    def run() -> dict[str, object]:
        number = next(rounds)
        root = folder / str(number)
        try:
            zoo = Plain(root) if config.how == "plain" else Zoo(root)
            inserted = [zoo.insert(model) for model in family]
            seconds = sum(one.seconds for one in inserted)
            files = sorted(zoo.objects.iterdir())
            best = limits(files)
            fetch_s: list[float] = []
            read_s: list[float] = []
            for turn in range(1 + LATER):
                reading_first = (number + turn) % 2 == 1
                if reading_first:
                    read_s.append(_seconds_to_fill(files))
                fetch_s.append(_seconds_to_fetch(zoo, config.how, names, files))
                if not reading_first:
                    read_s.append(_seconds_to_fill(files))
        finally:
            _emptied(root)
        first_s, later_s = fetch_s[0], median(fetch_s[1:])
        insert = hashed / MB / seconds
        first, fetch, first_reading, later_reading = (
            best.nbytes / MB / taken for taken in (first_s, later_s, read_s[0], median(read_s[1:]))
        )
        return {
            "insert": seconds,
            "first fetch": first_s,
            "fetch": later_s,
            "insert / limit": 100 * insert / best.slower_mb_s,
            "first fetch / limit": 100 * first / best.slower_mb_s,
            "first fetch / limit of a first reading": 100 * first / best.slower_of(first_reading),
            "fetch / limit": 100 * fetch / best.slower_mb_s,
            "insert / limit, hashed by one thread": 100 * insert / best.slower_one_mb_s,
            "fetch / limit, hashed by one thread": 100 * fetch / best.slower_one_mb_s,
            "fsync": sum(one.fsync_s for one in inserted),
            "first reading": first_reading,
            "later reading": later_reading,
            "extras": {
                "insert MB/s": insert,
                "fetch MB/s": fetch,
                "disk MB/s": best.disk_mb_s,
                "SHA-256 MB/s": best.sha256_mb_s,
                "fetches, s": fetch_s,
                "readings, s": read_s,
            },
        }

    finalize(run, shutil.rmtree, folder, ignore_errors=True)
    return run


def _emptied(root: Path) -> None:
    """Give back the room of a zoo's files, but not yet the files.

    File systems look for an inode that was not given back lately; where hundreds were, a new file takes a millisecond
    instead of 0.03, and the next round would measure that.
    """
    for path in root.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            os.truncate(path, 0)


def _seconds_to_fetch(zoo: Plain | Zoo, how: str, names: list[str], files: list[Path]) -> float:
    """Wall time until all models are in memory, which comes from the disk."""
    evict(files)
    place: Place = fresh
    if how in ("reserved", "unchecked"):
        place = Reserved(_room("fetching", files))
    start = time.perf_counter()
    if isinstance(zoo, Plain):
        kept: object = zoo.fetch()
    elif how == "widened":
        kept = zoo.load(*names)
    else:
        kept = zoo.fetch(*names, check=how != "unchecked", place=place)
    seconds = time.perf_counter() - start
    del kept  # giving memory back is no part of fetching
    return seconds


def _seconds_to_fill(files: list[Path]) -> float:
    """Wall time of only reading all objects, into memory like that which models are fetched into."""
    evict(files)
    return seconds_to_fill(files, Reserved(_room("reading", files)))


def _room(use: str, files: list[Path]) -> Bytes:
    """Memory for the objects of a zoo, kept from round to round as a server keeps it."""
    return _kept(use, sum(path.stat().st_size for path in files) + len(files) * PAGESIZE)


@cache
def _kept(use: str, nbytes: int) -> Bytes:
    return fresh(nbytes, huge=True)


@cache
def random_family() -> list[Model]:
    """Random numbers as two models of eight of SmolLM2's layers, and one that has half of each."""
    config = replace(SMOLLM2_135M, layers=8, vocab=4096)
    one, other = (replace(untrained(config, seed), name=f"random {seed}") for seed in (0, 1))
    half = len(one.groups) // 2
    return [one, other, replace(one, name="both", groups=[*one.groups[:half], *other.groups[half:]])]
