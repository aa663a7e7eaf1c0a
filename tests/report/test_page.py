"""What index.html and report.md say, read from their text."""

from __future__ import annotations

import math
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pytest

from remeasure.judging.judged import Report, Verdict
from remeasure.report.html import page
from remeasure.report.markdown import markdown
from remeasure.report.words import MEANINGS
from report.regenerate import HERE
from report.sample import sample
from report.sample_cases import CASES
from report.sample_claims import CLAIMS

EVIL = '<script>alert("x")</script> & | `y` [z](http://w)'


class Seen(HTMLParser):
    """Everything of a page that the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.resources: list[str] = []
        self.links: list[str] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.tallies: dict[str, tuple[int, int]] = {}
        self._by = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.tags[tag] += 1
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given.get("href", ""))
        else:
            self.resources += [
                given[name] for name in ("src", "href", "xlink:href", "srcset", "data") if name in given
            ]
        if "data-by" in given:
            self._by = given["data-by"]
            self.tallies[self._by] = (int(given["data-held"]), int(given["data-judged"]))
        if "data-word" in given:
            self.counts[self._by, given["data-word"]] = int(given["data-count"])


@pytest.fixture(scope="module")
def text() -> str:
    return page(sample())


@pytest.fixture(scope="module")
def seen(text: str) -> Seen:
    return Seen(text)


def test_no_resource_comes_from_outside(seen: Seen, text: str) -> None:
    assert seen.resources == ["data:,"], "only the empty icon"
    assert not re.search(r"@import|url\(", text)


def test_links_lead_to_papers_siblings_or_anchors_that_exist(seen: Seen) -> None:
    for link in seen.links:
        if link.startswith("#"):
            assert link[1:] in seen.ids, link
        else:
            assert link in ("report.md", "report.json") or link.startswith("https://arxiv.org/abs/"), link


def test_every_claim_case_and_environment_has_its_anchor_once(seen: Seen) -> None:
    assert max(Counter(seen.ids).values()) == 1
    wanted = {f"{j.system}-{j.id}" for j in CLAIMS} | {f"case-{c.system}-{c.case}" for c in CASES}
    wanted |= {f"env-{sha}" for sha in sample().environments}
    assert wanted <= set(seen.ids)


def test_counts_shown_are_those_of_the_judgements(seen: Seen) -> None:
    assert seen.counts == dict(Counter((j.by, j.verdict.word) for j in CLAIMS))
    for by, (held, judged) in seen.tallies.items():
        words = [MEANINGS[j.verdict.word] for j in CLAIMS if j.by == by]
        assert (held, judged) == (sum(m.held for m in words), sum(m.counted for m in words))


def test_what_was_not_judged_stays_outside_the_counts(text: str) -> None:
    judged = [j for j in CLAIMS if j.by == "paper" and MEANINGS[j.verdict.word].counted]
    assert {"calibrated", "not testable here"} <= {j.verdict.word for j in CLAIMS} - {
        j.verdict.word for j in judged
    }
    assert f"of {len(judged)} judged claims of the papers held" in text


@pytest.mark.parametrize("render", [page, markdown])
def test_notes_are_loud(render) -> None:  # type: ignore[no-untyped-def]
    text = render(sample())
    for note in sample().notes:
        assert note in text


def everywhere(text: str) -> Report:
    """The sample with one string in every place that a person or a log writes."""
    r = sample()
    replace = msgspec.structs.replace
    claim = replace(
        CLAIMS[1],
        statement=text,
        where=text,
        source=text,
        audit=text,
        command=text,
        how=text,
        data_label=text,
        treatment=text,
        verdict=Verdict(word="reproduced", direction=text, size=text, reason=text),
        headroom={text: text},
        guards=[replace(CLAIMS[1].guards[0], name=text, detail=text)],
    )
    arms = [replace(a, arm=text + a.arm, invalid=text, config={text: text}) for a in CASES[0].arms]
    case = replace(CASES[0], question=text, data_label=text, arms=arms)
    return replace(
        r,
        claims=[claim],
        cases=[case],
        notes=[text],
        vanished=[text],
        failures=[replace(r.failures[0], message=text, log_tail=text)],
        systems=[replace(r.systems[0], title=text, paper=text)],
        environments={"e": {"cpu_model": text, "packages": {text: text}}},
    )


def test_html_escapes_what_others_wrote(seen: Seen) -> None:
    text = page(everywhere(EVIL))
    assert Seen(text).tags["script"] == seen.tags["script"] == 1
    assert 'alert("x")' not in text
    assert "&lt;script&gt;" in text


def test_markdown_escapes_what_others_wrote() -> None:
    text = markdown(everywhere(EVIL))
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    prose = "\n".join(line for line in prose.splitlines() if not line.startswith("      "))
    assert "<script>" not in prose
    assert "](http" not in prose.replace("\\[z](http", "")
    rows = [line for line in prose.splitlines() if line.startswith("|")]
    assert rows
    for row, rule in pairwise(rows):
        if set(rule) <= set("|-:"):
            assert len(re.findall(r"(?<!\\)\|", row)) == rule.count("|")


def test_evidence_stands_beside_every_estimate() -> None:
    text = page(sample())
    for j in CLAIMS:
        if j.estimate is None:
            continue
        section = text.split(f'id="{j.system}-{j.id}"')[1].split("</article>")[0]
        assert f"<b>{j.evidence}</b> · <i>{j.data}</i>" in section


def test_invalid_arms_are_stamped_and_never_on_the_front() -> None:
    from remeasure.report.charts import tradeoffs

    drawn = tradeoffs(CASES)
    assert drawn
    assert not [o for t in drawn for o in t.options if o.on_front and o.arm.invalid]
    assert page(sample()).count('class="stamp"') >= sum(bool(a.invalid) for c in CASES for a in c.arms)


def test_a_curve_that_ends_early_says_where() -> None:
    for text in (page(sample()), markdown(sample())):
        assert "no result beyond 2" in text
        assert "no result beyond 4" in text


def test_release_is_compared_number_by_number(text: str) -> None:
    section = text.split('id="release"')[1].split("</section>")[0]
    assert "+29.3 %" in section
    assert "apart" in section
    assert "AMD EPYC 7763 there" in section
    assert "changed" in section


def test_a_release_that_names_its_environment_by_hash_is_understood() -> None:
    r = sample()
    assert r.release
    same = msgspec.structs.replace(r, release={**r.release, "environment": next(iter(r.environments))})
    assert "in the same environment" in page(same)
    record = {"sha256": next(iter(r.environments)), "cores": 99}
    assert "in the same environment" in page(msgspec.structs.replace(r, release={"environment": record}))
    other = msgspec.structs.replace(r, release={**r.release, "environment": "0" * 64})
    assert "in another environment" in page(other)


def _colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", css))


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _contrast(a: str, b: str) -> float:
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _mixed(colour: str, back: str, share: float) -> str:
    pairs = [(int(colour[i : i + 2], 16), int(back[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    css = (HERE.parents[1] / "src/remeasure/report/style.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    colour = _colours(light) if scheme == "light" else _colours(light) | _colours(dark.split("* {")[0])
    tones = {m.tone for m in MEANINGS.values()} | {"not", "against"}
    for name in ("ink", "soft", "link", *tones, *(f"s{i}" for i in range(1, 7))):
        assert _contrast(colour[name], colour["paper"]) >= 4.5, name
        assert name.startswith("s") or _contrast(colour[name], colour["raised"]) >= 4.5, name
    for tone in tones:
        assert _contrast(colour[tone], _mixed(colour[tone], colour["paper"], 0.09)) >= 4.5, tone
    assert _contrast(colour["ink"], colour["warn-back"]) >= 4.5
    assert _contrast(colour["soft"], colour["warn-back"]) >= 4.5


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_printed_and_never_drawn(wrong: float) -> None:
    r = sample()
    replace = msgspec.structs.replace
    cases = [
        replace(c, arms=[replace(c.arms[0], mean=wrong, lo=wrong, hi=wrong), *c.arms[1:]]) for c in CASES
    ]
    claims = [replace(j, estimate=wrong, lo=wrong, hi=wrong) if j.estimate else j for j in CLAIMS]
    for report in (replace(r, cases=cases), replace(r, claims=claims)):
        text = page(report)
        assert not re.search(r"""["' >](nan|-?inf)["'%< ]""", text)
        assert markdown(report)


def test_every_verdict_has_a_glyph_of_its_own() -> None:
    glyphs = [m.glyph for m in MEANINGS.values()]
    assert len(set(glyphs)) == len(glyphs)
