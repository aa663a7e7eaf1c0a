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
from typing import TYPE_CHECKING, Any
from weakref import finalize

from remeasure.impls.common.llama import SMOLLM2_135M

from .chain import Model
from .family import Family, models
from .groups import nbytes, places
from .models.small import untrained
from .zoo.limits import TRIES, evict, limits
from .zoo.memory import Bytes, Place, Reserved, fresh
from .zoo.plain import Plain
from .zoo.store import Zoo

if TYPE_CHECKING:
    from .cases_models import Moved, Stored

MB = 1e6


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

    What is fetched comes from the disk, not from the page cache; as often as the limits are, and the best counts too.
    """
    family = (
        random_family() if config.model == "random" else list(models(Family(config.model), data).values())
    )
    hashed = sum(map(separate_bytes, family))  # every model whole: only its hash says what is there already
    names = [model.name for model in family]
    folder = Path(tempfile.mkdtemp(prefix="remeasure-zoo-"))
    rounds = count()

    def run() -> dict[str, object]:
        root = folder / str(next(rounds))
        try:
            zoo = Plain(root) if config.how == "plain" else Zoo(root)
            inserted = [zoo.insert(model) for model in family]
            seconds = sum(one.seconds for one in inserted)
            files = sorted(zoo.objects.iterdir())
            best = limits(files)
            fetch_s = [_seconds_to_fetch(zoo, config.how, names, files) for _ in range(TRIES)]
        finally:
            _emptied(root)
        insert, fetch = hashed / MB / seconds, best.nbytes / MB / min(fetch_s)
        return {
            "insert": seconds,
            "fetch": min(fetch_s),
            "insert / limit": 100 * insert / best.slower_mb_s,
            "fetch / limit": 100 * fetch / best.slower_mb_s,
            "insert / limit, hashed by one thread": 100 * insert / best.slower_one_mb_s,
            "fetch / limit, hashed by one thread": 100 * fetch / best.slower_one_mb_s,
            "fsync": sum(one.fsync_s for one in inserted),
            "extras": {
                "insert MB/s": insert,
                "fetch MB/s": fetch,
                "first fetch MB/s": best.nbytes / MB / fetch_s[0],
                "disk MB/s": best.disk_mb_s,
                "SHA-256 MB/s": best.sha256_mb_s,
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
        place = Reserved(_room(sum(path.stat().st_size for path in files), len(files)))
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


@cache
def _room(nbytes: int, files: int) -> Bytes:
    """Memory for the objects of a zoo, kept from round to round as a server keeps it."""
    return fresh(nbytes + files * PAGESIZE, huge=True)


@cache
def random_family() -> list[Model]:
    """Random numbers as two models of eight of SmolLM2's layers, and one that has half of each."""
    config = replace(SMOLLM2_135M, layers=8, vocab=4096)
    one, other = (replace(untrained(config, seed), name=f"random {seed}") for seed in (0, 1))
    half = len(one.groups) // 2
    return [one, other, replace(one, name="both", groups=[*one.groups[:half], *other.groups[half:]])]
