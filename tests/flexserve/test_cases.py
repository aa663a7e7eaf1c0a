"""What the cases compute: ratios over the model's cells, what was chosen on the host, an oracle that can tell."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from remeasure.datasets.ondevice.loader import Request, Workloads, load
from remeasure.declared.registry import registry
from remeasure.impls.flexserve import tuned
from remeasure.impls.flexserve.cases import host as cases_host
from remeasure.impls.flexserve.questions import Comparison, Fit, HostPrefill, Region, Step
from remeasure.impls.flexserve.real.models import HostRun
from remeasure.impls.flexserve.runs import device
from remeasure.impls.flexserve.runs.host import differing, prefilled

DRAWS = 2


@pytest.fixture(scope="module")
def workloads() -> Workloads:
    return load(Request(requests=8), None)


def speedups(workloads: Workloads, experiment: str, baseline: str = "Strawman") -> dict[str, np.ndarray]:
    found = device.speedups(Comparison(experiment, baseline, draws=DRAWS), workloads, 0)  # type: ignore[arg-type]
    return {name: np.asarray(values) for name, values in found.items()}


def test_the_headline_is_the_mean_of_three_means_of_different_experiments(workloads: Workloads) -> None:
    parts = [speedups(workloads, part)["mean speedup"] for part in ("cold", "several models", "agents")]
    assert speedups(workloads, "headline")["mean speedup"] == pytest.approx(np.mean(parts, axis=0))


def test_like_for_like_weighs_every_cell_the_same_and_holds_no_agent(workloads: Workloads) -> None:
    cells = device.table(workloads, DRAWS, 0)
    ratios = [cells.of(figure, "Strawman") / cells.of(figure, "FlexServe") for figure in (5, 8)]
    assert [len(part) for part in ratios] == [16, 16]
    expected = np.exp(np.log(np.concatenate(ratios)).mean(axis=0))
    assert speedups(workloads, "TTFT only")["geometric mean speedup"] == pytest.approx(expected)


def test_speedups_are_ordered(workloads: Workloads) -> None:
    found = speedups(workloads, "pressure", "Strawman-OPT")
    assert (found["smallest speedup"] <= found["geometric mean speedup"]).all()
    assert (found["geometric mean speedup"] <= found["mean speedup"]).all()
    assert (found["mean speedup"] <= found["largest speedup"]).all()


def test_draws_differ_between_themselves_and_not_between_runs(workloads: Workloads) -> None:
    device.table.cache_clear()
    first = speedups(workloads, "cold")["mean speedup"]
    device.table.cache_clear()
    assert (speedups(workloads, "cold")["mean speedup"] == first).all()
    assert first[0] != first[1]


def test_the_steps_of_the_ablation_make_its_whole(workloads: Workloads) -> None:
    cells = device.table(workloads, DRAWS, 0)
    left = np.ones((3, DRAWS))
    for before, after in (("CMA", "+Flex-NPU"), ("+Flex-NPU", "+Flex-Mem")):
        ratio = cells.of(11, after) / cells.of(11, before)
        cut = device.cut(Step(before, after, DRAWS), workloads, 0)["TTFT cut"]
        assert cut == pytest.approx(100 * (1 - ratio.mean(axis=0)))
        left = left * ratio
    assert left == pytest.approx(cells.of(11, "+Flex-Mem") / cells.of(11, "CMA"))


def test_a_model_that_knows_stages_beats_the_rule_of_sizes(workloads: Workloads) -> None:
    for name in ("NW-Base", "FlexServe", "Strawman-OPT", "Strawman"):
        model, size = (
            np.mean(device.misfit(Fit(name, by), workloads, 0)["absolute error"])  # type: ignore[arg-type]
            for by in ("model", "size")
        )
        assert model < size


def test_all_systems_are_judged_on_the_same_bars_and_a_model_is_a_cluster_of_them(
    workloads: Workloads,
) -> None:
    fits = (Fit("FlexServe"), Fit("Strawman"), Fit("NW-Base", "size"), Fit("Strawman", "told"))
    named = [device.misfit(fit, workloads, 0) for fit in fits]
    assert all(one["units"] == named[0]["units"] for one in named)
    bars: list[str] = named[0]["units"]  # type: ignore[assignment]
    models: list[str] = named[0]["clusters"]  # type: ignore[assignment]
    assert [bar.startswith(f"{model}, ") for bar, model in zip(bars, models, strict=True)] == [True] * 16
    assert len(set(models)) == 4


def test_the_calibrated_place_of_every_sweep_has_the_same_speedup(workloads: Workloads) -> None:
    from remeasure.impls.flexserve.runs.regions import flash_gb_per_s
    from remeasure.impls.flexserve.sim.calibration import read

    places = {"flash": flash_gb_per_s(read()), "npu": 1.0, "decrypt": 1.0, "background": 8.0}
    values = [
        device.region(Region(axis, x, draws=DRAWS), workloads, 0)["mean speedup"]  # type: ignore[arg-type]
        for axis, x in places.items()
    ]
    for value in values[1:]:
        assert value == pytest.approx(values[0], rel=2e-2)


def test_every_line_across_a_region_belongs_to_a_claim() -> None:
    system = registry().system("flexserve")
    claimed = {claim.value for claim in system.claims.claim if claim.id in ("C3", "C4")}
    for case in system.cases.values():
        drawn = {value for name, value in case.lines.items() if name.startswith("claimed")}
        assert drawn <= claimed


def test_the_host_serves_what_was_chosen_on_other_prompts() -> None:
    recorded = json.loads(tuned.RECORD.read_text())
    counts = set()
    for name in ("pipeline", "sequential"):
        tried = recorded["systems"][name]
        best = min(tried["trials"], key=lambda trial: trial["TTFT s"])
        assert tried["chosen"] == {field: best[field] for field in recorded["space"]}
        counts.add(len(tried["trials"]))
    assert len(counts) == 1, "the baseline had as many trials as the pipeline"
    run = cases_host.host_ttft.arm("FlexServe").config.run
    assert (run.compute_threads, run.system.granularity) == tuple(
        recorded["systems"]["pipeline"]["chosen"].values()
    )


MICRO = HostPrefill(HostRun(model="micro", protection="none", prompt_tokens=32), tokens=20)


def test_the_oracle_sees_a_changed_bit() -> None:
    import torch

    served = prefilled(MICRO, ["some words"], 0)()
    assert differing(MICRO, ["some words"], 0, served.logits) == 0
    changed = served.logits.clone()
    changed.view(torch.int32)[3] ^= 1
    assert differing(MICRO, ["some words"], 0, changed) == 1


def test_a_prompt_has_exactly_the_tokens_asked_for_and_depends_on_the_passage() -> None:
    from remeasure.impls.flexserve.runs.host import prompt

    assert len(prompt("micro", "abc", 20)) == 20
    assert prompt("micro", "abc", 20) != prompt("micro", "abd", 20)


def test_prompts_of_other_lengths_share_a_server() -> None:
    from remeasure.impls.flexserve.runs.host import kept_server

    assert kept_server(MICRO.run) is kept_server(replace(MICRO, tokens=10).run)


def test_an_attack_that_reads_not_even_ordinary_memory_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from remeasure.errors import UserError
    from remeasure.impls.flexserve.questions import Attack
    from remeasure.impls.flexserve.runs.attack import attacked
    from remeasure.impls.flexserve.secure import attacker

    refused = {"/proc/PID/mem": {"outcome": "EPERM", "found": False}}
    monkeypatch.setattr(attacker, "attack", lambda *_: refused)
    with pytest.raises(UserError, match="proves nothing"):
        attacked(Attack("none"))()


def test_every_part_of_the_security_cost_is_served_with_the_same_threads_and_grain() -> None:
    runs = [arm.config.run for arm in cases_host.host_security.arms]
    assert len({(run.compute_threads, run.system.granularity, run.system.overlap) for run in runs}) == 1


def test_a_cold_baseline_has_the_tuning_that_it_declares() -> None:
    arm = cases_host.host_cold.arm("Strawman-OPT, fresh pages")
    assert arm.tuning is not None
    assert tuned.with_choice(arm.config.run, dict(arm.tuning.chosen)) == arm.config.run
