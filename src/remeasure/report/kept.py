"""A release of some systems beside what an earlier one holds of the others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from ..judging.gather import BY, contents
from ..judging.judged import Report
from ..judging.multiplicity import chance

EARLIER = "Of the release of "


def read_report(path: Path) -> Report | None:
    """The report that was released before; None where there is none. Raises UserError for one that is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(
            f"{path} is no report ({error}); restore it from git or delete it with latest.json."
        ) from None


def with_kept(new: Report, old: Report | None) -> Report:
    """`new`, and all that `old` says of systems that `new` did not measure. What both have is new's.

    What counts words together counts all of them again.
    """
    measured = {row.name for row in new.systems if row.commit}
    kept = {row.name for row in old.systems if row.commit} - measured if old else set()
    if old is None or not kept:
        return new

    def both(part: str) -> list[Any]:
        """Rows of a part of the report, new's first."""
        return [row for row in getattr(new, part) if row.system not in kept] + [
            row for row in getattr(old, part) if row.system in kept
        ]

    # Before a system's own hash was written there was only the one of them all.
    before = [
        msgspec.structs.replace(row, generated_from=row.generated_from or old.generated_from)
        for row in old.systems
        if row.name in kept
    ]
    systems = sorted(
        [*(row for row in new.systems if row.name not in kept), *before], key=lambda row: row.name
    )
    claims = sorted(both("claims"), key=lambda claim: BY.index(claim.by))
    cases = both("cases")
    used = " ".join(row.environment for row in (*cases, *claims))
    return msgspec.structs.replace(
        new,
        generated_from=contents(systems),
        date=max(new.date, old.date),
        systems=systems,
        environments={
            sha: facts
            for sha, facts in sorted({**old.environments, **new.environments}.items())
            if sha in used or sha in new.environments
        },
        claims=claims,
        cases=cases,
        noise=both("noise"),
        failures=both("failures"),
        figures=both("figures"),
        notes=[*new.notes, *_notes(old, kept)],
        chance=chance(claims),
    )


def _notes(old: Report, kept: Iterable[str]) -> list[str]:
    """Sentences of the earlier release that name a system which is kept, and from when they are."""
    return [
        note if note.startswith(EARLIER) else f"{EARLIER}{old.date}: {note}"
        for note in old.notes
        if any(re.search(rf"\b{re.escape(name)}/|cases of {re.escape(name)}\b", note) for name in kept)
    ]
