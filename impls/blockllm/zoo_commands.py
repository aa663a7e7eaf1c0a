"""The zoo by hand: `remeasure do blockllm insert`, `list` and `verify`, each with `--set zoo=DIR`.

What a command finds goes to standard output; what is wrong is one sentence, with the exit code of bad input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remeasure.contracts import Workspace
from remeasure.errors import UserError

from .cases.models import TENANTS
from .family import LAYERS, STEPS, Family, Which, foundation, texts_of

if TYPE_CHECKING:
    from .chain import Model
    from .zoo.store import Zoo

MB = 1e6
FOLDER = "zoo"
"""Where a zoo is inside the folder that commands write to, unless it is said otherwise."""


def insert(space: Workspace, zoo: str = "", family: str = Family.model, model: str = "") -> Sequence[Path]:
    """Store a model, or all of a family, the foundation first; without a name the foundation alone.

    Raises UserError for a family or a model that there is not, and where the disk does not take it: models that were
    stored before stay, and nothing is left of that one.
    """
    from .zoo.store import Zoo

    which = _family(family)
    held = Zoo(_root(space, zoo))
    for one in _chosen(which, model, space.load("nltk_corpora", TENANTS)):
        did = held.insert(one)
        print(
            f"{one.name}: {did.new_bytes / MB:,.2f} MB new in {did.new_objects} objects, "
            f"{did.shared_bytes / MB:,.2f} MB shared; {did.seconds:.2f} s, then {did.fsync_s:.2f} s for the disk.",
            flush=True,  # the next may have to be trained first
        )
    return [held.root]


def list_models(space: Workspace, zoo: str = "") -> Sequence[Path]:
    """Print a line a model, and a last one with what the zoo saves.

    Raises UserError where there is no zoo, and for a chain or an object that is missing or cannot be read.
    """
    from .zoo.segments import zoo_footprint, zoo_segments

    held = _there(_root(space, zoo))
    names = held.models()
    needed, sizes = {name: list(held.stored(name).objects) for name in names}, _sizes(held)
    segments = zoo_segments(held)
    rows = [("model", "own MB", "shared MB", "segments", "of them shared")]
    for name in names:
        own = sum(sizes[piece][0] for piece in needed[name] if sizes[piece][1] == 1)
        shared = sum(sizes[piece][0] for piece in needed[name] if sizes[piece][1] > 1)
        common = sum(len(segment.models) > 1 for segment in segments[name])
        rows.append((name, f"{own / MB:,.2f}", f"{shared / MB:,.2f}", str(len(segments[name])), str(common)))
    _print_table(rows)
    size = zoo_footprint(held, *names)
    print(
        f"models: {len(names)}, {size.shared_bytes / MB:,.2f} MB; stored apart {size.apart_bytes / MB:,.2f} MB, "
        f"so {100 * size.saved:.1f} % are saved."
    )
    return ()


def verify(space: Workspace, zoo: str = "") -> Sequence[Path]:
    """Print that all is well; else raise a UserError with the sentence about what is wrong.

    Where several things are, the others are printed, a line each.
    """
    from .zoo.verify import verify as faults

    held = _there(_root(space, zoo))
    wrong = faults(held)
    if wrong:
        for sentence in wrong[1:]:
            print(sentence)
        others = f" It is one of {len(wrong)} things that are wrong." if len(wrong) > 1 else ""
        raise UserError(wrong[0] + others)
    objects = sum(1 for _ in held.objects.iterdir())
    print(
        f"{held.root}: all is well; every byte is as it was written (models: {len(held.models())}, objects: {objects}, "
        f"{held.total_bytes / MB:,.2f} MB)."
    )
    return ()


def _root(space: Workspace, zoo: str) -> Path:
    return Path(zoo).expanduser() if zoo else Path(space.out) / FOLDER


def _there(root: Path) -> Zoo:
    """The zoo in a folder; UserError where there is none."""
    from .zoo.store import Zoo

    held = Zoo(root)
    if not (held.objects.is_dir() and held.chains.is_dir()):
        raise UserError(
            f"{root} is no zoo; insert a model into it first, or name another with --set zoo=DIR."
        )
    return held


def _family(name: str) -> Which:
    for which in LAYERS:
        if which == name:
            return which
    raise UserError(f"there is no family {name!r}; it is one of {', '.join(LAYERS)}.")


def _chosen(which: Which, wanted: str, data: Any) -> Iterator[Model]:
    """The models that are meant, one after the other, so that each is stored before the next is trained."""
    from .models.recipes import family
    from .models.variants import variant

    base = foundation(which, data)
    recipes = family(base, texts_of(data), steps=None if which == "smollm2" else STEPS[which])
    if wanted not in ("", "all", base.name, *recipes):
        raise UserError(
            f"the family {which} has no model {wanted!r}; say all or one of {', '.join([base.name, *recipes])}."
        )
    if wanted in ("", "all", base.name):
        yield base
    for name, (recipe, text) in recipes.items():
        if wanted in ("all", name):
            yield variant(recipe, base, text, name)


def _sizes(zoo: Zoo) -> dict[str, tuple[int, int]]:
    """Of every object that a model needs: its file's bytes, and how many models need it."""
    found = {}
    for name, uses in zoo.needed().items():
        try:
            found[name] = (zoo.object_file(name).stat().st_size, len(uses))
        except OSError as error:
            raise UserError(zoo.complaint(name, error, uses)) from None
    return found


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns one under the other, the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        right = (f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=True))
        print("  ".join([f"{name:<{widths[0]}}", *right]))
