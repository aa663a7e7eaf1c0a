"""The calibration file: read strictly, drawn inside its tolerances, and every number of it that counts is used."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim import calibration as module
from remeasure.impls.flexserve.sim.calibration import LINKS, Calibration, Entry, read
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.facts import ASSUMPTIONS, MODELS
from remeasure.impls.flexserve.sim.rows import SYSTEMS

FLEX, CMA = SYSTEMS["FlexServe"], SYSTEMS["Strawman-OPT"]

CHECKED_ONLY = {
    # Rounded copies of Table 1: they lend their tolerance to the draws (LINKS), Table 1 gives the value.
    *(link.derived for link in LINKS),
    # Fits or second printings of what the model reads elsewhere.
    "derived.cma_us_per_migrated_page",
    "text.ssd_GBps",
    # Stages of Figure 2 that Table 1 and Figure 1 give more exactly.
    "fig2.nw-infer.load",
    "fig2.strawman.alloc",
    "fig2.strawman.load",
    "fig2.strawman.decrypt",
    # Bars from which the derived entries (NPU slopes, CPU prefill times) were taken.
    *(f"fig5.{model}.{system}" for model in MODELS for system in ("FlexServe", "Strawman")),
}


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return read()


def entering(calibration: Calibration) -> list[str]:
    return [id for id, entry in calibration.entries.items() if entry.enters]


def written(tmp_path: Any, change: Any) -> Any:
    content = json.loads(module.FILE.read_text())
    change(content["entries"])
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content))
    return path


def test_values_and_points_are_what_the_file_says(calibration: Calibration) -> None:
    for entry in json.loads(module.FILE.read_text())["entries"]:
        if "value" in entry:
            assert calibration.value(entry["id"]) == entry["value"]
        else:
            assert calibration.points(entry["id"]) == (tuple(entry["x"]), tuple(entry["y"]))


def test_a_missing_key_is_named(calibration: Calibration) -> None:
    with pytest.raises(UserError, match=r"no\.such\.entry"):
        calibration.value("no.such.entry")
    with pytest.raises(UserError, match="curve"):
        calibration.value("fig1a.cma")
    with pytest.raises(UserError, match="single number"):
        calibration.points("table1.load_8GiB")


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[0].update(colour="red"),
        lambda entries: entries[0].pop("source"),
        lambda entries: entries[0].update(value="fast"),
        lambda entries: entries.append(entries[0]),
    ],
    ids=["unknown field", "missing source", "text for a number", "named twice"],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Any, change: Any) -> None:
    with pytest.raises(UserError, match=r"calibration\.json"):
        read(written(tmp_path, change))


def test_no_file_is_a_user_error(tmp_path: Any) -> None:
    with pytest.raises(UserError):
        read(tmp_path / "none.json")


def test_held_out_figures_are_not_in_the_file(calibration: Calibration) -> None:
    figures = {id.split(".")[0] for id in calibration.entries if id.startswith("fig")}
    assert figures == {"fig1a", "fig1b", "fig2", "fig5", "fig6"}


def faults(calibration: Calibration, drawn: Calibration) -> list[str]:
    """Numbers of a draw that lie outside their tolerance, or that should not have been drawn."""
    linked = {link.target: link for link in LINKS}
    wrong = []
    for id, entry in calibration.entries.items():
        before, after = np.atleast_1d(calibration.numbers[id]), np.atleast_1d(drawn.numbers[id])
        width = np.broadcast_to(entry.half_width, before.shape) if entry.enters else np.zeros_like(before)
        if id in linked:
            derived = linked[id].derived
            relative = np.max(calibration.entries[derived].half_width) / calibration.value(derived)
            width = width + np.abs(before) * relative / (1 - relative)
        if np.any(np.abs(after - before) > width * (1 + 1e-9) + 1e-12) or np.any(after < 0):
            wrong.append(id)
    wrong += [
        name
        for name, value in drawn.assumed.items()
        if not ASSUMPTIONS[name].lo <= value <= ASSUMPTIONS[name].hi
    ]
    return wrong


@given(seed=st.integers(0, 2**32 - 1))
def test_draws_stay_inside_every_tolerance(seed: int) -> None:
    calibration = read()
    assert faults(calibration, calibration.drawn(np.random.default_rng(seed))) == []


def test_the_check_of_draws_catches_a_wider_draw(
    calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Entry.half_width
    monkeypatch.setattr(
        Entry, "half_width", property(lambda entry: tuple(np.atleast_1d(honest.fget(entry)) * 3))
    )
    drawn = calibration.drawn(np.random.default_rng(1))
    monkeypatch.undo()
    assert len(faults(calibration, drawn)) > len(entering(calibration)) / 3


def test_one_seed_gives_one_calibration(calibration: Calibration) -> None:
    first, again, other = (calibration.drawn(np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert first.numbers == again.numbers and first.assumed == again.assumed
    assert first.numbers != other.numbers and first.assumed != other.assumed


def test_everything_that_has_a_tolerance_varies(calibration: Calibration) -> None:
    draws = [calibration.drawn(np.random.default_rng(seed)) for seed in range(8)]
    for id in entering(calibration):
        if np.max(calibration.entries[id].half_width) > 0:
            assert len({draw.numbers[id] for draw in draws}) > 1, id


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link.derived} {link.target}")
def test_operations_follow_the_draw_of_their_derived_rate(calibration: Calibration, link: Any) -> None:
    drawn = calibration.drawn(np.random.default_rng(3))

    def cost(of: Calibration) -> float:
        return of.value(link.target) - (of.value(link.base) if link.base else 0)

    grew = drawn.value(link.derived) / calibration.value(link.derived)
    took = cost(drawn) / cost(calibration)
    assert took == pytest.approx(1 / grew if link.speed else grew)


def test_without_leaves_the_rest_alone(calibration: Calibration) -> None:
    gone = "derived.npu_slope_ms_per_token.Qwen3-8B"
    rest = calibration.without([gone])
    assert gone not in rest and gone in calibration
    assert set(rest.numbers) == set(calibration.numbers) - {gone}
    assert "Qwen3-8B" not in rest.of("derived.npu_slope_ms_per_token.")


def test_an_unknown_assumption_is_refused(calibration: Calibration) -> None:
    assert calibration.assuming(floor=1.0).assumed["floor"] == 1.0
    with pytest.raises(UserError, match="ceiling"):
        calibration.assuming(ceiling=1.0)


def fingerprint(costs: Costs) -> tuple[float, ...]:
    """Numbers that together show everything the model reads."""
    out = [costs.contention]
    sync = replace(FLEX, async_reclaim=False)
    out += [costs.reclaim_s(s, g, k) for s in (FLEX, CMA, sync) for g, k in ((0.1, 0.0), (3.0, 1.0))]
    out += [costs.load_s(1), costs.decrypt_s(1), costs.protect_s(replace(FLEX, on_demand=True, cache="none"))]
    for system in SYSTEMS.values():
        out += [costs.alloc_s(system, g, b) for g in (0.7, 4.5, 8.0) for b in (0.0, 4.0, 8.0, 9.5)]
        for model in MODELS:
            out += [costs.setup_s(system, model, g) for g in (0.0, 1.0)] + [costs.decode_s(model, system)]
            out += [costs.prefill_s(model, n, system.compute) for n in (64, 128, 200, 256, 512, 700)]
    return tuple(out + [costs.weights_gib(model) for model in MODELS])


def unused(calibration: Calibration, costs_of: Any) -> set[str]:
    """Entries that may enter the model and whose change changes nothing."""
    plain = fingerprint(costs_of(calibration))
    return {
        id
        for id in entering(calibration)
        if fingerprint(
            costs_of(
                calibration.with_number(
                    id,
                    tuple((np.asarray(n) * 1.03).tolist())
                    if isinstance(n := calibration.numbers[id], tuple)
                    else n * 1.03,
                )
            )
        )
        == plain
    }


def test_every_entry_to_calibrate_with_is_used_or_named_as_a_check(calibration: Calibration) -> None:
    named = {id for id in CHECKED_ONLY if id in calibration.entries and calibration.entries[id].enters}
    assert unused(calibration, Costs) == named


def test_the_check_of_use_catches_a_model_that_ignores_an_entry(calibration: Calibration) -> None:
    typed_in = calibration.value("table1.load_8GiB")

    def ignorant(given: Calibration) -> Costs:
        return Costs(given.with_number("table1.load_8GiB", typed_in))

    assert "table1.load_8GiB" in unused(calibration, ignorant)
