"""report.md: the same data for a terminal and for GitHub. Plain tables, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..judging.coverage_table import markdown as coverage_markdown
from ..judging.judged import CaseSummary, FigureRow, Judgement, Report
from . import charts, figures, release, summary
from .behind import behind
from .numbers import NOTHING, count, short, shown, together
from .plaintext import cell, drawn, number, table
from .words import DATA, EVIDENCE, MEANINGS, ROLES, meaning


def markdown(report: Report) -> str:
    """The whole report as Markdown, ending in one line feed."""
    plain = release.with_plain_dicts(report)
    parts = [_front(plain), _forest(plain.claims)]
    titles = {row.name: row for row in plain.systems}
    for name in dict.fromkeys([*titles, *(j.system for j in plain.claims)]):
        parts += _system(plain, name)
    parts += [
        _release(plain),
        _vanished(plain),
        _noise(plain),
        _failures(plain),
        _environments(plain),
        _glossary(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _word(word: str) -> str:
    return f"{meaning(word).glyph} {word}"


def _evidence(kind: str, data: str) -> str:
    return " · ".join(part for part in (kind, data) if part) or NOTHING


def _estimate(claim: Judgement) -> str:
    return str(shown(claim.kind, claim.estimate, claim.lo, claim.hi, claim.unit))


def _claimed(claim: Judgement) -> str:
    if claim.claimed is None:
        return "sign only" if claim.kind == "difference" else NOTHING
    return shown(claim.kind, claim.claimed, unit=claim.unit).one


def _front(report: Report) -> str:
    lines = [
        f"# {summary.headline(report)}",
        "",
        f"Replication report, profile {cell(report.profile)}, {report.date}.",
    ]
    lines += [f"\n> **{cell(note)}**" for note in report.notes]
    for t in summary.tallies(report):
        lines += ["", f"**{t.title.capitalize()}: {t.held} of {t.judged} held.** " + _counts(t.words(True))]
        if t.outside:
            lines.append(f"Outside the counts: {_counts(t.words(False))}")
    if matrix := summary.evidence_matrix(report.claims):
        rows = [
            [kind, *(f"{c.held} of {c.judged}" if c.judged else NOTHING for c in row.values())]
            for kind, row in matrix.items()
        ]
        heads = ["held, by evidence", *(f"{d} data" for d in DATA)]
        lines += ["", table(heads, rows)]
    lines += ["", "Limits:", "", *(f"- {sentence}" for sentence in summary.limits(report))]
    return "\n".join(lines)


def _counts(words: Sequence[tuple[Any, int]]) -> str:
    return ", ".join(f"{n} {m.word}" for m, n in words) + "." if words else ""


def _forest(claims: Sequence[Judgement]) -> str:
    """Intervals drawn with characters: `├─●─┤` the estimate, `┃` the claimed value, `┊` no effect."""
    panels = figures.forest(claims)
    if not panels:
        return ""
    blocks = []
    for panel in panels:
        lines = [f"{panel.title} ({panel.note})"]
        width = max(len(f"{row.claim.system} {row.claim.id}") for row in panel.rows)
        for row in panel.rows:
            name = f"{row.claim.system} {row.claim.id}".ljust(width)
            judged = f"{_word(row.claim.verdict.word)}, {_evidence(row.claim.evidence, row.claim.data)}"
            lines.append(f"{name}  {drawn(row, panel.reference)}  {_estimate(row.claim)}  {judged}")
        blocks.append("\n".join(lines))
    legend = "`├─●─┤` estimate and 95 % interval, `┃` claimed value, `┊` no effect, `▸` beyond the axis"
    return "\n\n".join(["## All claims at a glance", legend, "```text\n" + "\n\n".join(blocks) + "\n```"])


def _system(report: Report, name: str) -> list[str]:
    row = next((row for row in report.systems if row.name == name), None)
    claims = [j for j in report.claims if j.system == name]
    parts = [f"## {cell(row.title if row else name)}"]
    if row:
        made = f"commit `{short(row.commit)}`, code `{short(row.fingerprint)}`, {row.date}"
        parts += [cell(row.paper), made if row.commit else "not measured in this run"]
    if claims:
        parts.append(
            table(
                ["claim", "verdict", "statement", "claimed", "estimate", "evidence", "n"],
                (
                    [
                        cell(j.id),
                        _word(j.verdict.word),
                        cell(j.statement),
                        _claimed(j),
                        number(_estimate(j)),
                        _evidence(j.evidence, j.data),
                        count(j.n) if j.n else NOTHING,
                    ]
                    for j in claims
                ),
                right=(3, 6),
            )
        )
    parts += [_claim(j) for j in claims]
    if rows := [f for f in report.figures if f.system == name]:
        parts.append("### Figures and targets")
        parts.append(
            table(
                ["figure", "value", "target", "met", "evidence", "from"],
                (
                    [
                        cell(f.name),
                        number(shown("value", f.value, f.lo, f.hi, f.unit)),
                        cell(f.target or NOTHING),
                        _met(f),
                        _evidence(f.evidence, f.data),
                        cell(", ".join(x for x in (f.case, f.arm) if x) or NOTHING),
                    ]
                    for f in rows
                ),
            )
        )
    parts += [_case(c) for c in report.cases if c.system == name]
    parts += [_tradeoff(t) for t in charts.tradeoffs([c for c in report.cases if c.system == name])]
    return parts


def _met(f: FigureRow) -> str:
    if f.invalid:
        return f"! invalid: {cell(f.invalid)}"
    return NOTHING if f.met is None else "✓ met" if f.met else "✕ missed"


def _claim(j: Judgement) -> str:
    v = j.verdict
    by = {"paper": "", "remeasure": "a finding of ours; ", "other": f"{j.source}; "}[j.by]
    lines = [
        f"### {cell(j.system)}-{cell(j.id)}: {cell(j.statement)}",
        "",
        f"**{_word(v.word)}** ({cell(by + j.where)})",
        "",
    ]
    seeds = ", ".join(
        f"{value} ({j.seeds[i]})" if len(j.seeds) == len(j.per_seed) else value
        for i, value in enumerate(together(j.kind, j.per_seed, [j.estimate, j.lo, j.hi], j.unit))
    )
    estimate = f"{_estimate(j)}, {_evidence(j.evidence, j.data)}" if j.estimate is not None else ""
    if estimate:
        lines.append(f"- estimate: {number(estimate)}")
    facts = {
        "claimed": _claimed(j) if _claimed(j) != NOTHING else "",
        "compared": f"{j.treatment} against {j.baseline}" if j.baseline else j.treatment,
        "metric": j.metric,
        "direction": v.direction,
        "size": v.size,
        "because": v.reason,
        **behind(j),
        "per process" if j.rounds else "per seed": seeds,
        "data": f"{j.data_label} ({j.data})" if j.data_label else "",
        **{str(key): _plain(value) for key, value in j.headroom.items()},
        "guards": "; ".join(f"{'✓' if g.ok else '✗'} {g.name}: {g.detail}" for g in j.guards),
        "audit of the source": j.audit,
        "method": j.how,
        "environment": short(j.environment),
        "records": ", ".join(j.records),
    }
    lines += [f"- {cell(name)}: {cell(text)}" for name, text in facts.items() if text]
    if j.data_sha256:
        lines.append(f"- data hash: `{j.data_sha256}`")
    if j.commit:
        lines.append(f"- commit: `{j.commit}`{', with uncommitted changes' if j.dirty else ''}")
    if j.command:
        lines += ["", "```sh", j.command, "```"]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return shown("value", value).one if isinstance(value, int | float) else str(value)


def _case(c: CaseSummary) -> str:
    of = f"{c.metric} ({c.unit})" if c.unit and c.unit != c.metric else c.metric
    of += f", {c.better} is better, a sample is one {c.per}"
    about = f"{of}; {_evidence(c.evidence, c.data)}, {c.data_label}"
    chart = charts.curves(c)
    heads = ["arm", "role", *([c.axis or "x"] if chart else []), "mean and 95 % interval", "n", "note"]
    rows = []
    for row in figures.staircase(c).rows:
        a = row.arm
        x = [NOTHING if a.x is None else f"{a.x:g}"] if chart else []
        note = f"**INVALID**: {cell(a.invalid)}" if a.invalid else ""
        rows.append(
            [cell(a.arm), a.role, *x, number(shown("value", a.mean, a.lo, a.hi, c.unit)), count(a.n), note]
        )
    stops = [f"{cell(s.name)}: {s.stops}." for s in (chart.series if chart else []) if s.stops]
    if chart and c.lines:
        across = [f"{cell(name)}, {shown('value', at, unit=c.unit).one}" for name, at in c.lines.items()]
        stops.append(f"Lines: {'; '.join(across)}.")
    title = f"### {cell(c.system)}/{cell(c.case)}: {cell(c.metric)}"
    return "\n\n".join(
        [title, cell(c.question), cell(about), table(heads, rows), *stops, f"```sh\n{c.command}\n```"]
    )


def _tradeoff(t: charts.Tradeoff) -> str:
    rows = [
        [
            cell(o.arm.arm),
            number(shown("value", o.price.mean, o.price.lo, o.price.hi, t.cost.unit).one),
            number(shown("value", o.arm.mean, o.arm.lo, o.arm.hi, t.gain.unit).one),
            "invalid" if o.arm.invalid else "on the front" if o.on_front else NOTHING,
        ]
        for o in t.options
    ]
    title = f"### Gain per cost: {cell(t.gain.system)}/{cell(t.gain.case)}"
    about = f"Cheapest first; {_evidence(t.gain.evidence, t.gain.data)}."
    return "\n\n".join(
        [title, about, table(["arm", cell(t.cost.metric), cell(t.gain.metric), "Pareto"], rows)]
    )


def _release(report: Report) -> str:
    comparison = release.compare(report)
    if not comparison:
        return ""
    parts = ["## This machine beside the committed release", cell(comparison.environment)]
    heads = ["number", "release", "this machine", "evidence", "change", "intervals", "verdict"]
    for name, lines in comparison.systems.items():
        rows = [
            [
                *(cell(b.what), number(b.then), number(b.now), _evidence(b.evidence, b.data)),
                *(b.change, b.overlap, _then_now(b)),
            ]
            for b in lines
        ]
        parts += [f"### {cell(name)}, then and now", table(heads, rows)]
    return "\n\n".join(parts)


def _then_now(b: release.Beside) -> str:
    if not b.now_word:
        return NOTHING
    return f"{cell(b.then_word)} → **{b.now_word}**" if b.word_changed else b.now_word


def _vanished(report: Report) -> str:
    if not report.vanished:
        return ""
    names = "\n".join(f"- {cell(name)}" for name in report.vanished)
    return f"## What vanished\n\nThe committed release has these, this run has not.\n\n{names}"


def _noise(report: Report) -> str:
    if not report.noise:
        return ""
    rows = [
        [
            cell(f"{x.system}/{x.case}"),
            x.clock,
            number(shown("ratio", x.ratio, x.lo, x.hi)),
            count(x.n),
            "✓ within" if x.ok else f"! refused: {cell(x.detail)}",
        ]
        for x in report.noise
    ]
    controls = table(["case", "clock", "A/A ratio", "processes", "guard"], rows)
    parts = ["## Noise: the same arm against itself", controls]
    if report.coverage:
        parts += ["### How often the intervals cover, simulated", coverage_markdown(report.coverage)]
    return "\n\n".join(parts)


def _failures(report: Report) -> str:
    if not report.failures:
        return "## What failed\n\nNo block failed."
    parts = ["## What failed"]
    for f in report.failures:
        parts.append(f"- {cell(f.system)}/{cell(f.case)}, seed {f.seed}, {cell(f.kind)}: {cell(f.message)}")
        if f.log_tail:
            parts.append("\n".join("      " + line for line in f.log_tail.splitlines()))
    return "\n\n".join(parts)


def _environments(report: Report) -> str:
    parts = ["## Environments"]
    for sha, env in sorted(report.environments.items()):
        facts = [
            f"- {key.replace('_', ' ')}: {cell(value)}"
            for key, value in sorted(env.items())
            if key != "packages"
        ]
        packages = ", ".join(f"{name} {version}" for name, version in sorted(env.get("packages", {}).items()))
        parts.append(
            "\n".join(
                [f"### `{short(sha)}`", "", *facts, *([f"- packages: {cell(packages)}"] if packages else [])]
            )
        )
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _glossary() -> str:
    words = [
        f"- **{_word(w)}**: {m.means}{'' if m.counted else ' Outside the counts.'}"
        for w, m in MEANINGS.items()
    ]
    evidence = [f"- **{word}**: {means}" for word, means in (EVIDENCE | DATA).items()]
    roles = [f"- **{word}**: {means}" for word, means in ROLES.items()]
    about = "In ACM's terms this is a *replication*: independently developed implementations, measured again."
    return "\n\n".join(["## Words", about, *("\n".join(part) for part in (words, evidence, roles))])
