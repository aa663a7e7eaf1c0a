"""Which blocks there are: one case with one seed each, and which of them are finished already."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import Case
from ..data.sources import DataSource, source_of
from ..declared.overrides import at_profile
from ..declared.registry import Registry, unknown
from ..records.provenance import block_key, fingerprint
from ..records.store import Store


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
        for field, value in self.overrides.items():
            words += ["--set", f"{field}={value if isinstance(value, str) else json.dumps(value)}"]
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
    sources: dict[tuple[str, bool], DataSource] = {}
    planned: list[tuple[int, Planned]] = []
    for case in (case for case in selected if profile in case.profiles):
        card = found.dataset(case.dataset)
        where = (card.name, case.simulated)
        if where not in sources:
            sources[where] = source_of(case, card, Path(data_dir) if data_dir else None)
        code = fingerprint(found.system(case.system), card)
        last = store.last_seconds(case.system, case.name, profile)
        for nth, seed in enumerate(dict.fromkeys(case.profiles[profile].seeds if seeds is None else seeds)):
            block = block_of(case, profile, seed, overrides or {}, data_dir, sources[where], code)
            timed = bool(case.timed) if case.isolated is None else case.isolated
            finished = _is_finished(store, block)
            planned.append((nth, Planned(block, finished, last, timed, case.timeout_s, case.memory_mb)))
    if not planned and not any(profile in case.profiles for case in found.cases()):
        raise unknown("profile", profile, {name for case in found.cases() for name in case.profiles})
    return [one for _, one in sorted(planned, key=lambda one: one[0])]


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
    )
    return Block(declared.system, declared.name, seed, profile, dict(overrides), data_dir, rounds, key)


def _is_finished(store: Store, block: Block) -> bool:
    """A failure is tried again, and so is a block that a budget cut short."""
    if not store.has(block.key):
        return False
    record = store.read(block.key)
    return record.status == "ok" and not record.budget_ended
