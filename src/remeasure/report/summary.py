"""What page one says: how many claims held, on what evidence, and what the run cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..judging.judged import Chance, Judgement, Report
from .words import DATA, EVIDENCE, MEANINGS, SOURCES, Meaning, meaning


@dataclass(frozen=True)
class Tally:
    """The verdicts of one kind of source."""

    by: str
    title: str
    counts: dict[str, int]
    """Verdict word → claims, in the order of the glossary, zeros left out."""

    @property
    def judged(self) -> int:
        return sum(n for word, n in self.counts.items() if meaning(word).counted)

    @property
    def held(self) -> int:
        return sum(n for word, n in self.counts.items() if meaning(word).held)

    @property
    def outside(self) -> int:
        return sum(self.counts.values()) - self.judged

    def words(self, counted: bool) -> list[tuple[Meaning, int]]:
        """The words that occur, inside or outside the counts."""
        return [(meaning(w), n) for w, n in self.counts.items() if meaning(w).counted == counted]


def tallies(report: Report) -> list[Tally]:
    """One tally a kind of source: the papers first, then findings of ours, then other sources."""
    return [tally(by, report.claims) for by in SOURCES if any(j.by == by for j in report.claims)]


def tally(by: str, claims: Sequence[Judgement]) -> Tally:
    seen = Counter(j.verdict.word for j in claims if j.by == by)
    known = {word: seen[word] for word in MEANINGS if seen[word]}  # type: ignore[index]
    return Tally(by, SOURCES[by][1], known)


@dataclass(frozen=True)
class Cell:
    held: int
    judged: int


def evidence_matrix(claims: Sequence[Judgement]) -> dict[str, dict[str, Cell]]:
    """evidence → data → how many judged claims rest on it, of every source; rows without any are left out."""
    judged = [j for j in claims if meaning(j.verdict.word).counted]
    rows = {
        e: {d: _cell([j for j in judged if (j.evidence, j.data) == (e, d)]) for d in DATA} for e in EVIDENCE
    }
    return {e: row for e, row in rows.items() if any(cell.judged for cell in row.values())}


def _cell(claims: list[Judgement]) -> Cell:
    return Cell(sum(meaning(j.verdict.word).held for j in claims), len(claims))


def headline(report: Report) -> str:
    """The first sentence: what held of what the papers claim."""
    papers = tally("paper", report.claims)
    if not papers.judged:
        return "No claim of a paper was judged in this run"
    return f"{papers.held} of {papers.judged} judged claims of the papers held"


def limits(report: Report) -> list[str]:
    """What a reader must know before quoting anything, computed from the run."""
    words = Counter(j.verdict.word for j in report.claims)
    judged = sum(n for word, n in words.items() if meaning(word).counted)
    said = []
    if n := words["not testable here"]:
        said.append(f"{_claims(n)} cannot be tested here. Each says why.")
    if n := words["shown, not judged"]:
        said.append(f"{_claims(n)} about data ran on simulated data, and so {_is(n)} shown, not judged.")
    if n := words["calibrated"]:
        said.append(f"{_claims(n)} {_is(n)} an input of the model that computes it: calibrated, not judged.")
    if n := words["not run"]:
        said.append(f"{_claims(n)} {_is(n)} without a record in this run.")
    evidence = {j.evidence for j in report.claims} | {c.evidence for c in report.cases}
    if "modelled" in evidence:
        said.append("Modelled numbers come from a calibrated model, never from hardware of the paper's size.")
    if "scaled" in evidence:
        said.append("Scaled numbers ran here at a smaller size than the paper's.")
    if judged:
        said.append(
            f"{_claims(judged)} {_was(judged)} judged at 95 %; words are not corrected for their number."
        )
    if report.chance and report.chance.tested:
        said.append(_together(report.chance))
    if len(report.environments) == 1:
        said.append(
            "Everything ran on one machine. Absolute times are information; ratios are what is judged."
        )
    elif report.environments:
        said.append(f"The records come from {len(report.environments)} environments; no ratio mixes two.")
    if n := len(report.failures):
        said.append(
            f"{n} {'block' if n == 1 else 'blocks'} failed; {'it is' if n == 1 else 'they are'} listed."
        )
    return said


def _together(chance: Chance) -> str:
    """All words at once."""
    left = (
        f" {chance.left_out} have no test: values, properties, ranges, exact numbers."
        if chance.left_out
        else ""
    )
    return (
        f"Of {chance.tested} tested words about {chance.expected_wrong:.1f} would be wrong by chance; "
        f"{chance.significant} find an effect, and {chance.survive} of them survive Benjamini and Hochberg's "
        f"procedure.{left}"
    )


def _claims(n: int) -> str:
    return f"{n} claim" if n == 1 else f"{n} claims"


def _is(n: int) -> str:
    return "is" if n == 1 else "are"


def _was(n: int) -> str:
    return "was" if n == 1 else "were"
