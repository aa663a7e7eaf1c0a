"""Which blocks there are: one case with one seed each, and which of them are finished already."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

from ..contracts import Case
from ..data.sources import DataSource, source_of
from ..declared.overrides import at_profile
from ..declared.registry import Registry, unknown
from ..records.packages import packages
from ..records.provenance import block_key, fingerprint
from ..records.record import Record
from ..records.store import Store

LOOKS = (8, 12, 18, 27)
"""Processes at which precision is looked at, and at no other number: a look after each would bias where it stops."""
MOST_PROCESSES = LOOKS[-1]


@dataclass(frozen=True)
class Block:
    """One case with one seed in one profile: plain data, so that any engine can carry it."""

    system: str
    case: str
    seed: int
    profile: str
    overrides: dict[str, Any]
    """Field → value, from `--set`."""
    data_dir: str | None
    """Folder of the user's own data; never written down."""
    rounds: int
    key: str
    """Name of its record: all that decides its numbers."""

    @property
    def id(self) -> str:
        return f"{self.system}/{self.case} seed {self.seed}"

    @property
    def command(self) -> str:
        """What to say to run it again; a folder of data stays the placeholder DIR."""
        words = ["remeasure", "run", "--system", self.system, "--case", self.case]
        words += ["--seed", str(self.seed), "--profile", self.profile]
        for name, value in self.overrides.items():
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        return shlex.join(words) + (" --set data=DIR" if self.data_dir else "")


@dataclass(frozen=True)
class Planned:
    """A block, and what is known of it before it runs."""

    block: Block
    cached: bool
    """Its record exists, so it does not run again."""
    last_seconds: float | None
    """How long a block of its case took last time."""
    timed: bool
    """It runs alone."""
    timeout_s: float
    memory_mb: float

    @property
    def asked(self) -> tuple[str, str, dict[str, Any]]:
        """The case, its profile and the fields that were set: what is loaded for it follows from these."""
        return f"{self.block.system}/{self.block.case}", self.block.profile, self.block.overrides


def plan(
    found: Registry,
    store: Store,
    *,
    profile: str,
    systems: Sequence[str] = (),
    cases: Sequence[str] = (),
    claims: Sequence[str] = (),
    tags: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_dir: str | None = None,
    serves: Callable[[Case], bool] | None = None,
) -> list[Planned]:
    """The blocks of a profile that pass every filter given; a claim stands for the case it rests on.

    serves: whether the files in `data_dir` are for a case; one that they are not for is left out. None: for all.

    The first seed of every case comes before the second of any: a run that is cut short has judged something of
    everything, and blocks side by side are of different cases, which seldom make the same intermediate results.

    Raises UserError for a name that nothing has and for a record that cannot be read.
    """
    selected = [
        case for case in select(found, systems, cases, claims, tags) if serves is None or serves(case)
    ]
    maker = Maker(found, store, profile, dict(overrides or {}), data_dir)
    planned: list[tuple[int, Planned]] = []
    for case in (case for case in selected if profile in case.profiles):
        at = case.profiles[profile]
        named = list(maker.items(case, dict.fromkeys(at.seeds if seeds is None else seeds)))
        if at.precision and seeds is None:
            # Seeds that were added for its precision, by this run before it was stopped or by an earlier one.
            named += takewhile(
                lambda item: store.has(item.block.key), maker.items(case, later_seeds(at.seeds))
            )
        planned += enumerate(named)
    if not planned and not any(profile in case.profiles for case in found.cases()):
        raise unknown("profile", profile, {name for case in found.cases() for name in case.profiles})
    return [one for _, one in sorted(planned, key=lambda one: one[0])]


@dataclass(frozen=True)
class Maker:
    """Makes the blocks of cases in one profile, with one set of fields and one source of data."""

    found: Registry
    store: Store
    profile: str
    overrides: dict[str, Any]
    data_dir: str | None
    sources: dict[tuple[str, bool], DataSource] = field(default_factory=dict)
    """Each data set is looked up once."""

    def items(self, case: Case, seeds: Iterable[int]) -> Iterator[Planned]:
        """A block a seed, made when it is asked for."""
        card = self.found.dataset(case.dataset)
        where = (card.name, case.simulated)
        if where not in self.sources:
            self.sources[where] = source_of(case, card, Path(self.data_dir) if self.data_dir else None)
        system = self.found.system(case.system)
        code, versions = fingerprint(system, card), packages(system, card)
        last = self.store.last_seconds(case.system, case.name, self.profile)
        timed = bool(case.timed) if case.isolated is None else case.isolated
        for seed in seeds:
            block = block_of(
                case, self.profile, seed, self.overrides, self.data_dir, self.sources[where], code, versions
            )
            record = self.store.usable(block.key)
            finished = record is not None and is_finished(record)
            yield Planned(block, finished, last, timed, case.timeout_s, case.memory_mb)


def later_seeds(seeds: Sequence[int]) -> Iterator[int]:
    """The seeds after a profile's own, in the order in which precision adds them."""
    return islice(count(max(seeds) + 1), max(0, MOST_PROCESSES - len(seeds)))


def select(
    found: Registry, systems: Sequence[str], cases: Sequence[str], claims: Sequence[str], tags: Sequence[str]
) -> list[Case]:
    """The cases that pass every filter given, of any profile; raises UserError for a name that nothing has."""
    chosen = [found.system(name) for name in dict.fromkeys(systems)] or list(found.systems.values())
    selected = {case.id: case for system in chosen for case in system.cases.values()}

    def full(name: str) -> str:
        return f"{systems[0]}/{name}" if len(set(systems)) == 1 and "/" not in name else name

    if cases:
        named = {found.case(full(name)).id for name in cases}
        selected = {id_: case for id_, case in selected.items() if id_ in named}
    if claims:
        pairs = [found.claim(full(name)) for name in claims]
        needed = {f"{system.name}/{claim.case}" for system, claim in pairs}
        selected = {id_: case for id_, case in selected.items() if id_ in needed}
    if tags:
        known = {tag for case in found.cases() for tag in case.tags}
        if strange := [tag for tag in tags if tag not in known]:
            raise unknown("tag", strange[0], known)
        selected = {id_: case for id_, case in selected.items() if set(tags) & set(case.tags)}
    return list(selected.values())


def block_of(
    declared: Case,
    profile: str,
    seed: int,
    overrides: Mapping[str, Any],
    data_dir: str | None,
    source: DataSource,
    code: str,
    versions: Mapping[str, str],
) -> Block:
    rounds = declared.profiles[profile].rounds
    # The published files in a folder of one's own are still one's own: reports keep the two apart.
    data = f"own {source.sha256}" if source.origin == "directory" else source.sha256
    key = block_key(
        at_profile(declared, profile, overrides),
        profile=profile,
        data_sha256=data,
        seed=seed,
        rounds=rounds,
        fingerprint=code,
        packages=versions,
    )
    return Block(declared.system, declared.name, seed, profile, dict(overrides), data_dir, rounds, key)


def is_finished(record: Record) -> bool:
    """A failure is tried again, and so is a block that a budget cut short."""
    return record.status == "ok" and not record.budget_ended
