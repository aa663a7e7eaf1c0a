"""Segments: the longest runs of groups that the same models share, which is what the paper calls a block.

A view that is computed from the chains whenever it is wanted, so that a model that differs inside a segment splits it
without any file being changed: only how groups are taken together changes, no chain's content.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .store import Zoo


@dataclass(frozen=True)
class Segment:
    """Groups that follow each other in every model that has one of them."""

    groups: tuple[Hashable, ...]
    """In the order of execution."""
    models: tuple[str, ...]
    """Those that share it, sorted."""


def segments(chains: Mapping[str, Sequence[Hashable]]) -> dict[str, list[Segment]]:
    """Cut every model's chain of groups into segments; put together they are the chain again.

    A group is whatever stands for it: equal ones are the same. Models that share a segment get equal ones. A group
    that some chain has twice is a segment of its own: what follows it there is not one thing.
    """
    owners: dict[Hashable, set[str]] = {}
    after: dict[tuple[Hashable, Hashable], set[str]] = {}
    repeated: set[Hashable] = set()
    for model, chain in chains.items():
        seen: set[Hashable] = set()
        for group in chain:
            owners.setdefault(group, set()).add(model)
            if group in seen:
                repeated.add(group)
            seen.add(group)
        for pair in pairwise(chain):
            after.setdefault(pair, set()).add(model)

    def together(first: Hashable, second: Hashable) -> bool:
        same = owners[first] == owners[second] == after[first, second]
        return same and not repeated & {first, second}

    cut: dict[str, list[Segment]] = {}
    for model, chain in chains.items():
        runs: list[list[Hashable]] = []
        for group in chain:
            if runs and together(runs[-1][-1], group):
                runs[-1].append(group)
            else:
                runs.append([group])
        cut[model] = [Segment(tuple(run), tuple(sorted(owners[run[0]]))) for run in runs]
    return cut


@dataclass(frozen=True)
class Footprint:
    """What some models take, stored apart and stored with equal groups once; the paper's smaller footprint."""

    apart_bytes: int
    shared_bytes: int

    @property
    def saved(self) -> float:
        """Share of the bytes that sharing saves, 0 to 1."""
        return 1 - self.shared_bytes / self.apart_bytes if self.apart_bytes else 0.0


def footprint(chains: Mapping[str, Sequence[Hashable]], nbytes: Mapping[Hashable, int]) -> Footprint:
    """Of models, each a list of what it is made of, from the bytes of each piece."""
    apart = sum(nbytes[piece] for chain in chains.values() for piece in chain)
    return Footprint(apart, sum(nbytes[piece] for piece in {p for chain in chains.values() for p in chain}))


def zoo_segments(zoo: Zoo) -> dict[str, list[Segment]]:
    """The segments of a zoo's models; a group is its place and object, deltas are beside them."""
    stored = {name: zoo.stored(name) for name in zoo.models()}
    return segments({name: [(s.place, s.object) for s in one.steps] for name, one in stored.items()})


def zoo_footprint(zoo: Zoo, *names: str) -> Footprint:
    """Of some of a zoo's models with their deltas, by the bytes of the objects' files."""
    made_of = {
        name: [piece for step in zoo.stored(name).steps for piece in step.objects]
        for name in dict.fromkeys(names)
    }
    pieces = {piece for chain in made_of.values() for piece in chain}
    return footprint(made_of, {piece: zoo.object_file(piece).stat().st_size for piece in pieces})
