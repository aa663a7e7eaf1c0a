"""What the committed release has and this run lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .judged import FigureRow, Judgement


def vanished(
    release: Mapping[str, Any],
    claims: Iterable[Judgement],
    figures: Iterable[FigureRow],
    systems: Collection[str] | None,
) -> list[str]:
    """Claims and figures that the release has and this run lacks; systems None: of all systems."""
    present = {("claim", claim.system, claim.id) for claim in claims if claim.verdict.word != "not run"}
    present |= {("figure", figure.system, figure.name) for figure in figures}
    released = [
        ("claim", claim["system"], claim["id"])
        for claim in release.get("claims", [])
        if claim["verdict"] != "not run"
    ]
    released += [("figure", figure["system"], figure["name"]) for figure in release.get("figures", [])]
    return [
        f"claim {system}/{name}" if kind == "claim" else f"figure {system}: {name}"
        for kind, system, name in released
        if (kind, system, name) not in present and (systems is None or system in systems)
    ]
