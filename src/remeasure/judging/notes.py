"""The loud sentences of a report: what a reader must know before believing a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..contracts import Case
from ..records.record import Record
from .selection import DETERMINISTIC, NOTHING, Blocks, Chosen

NAMED = 6
"""Cases of a system that a sentence names; of more it says how many."""


def notes(
    chosen: Chosen,
    cases: Iterable[Case],
    profile: str,
    wide: Mapping[str, Sequence[str]] | None = None,
    beyond: Mapping[tuple[str, str], str] | None = None,
) -> list[str]:
    """One sentence a matter, naming the cases it is about.

    wide: case → what is wider than it wants. beyond: (system, case) → which way more seeds came in.
    """
    blocks = {case.id: (case, chosen.blocks.get((case.system, case.name), NOTHING)) for case in cases}
    found = {name: both for name, both in blocks.items() if both[1].all}

    def where(holds: Callable[[Record], bool], *, failures: bool = False) -> str:
        return _list(name for name, (_, b) in found.items() if any(map(holds, b.all if failures else b.ok)))

    sentences = []
    if named := where(lambda record: bool(record.data and record.data.kind == "simulated")):
        sentences.append(f"Simulated data: {named} ran on a declared generator, not on published data.")
    if named := where(lambda record: bool(record.data and record.data.origin == "directory")):
        sentences.append(f"Your own data: {named} ran on a folder of yours, which has no published hash.")
    if named := where(lambda record: bool(record.overrides)):
        sentences.append(f"Other settings: {named} ran with --set, not as declared.")
    if named := where(lambda record: record.budget_ended):
        sentences.append(f"The budget ended before all rounds of {named} had run.")
    if named := where(lambda record: bool(record.provenance.dirty), failures=True):
        sentences.append(f"Uncommitted changes: {named} ran from a dirty tree.")
    if named := where(lambda record: record.contract != "passed"):
        sentences.append(f"The contract tests refused {named}.")
    if named := _list(name for name, (_, b) in found.items() if b.failures):
        sentences.append(f"Failed blocks: {named}; see what failed.")
    if named := _list(name for name, (case, b) in found.items() if _one_seed(case, b)):
        sentences.append(f"One seed: {named}; whether an effect exceeds the spread of seeds is not known.")
    if named := _list(_missing(case, b, profile) for case, b in found.values()):
        sentences.append(f"Not all declared seeds are measured: {named}.")
    for way in ("--seed", "precision"):
        if named := _list("/".join(name) for name, by in (beyond or {}).items() if by == way):
            sentences.append(f"Seeds beyond the profile's, by {way}: {named}.")
    for name, parts in (wide or {}).items():
        if parts:
            sentences.append(f"Precision not reached: {name}: {'; '.join(parts)}.")
    if chosen.older_code:
        sentences.append(f"{_records(chosen.older_code)} of older code left out.")
    if chosen.other_settings:
        sentences.append(
            f"{_records(chosen.other_settings)} with other --set settings left out; "
            "name the settings to see them."
        )
    return sentences


def _one_seed(case: Case, blocks: Blocks) -> bool:
    quality = any(metric.kind == "quality" for metric in case.metrics)
    return quality and len(blocks.ok) == 1 and DETERMINISTIC not in case.tags


def _missing(case: Case, blocks: Blocks, profile: str) -> str:
    declared = set(case.profiles[profile].seeds) if profile in case.profiles else set()
    present = declared & {record.seed for record in blocks.all}
    return f"{case.id} ({len(present)} of {len(declared)})" if present != declared else ""


def _records(count: int) -> str:
    return f"{count} record{'s were' if count > 1 else ' was'}"


def _list(names: Iterable[str]) -> str:
    """Named one by one; of a system with many, only how many."""
    by_system: dict[str, list[str]] = {}
    for name in filter(None, names):
        by_system.setdefault(name.partition("/")[0], []).append(name)
    return ", ".join(
        ", ".join(cases) if len(cases) <= NAMED else f"{len(cases)} cases of {system}"
        for system, cases in by_system.items()
    )
