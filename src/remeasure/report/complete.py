"""Whether a run is whole enough to be released."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..declared.registry import Registry
from ..errors import UserError
from ..records.record import Record
from ..running.blocks import Planned

NAMED = 6
"""Blocks of a kind that the refusal names; of more it says how many."""


def completeness(found: Registry, planned: Sequence[Planned], records: Iterable[Record]) -> str:
    """How whole the run is, in a sentence: every planned block ran to its end by code that its contract accepts.

    Cases that do not declare the profile are gaps that were declared, and are named. Raises UserError for others.
    """
    by_key = {record.key: record for record in records}
    gaps: dict[str, list[str]] = {}
    for block in (item.block for item in planned):
        if what := _gap(by_key.get(block.key)):
            gaps.setdefault(what, []).append(block.id)
    if gaps:
        said = "; ".join(f"{what}: {_few(blocks)}" for what, blocks in gaps.items())
        whole = len(planned) - sum(map(len, gaps.values()))
        raise UserError(
            f"{whole} of {len(planned)} blocks are whole ({said}); measure the rest with `remeasure run`. "
            "Nothing was released."
        )
    profile = planned[0].block.profile
    systems = sorted({item.block.system for item in planned})
    outside = sorted(
        case.id for case in found.cases() if case.system in systems and profile not in case.profiles
    )
    declared = f"; by declaration not in it: {', '.join(outside)}" if outside else ""
    return f"Complete: {len(planned)} of {len(planned)} blocks of {', '.join(systems)} in profile {profile}{declared}."


def _gap(record: Record | None) -> str:
    """Why a block is not whole; empty where it is."""
    if record is None:
        return "not run"
    if record.failure:
        return "failed"
    if record.contract != "passed":
        return "refused by its contract"
    return "cut short by the budget" if record.budget_ended else ""


def _few(blocks: Sequence[str]) -> str:
    more = len(blocks) - NAMED
    return ", ".join(blocks[:NAMED]) + (f" and {more} more" if more > 0 else "")
