"""What claims ask of the cases they name: evidence, what a value is over, a precision that something asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from records_factory import CPU, LATENCY, NDCG, SPEEDUP, better, case, claim

from remeasure.contracts import Arm, At
from remeasure.declared.claim_checks import check_claims, claim_problem
from remeasure.declared.claims import Claim, Claims, Figure
from remeasure.errors import UserError

CASES = {
    "speed": case(),
    "ranking": case("ranking", (NDCG,)),
    "gains": case("gains", (SPEEDUP,)),
    "guesses": case(
        "guesses", (NDCG,), arms=tuple(Arm(name, "control", None, invalid="No.") for name in ("peep", "peek"))
    ),
}
ORDER = {"kind": "ordering", "treatment": "", "baseline": "", "value": None}
MODELLED = {"case": "gains", "testability": "modelled"}
CONTROL = 'which is a control and no honest result; only by = "remeasure" may'


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (claim(), ""),
        (claim(case=""), ""),
        (claim(metric="CPU seconds"), ""),
        (
            claim(case="other"),
            "names the case other, which does not exist (known: speed, ranking, gains, guesses)",
        ),
        (
            claim(treatment="fast"),
            "names the arm fast, which case speed does not have (known: slow, tuned, ours, peek)",
        ),
        (
            claim(baseline="fast"),
            "names the arm fast, which case speed does not have (known: slow, tuned, ours, peek)",
        ),
        (
            claim(**ORDER, order=["ours", "fast"]),
            "names the arm fast, which case speed does not have (known: slow, tuned, ours, peek)",
        ),
        (
            claim(metric="joules"),
            "names the metric joules, which case speed does not have (known: CPU seconds)",
        ),
        (claim(baseline="peek"), f"uses arm peek, {CONTROL}"),
        (claim(**ORDER, case="guesses", order=["peep", "peek"]), f"uses arm peep, {CONTROL}"),
        (claim(baseline="peek", by="remeasure"), ""),
        (better(), ""),
        (better(treatment=""), "needs a treatment and a baseline"),
        (better(baseline=""), "needs a treatment and a baseline"),
        (better(baseline="", testability="not-testable"), ""),
        (claim(baseline=""), "needs a baseline, or a metric that is itself a ratio (unit ×)"),
        (claim(**MODELLED, baseline=""), ""),
        (claim(**MODELLED), ""),
        (claim(treatment=""), "needs a treatment"),
        (claim(kind="value", treatment="", baseline="", value=1.0), "needs a treatment"),
        (claim(kind="bound", treatment="", margin=0.1), "needs a treatment"),
        (claim(kind="bound", margin=0.1), ""),
        (claim(kind="value", baseline="", value=1.0, tolerance=0.1), ""),
        (claim(**ORDER, order=["ours"]), "needs an order of at least two arms"),
        (claim(**ORDER, order=["ours", "slow"]), ""),
        (claim(**ORDER, case="ranking", order=["ours", "tuned", "slow"]), ""),
    ],
)
def test_a_claim_names_what_there_is_and_all_that_its_kind_needs(declared: Claim, problem: str) -> None:
    assert claim_problem(declared, CASES) == problem


def test_where_there_are_no_cases_none_is_known() -> None:
    assert claim_problem(claim(), {}) == "names the case speed, which does not exist (known: none)"


def test_claims_and_figures_that_name_what_does_not_exist_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "claims.toml"
    path.write_text("[[claim]]\nid = 'faster'\n\n[[figure]]\nname = 'speed of ours'\n")

    def check(claims: Sequence[Claim], *figures: Figure) -> None:
        check_claims(Claims(title="", paper="", link="", claim=[*claims], figure=[*figures]), CASES, path)

    check([claim()], Figure("speed of ours", "speed", "ours", baseline="slow"))
    with pytest.raises(UserError, match=r"claims.toml line 2: claim faster names the case other, .*\)\.$"):
        check([claim(), claim(case="other")])
    for figure, wrong in (
        (Figure("speed of ours", "speed", "fast"), "arm fast"),
        (Figure("speed of ours", "speed", "ours", baseline="fast"), "arm fast"),
        (Figure("speed of ours", "speed", "ours", "joules"), "metric joules"),
        (Figure("speed of ours", "other", "ours"), "case other"),
    ):
        with pytest.raises(UserError, match=rf"toml line 5: figure speed of ours names the {wrong}, .*\.$"):
            check([claim()], figure)


def test_a_simulators_number_is_not_measured() -> None:
    simulated = claim("queue", case="queue")
    assert "computed by a simulator; say modelled" in claim_problem(
        simulated, {"queue": case("queue", (LATENCY,))}
    )
    modelled = claim("queue", case="queue", testability="modelled")
    assert claim_problem(modelled, {"queue": case("queue", (LATENCY,))}) == ""


@pytest.mark.parametrize(("over", "refused"), [("", True), ("units", False), ("seeds", False)])
def test_a_value_over_users_says_whether_they_are_a_population(over: str, refused: bool) -> None:
    value = claim("v", "value", case="ranking", value=0.5, tolerance=0.02, baseline="", over=over)
    assert ("say over =" in claim_problem(value, {"ranking": case("ranking", (NDCG,))})) is refused


def checked(claims: list[Claim], tmp_path: Path, **precision: float) -> None:
    (tmp_path / "claims.toml").write_text("")
    at = At(precision={name.replace("_", " "): width for name, width in precision.items()})
    declared = {"speed": case(metrics=(CPU,), profiles={"standard": at})}
    check_claims(Claims(title="", paper="", link="", claim=claims), declared, tmp_path / "claims.toml")


def test_a_precision_that_no_claim_asks_for_is_refused_with_its_case(tmp_path: Path) -> None:
    checked([claim()], tmp_path, CPU_seconds=0.1)
    with pytest.raises(
        UserError, match=r"made/speed wants a precision of CPU seconds .* which no claim compares"
    ):
        checked([], tmp_path, CPU_seconds=0.1)
    with pytest.raises(UserError, match=r"wants a precision of wall time .* which is no metric of it"):
        checked([claim()], tmp_path, wall_time=0.1)
