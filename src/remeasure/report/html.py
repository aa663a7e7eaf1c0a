"""index.html: one file that needs nothing else, drawn by the templates from the Report."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import groupby
from math import isfinite
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..judging.allowed import BIAS_ALLOWED
from ..judging.judged import CaseSummary, Report
from ..package import PACKAGE
from . import behind, charts, figures, numbers, release, summary, words

_HERE = PACKAGE / "report"
_ARXIV = re.compile(r"arXiv[:\s]\s*(\d{4}\.\d{4,5}(?:v\d+)?)")


def page(report: Report) -> str:
    """The whole page."""
    plain = release.with_plain_dicts(report)
    systems = list(dict.fromkeys([s.name for s in report.systems] + [j.system for j in report.claims]))
    context: dict[str, Any] = {
        "report": plain,
        "rows": {row.name: row for row in report.systems},
        "systems": systems,
        "claims": {name: [j for j in report.claims if j.system == name] for name in systems},
        "cases": {name: cases(report, name) for name in systems},
        "figures_of": {name: [f for f in report.figures if f.system == name] for name in systems},
        "known": {(c.system, c.case) for c in report.cases},
        "tallies": summary.tallies(report),
        "matrix": summary.evidence_matrix(report.claims),
        "headline": summary.headline(report),
        "limits": summary.limits(report),
        "behind": behind.behind,
        "bias": BIAS_ALLOWED,
        "bounds": behind.BOUNDS,
        "coverage": report.coverage,
        "comparison": release.compare(plain),
        "style": Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        "script": Markup((_HERE / "script.js").read_text(encoding="utf-8")),
    }
    text = _templates().get_template("page.html.j2").render(context)
    return re.sub(r"\n\s*\n+", "\n", text) + "\n"


def cases(report: Report, system: str) -> list[list[CaseSummary]]:
    """The cases of a system in their order, each with all its metrics."""
    mine = [c for c in report.cases if c.system == system]
    names = list(dict.fromkeys(c.case for c in mine))
    mine.sort(key=lambda c: names.index(c.case))
    return [list(group) for _, group in groupby(mine, key=lambda c: c.case)]


def anchor(*parts: str) -> str:
    """An id that links can use: `opdai`, `O3` → `opdai-O3`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts))


def with_links(text: str) -> Markup:
    """The text with arXiv numbers as links; everything else escaped."""
    link = r'<a href="https://arxiv.org/abs/\1">\g<0></a>'
    return Markup(_ARXIV.sub(link, str(escape(text))))


def as_json(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), sort_keys=True, ensure_ascii=False, indent=1)


def sort_key(value: float | None) -> str:
    """What the script sorts a number by; empty where there is none."""
    return repr(value) if value is not None and isfinite(value) else ""


def flat(value: Any) -> str:
    """A nested value in one line of words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {flat(value[key])}" for key in sorted(value))
    return "; ".join(map(flat, value)) if isinstance(value, list) else str(value)


@cache
def _templates() -> Environment:
    loaded = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loaded.globals.update(
        anchor=anchor,
        shown=numbers.shown,
        amount=numbers.amount,
        together=numbers.together,
        meaning=words.meaning,
        MEANINGS=words.MEANINGS,
        EVIDENCE=words.EVIDENCE,
        DATA=words.DATA,
        ROLES=words.ROLES,
        SOURCES=words.SOURCES,
        forest=figures.forest,
        undrawn=figures.undrawn,
        claim_panel=figures.claim_panel,
        staircase=figures.staircase,
        cloud=charts.cloud,
        curves=charts.curves,
        tradeoffs=charts.tradeoffs,
        noise_panel=figures.noise_panel,
        spoken=figures.spoken,
    )
    loaded.filters.update(
        count=numbers.count, short=numbers.short, links=with_links, pretty=as_json, flat=flat, key=sort_key
    )
    return loaded
