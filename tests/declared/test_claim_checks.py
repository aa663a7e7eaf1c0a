"""What claims ask of the cases they name: evidence, what a value is over, a precision that something asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from records_factory import CPU, LATENCY, NDCG, case, claim

from remeasure.contracts import At
from remeasure.declared.claim_checks import check_claims, claim_problem
from remeasure.declared.claims import Claim, Claims
from remeasure.errors import UserError


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
