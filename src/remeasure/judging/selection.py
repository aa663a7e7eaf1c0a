"""Which records a report is about: the asked cases and claims, one block a seed, all from the same code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contracts import Case
from ..declared.claims import Claim
from ..records.record import Record

DETERMINISTIC = "deterministic"
"""Tag of a case that gives the same numbers with every seed, so that one seed is enough."""
Fingerprint = Callable[[str, str], str]
"""(system, case) → hash of the code as it is now; empty where it is not known."""


@dataclass(frozen=True)
class Selection:
    """What was asked for; empty means everything."""

    systems: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    """`system/case`, or the case's name alone."""
    claims: tuple[str, ...] = ()
    """`system/claim`, or the claim's id alone."""
    tags: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    """What `--set` replaced, `data` (one's own directory) included: such records are reported apart."""

    @classmethod
    def of(cls, asked: Mapping[str, Any] | None) -> Selection:
        """From plain JSON types; missing keys select everything."""
        asked = asked or {}
        seeds = asked.get("seeds")
        return cls(
            systems=tuple(asked.get("systems") or ()),
            cases=tuple(asked.get("cases") or ()),
            claims=tuple(asked.get("claims") or ()),
            tags=tuple(asked.get("tags") or ()),
            seeds=tuple(seeds) if seeds else None,
            overrides=dict(asked.get("overrides") or {}),
        )

    @property
    def partial(self) -> bool:
        """Whether only a part of a system was asked for."""
        return bool(self.cases or self.claims or self.tags or self.seeds or self.overrides)

    def wants_system(self, system: str) -> bool:
        named = {name.split("/")[0] for name in (*self.cases, *self.claims) if "/" in name}
        unqualified = any("/" not in name for name in (*self.cases, *self.claims))
        return (not self.systems or system in self.systems) and (not named or unqualified or system in named)

    def wants_case(self, case: Case, claims: Iterable[Claim]) -> bool:
        """claims: those of the case's system."""
        return (
            self.wants_system(case.system)
            and (not self.cases or _named(self.cases, case.system, case.name))
            and (not self.tags or bool(set(self.tags) & set(case.tags)))
            and (
                not self.claims
                or any(
                    claim.case == case.name and _named(self.claims, case.system, claim.id) for claim in claims
                )
            )
        )

    def wants_claim(self, system: str, claim: Claim, case: Case | None) -> bool:
        """case: the one that the claim names, if it names one."""
        if not self.wants_system(system) or (self.claims and not _named(self.claims, system, claim.id)):
            return False
        if case is None:
            return not self.cases and not self.tags
        return (not self.cases or _named(self.cases, system, case.name)) and (
            not self.tags or bool(set(self.tags) & set(case.tags))
        )


@dataclass(frozen=True)
class Blocks:
    """The blocks of one case that a report is about, one a seed, in the order of seeds."""

    ok: tuple[Record, ...]
    failures: tuple[Record, ...]

    @property
    def all(self) -> tuple[Record, ...]:
        return self.ok + self.failures


NOTHING = Blocks((), ())


@dataclass(frozen=True)
class Chosen:
    blocks: dict[tuple[str, str], Blocks]
    """By (system, case)."""
    other_settings: int
    """Records left out because `--set` made them something else than what was asked for."""
    older_code: int
    """Records left out because newer ones were measured by other code."""


def choose(records: Iterable[Record], profile: str, selection: Selection, fingerprint: Fingerprint) -> Chosen:
    """For every case and seed the newest record, of one state of the code: today's if it was measured."""
    same_profile = [record for record in records if record.profile == profile]
    asked = [record for record in same_profile if _settings(record) == _strings(selection.overrides)]
    by_case: dict[tuple[str, str], list[Record]] = {}
    for record in asked:
        if selection.seeds is None or record.seed in selection.seeds:
            by_case.setdefault((record.system, record.case), []).append(record)
    blocks, older = {}, 0
    for name, found in sorted(by_case.items()):
        found.sort(key=lambda record: (record.provenance.started, record.key))
        known = {record.provenance.fingerprint for record in found}
        current = fingerprint(*name) if len(known) > 1 else ""
        wanted = current if current in known else found[-1].provenance.fingerprint
        newest = {record.seed: record for record in found if record.provenance.fingerprint == wanted}
        older += sum(record.provenance.fingerprint != wanted for record in found)
        in_order = [newest[seed] for seed in sorted(newest)]
        blocks[name] = Blocks(
            ok=tuple(record for record in in_order if record.status == "ok"),
            failures=tuple(record for record in in_order if record.status == "failure"),
        )
    return Chosen(blocks, len(same_profile) - len(asked), older)


def _settings(record: Record) -> dict[str, str]:
    """What `--set` made of a record; a path is never recorded, so one's own directory is just `data`."""
    # A failed block has no data to look at, but its command says where they were to come from.
    own = bool(record.data and record.data.origin == "directory") or "data=DIR" in record.provenance.command
    return _strings({**record.overrides, **({"data": ""} if own else {})})


def _strings(settings: Mapping[str, Any]) -> dict[str, str]:
    return {key: "" if key == "data" else str(value) for key, value in settings.items()}


def _named(names: Iterable[str], system: str, name: str) -> bool:
    return name in names or f"{system}/{name}" in names
