"""Deriving the cost table: few points keep the curve, the same package gives the same bytes, none is refused."""

from __future__ import annotations

import logging
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.cost import derive
from remeasure.impls.blockllm.sim.cost.costs import Costs
from remeasure.impls.blockllm.sim.cost.knots import knots
from remeasure.impls.blockllm.sim.cost.model import HALVES
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, SHAPES
from remeasure.impls.blockllm.sim.cost.tables import STACKS, TABLES

curves = st.lists(st.floats(0.01, 100), min_size=1, max_size=60)


def check(y: NDArray[np.float64], kept: list[int], tolerance: float) -> None:
    x = np.arange(len(y))
    assert kept[0] == 0 and kept[-1] == len(y) - 1 and kept == sorted(set(kept))
    np.testing.assert_array_less(np.abs(np.interp(x, kept, y[kept]) / y - 1), tolerance + 1e-9)


@given(curves, st.sampled_from([0.0, 0.01, 0.3]))
def test_straight_lines_between_knots_stay_within_the_tolerance(curve: list[float], tolerance: float) -> None:
    y = np.array(curve)
    check(y, knots(np.arange(len(y)), y, tolerance), tolerance)


def test_a_straight_line_needs_its_ends_only_and_a_step_both_its_edges() -> None:
    x = np.arange(1000)
    assert knots(x, 3.0 + 2.0 * x, 1e-6) == [0, 999]
    assert knots(x, np.where(x < 500, 1.0, 2.0), 0.01) == [0, 499, 500, 999]


def test_the_check_finds_a_lost_knot() -> None:
    y = np.array([1.0, 2, 1, 2, 5])
    kept = knots(np.arange(5), y, 0.01)
    check(y, kept, 0.01)
    with pytest.raises(AssertionError):
        check(y, [kept[0], *kept[2:]], 0.01)


def test_without_the_package_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(derive.metadata, "version", missing)
    with pytest.raises(UserError, match=r"pip install --no-deps aiconfigurator-core==0\.12\.0") as refusal:
        derive.main(tmp_path)
    assert "\n" not in str(refusal.value) and not list(tmp_path.iterdir())


def test_another_version_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive.metadata, "version", lambda name: "0.13.0")
    with pytest.raises(UserError, match=r"made from aiconfigurator-core 0\.12\.0, here is 0\.13\.0"):
        derive.main(tmp_path)
    assert not list(tmp_path.iterdir())


class Ruled(derive.Estimator):
    """An estimator that knows prefill attention only: 1 ms outside the kernel, a square of the tokens inside."""

    def __init__(self, power: float) -> None:
        self.power = power

    def prefill(self, new: int, past: int) -> float:
        whole = (new + past) ** 2 / 1e3
        return 1 + whole * (1 - (past / (new + past)) ** self.power)


def test_the_part_outside_the_kernel_is_found_and_another_rule_is_refused() -> None:
    prompts = np.array([Ruled(2).prefill(new, 0) for new in range(1, 8193)])
    assert derive._fixed(Ruled(2), prompts) == pytest.approx(1)
    with pytest.raises(UserError, match="by another rule"):
        derive._fixed(Ruled(1.5), prompts)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiconfigurator_core")
    # It tells on import which of its attention kernels it takes.
    monkeypatch.setattr(logging.root, "disabled", True)


@pytest.mark.slow
def test_the_committed_table_is_what_the_package_gives(package: None, tmp_path: Path) -> None:
    for path in derive.main(tmp_path):
        assert path.read_bytes() == TABLES.with_name(path.name).read_bytes()


@pytest.mark.parametrize("stack", STACKS)
def test_between_its_points_the_table_stays_near_the_estimator(package: None, stack: str) -> None:
    engine, _ = derive._package()
    rng = np.random.default_rng(0)
    costs = Costs(stack)  # type: ignore[arg-type]
    for shape in SHAPES:
        model, estimator = costs.of(shape), derive.Estimator(engine, stack, shape)  # type: ignore[arg-type]
        rows = rng.integers(1, derive.ROWS + 1, 300)
        times = dict(zip(derive.OPERATORS, np.array([estimator.times(int(n)) for n in rows]).T, strict=True))
        for half, parts in HALVES.items():
            ours, theirs = model.by_rows[half][rows], np.sum([times[part] for part in parts], axis=0)
            assert np.abs(ours / theirs - 1).max() < 0.0075
        for part in ("embed", "head", "prefill"):
            assert np.abs(model.by_rows[part][rows] / times[part] - 1).max() < 0.011
        batches, contexts = np.exp2(rng.uniform(0, 9, 500)), np.exp2(rng.uniform(5, 12, 500))
        points = [(int(batch), int(context)) for batch, context in zip(batches, contexts, strict=True)]
        off = [model.decode_attention_ms(b, b * c) / estimator.decode(b, c) - 1 for b, c in points]
        assert np.abs(off).mean() < 0.01 and np.abs(off).max() < 0.16
        for new, past in ((512, 0), (1024, 512), (2048, 2048)):
            assert model.prefill_attention_ms(new, past) == pytest.approx(
                estimator.prefill(new, past), rel=0.011
            )


def test_the_estimator_is_told_the_model_that_it_times() -> None:
    config = derive._config(LLAMA_7B)
    assert (config["hidden_size"], config["intermediate_size"], config["num_key_value_heads"]) == (
        4096,
        11008,
        32,
    )
