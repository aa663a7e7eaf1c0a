"""`--fail-on contradicted,invalid`: which verdicts a caller, say a CI job, wants to stop at."""

from __future__ import annotations

from typing import get_args

from ..errors import UserError


def parse(text: str | None) -> frozenset[str]:
    """Verdict words from their short forms; raises UserError for one that no verdict has.

    A short form is the word with hyphens, or its first word where that is enough (`invalid`).
    """
    if text is None:
        return frozenset()
    short = _short_forms()
    chosen = [part.strip().lower().replace(" ", "-") for part in text.split(",") if part.strip()]
    unknown = [part for part in chosen if part not in short]
    if unknown or not chosen:
        raise UserError(
            f"--fail-on {text!r} names no verdict; choose from {', '.join(sorted(set(_slugs())))}."
        )
    return frozenset(short[part] for part in chosen)


def _slugs() -> dict[str, str]:
    from ..judging.judged import Word

    return {word.replace(",", "").replace(" ", "-"): word for word in get_args(Word)}


def _short_forms() -> dict[str, str]:
    slugs = _slugs()
    first = [slug.split("-")[0] for slug in slugs]
    short = {slug.split("-")[0]: word for slug, word in slugs.items() if first.count(slug.split("-")[0]) == 1}
    return {**short, **slugs}
