"""What the zoo's cases run: a family stored in a zoo of its own, in a temporary folder that goes afterwards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .chain import Model
from .family import Family, models
from .groups import nbytes, places
from .zoo.limits import Limits, evict, limits
from .zoo.store import Inserted, Zoo

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
    """What is returned inserts the family into a fresh zoo, or loads it past the page cache, against the limit.

    Making the zoo, putting it out of the page cache and measuring the limits are done before.
    """
    family = list(models(Family(config.model), data).values())
    folder = tempfile.TemporaryDirectory()
    zoo = Zoo(Path(folder.name))
    reference = _limits(config.model, tuple(family))

    def run() -> dict[str, object]:
        with folder:
            if config.what == "insert":
                found = [zoo.insert(model) for model in family]
                return _against(_hashed(family), sum(one.seconds for one in found), reference, found)
            start = time.perf_counter()
            zoo.load(*[model.name for model in family], check=config.what == "load")
            return _against(zoo.total_bytes, time.perf_counter() - start, reference)

    if config.what != "insert":
        for model in family:
            zoo.insert(model)
        evict(zoo.objects.iterdir())
    return run


def _hashed(family: Iterable[Model]) -> int:
    """Bytes that inserting a family hashes: every model whole, for only its hash says what is there already."""
    return sum(map(separate_bytes, family))


def _against(
    nbytes: int, seconds: float, reference: Limits, inserted: Iterable[Inserted] = ()
) -> dict[str, object]:
    speed = nbytes / MB / seconds
    return {
        "speed": speed,
        "speed / limit": 100 * speed / reference.slower_mb_s,
        "fsync": sum(one.fsync_s for one in inserted),
        "extras": {"disk MB/s": reference.disk_mb_s, "SHA-256 MB/s": reference.sha256_mb_s},
    }


@cache
def _limits(name: str, family: tuple[Model, ...]) -> Limits:
    """The machine's limits, on the family's own objects."""
    with tempfile.TemporaryDirectory() as folder:
        zoo = Zoo(Path(folder))
        for model in family:
            zoo.insert(model)
        return limits(sorted(zoo.objects.iterdir()))
