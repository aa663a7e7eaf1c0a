"""Least squares from moments: right where there is enough text, and pulled where there is not."""

from __future__ import annotations

import pytest
import torch

from remeasure.impls.blockllm.study import ridge
from remeasure.impls.blockllm.study.ridge import PULLS, Moments, fitted, solved, strength

RNG = torch.Generator().manual_seed(0)
TRUTH = torch.randn(12, 5, generator=RNG)
NEAR = TRUTH + 0.05 * torch.randn(12, 5, generator=RNG)


def halves(tokens: int, noise: float, seed: int = 0) -> list[Moments]:
    """Inputs whose scales differ by thousands."""
    rng = torch.Generator().manual_seed(seed)
    scales = torch.logspace(-2, 2, 12)
    found = []
    for _ in range(2):
        a = torch.randn(tokens, 12, generator=rng)
        b = a @ TRUTH + noise * torch.randn(tokens, 5, generator=rng)
        found.append(Moments.of(a * scales, b))
    return found


def unscaled(answer: torch.Tensor) -> torch.Tensor:
    return torch.logspace(-2, 2, 12)[:, None] * answer


def test_moments_say_what_least_squares_and_its_error_are() -> None:
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(50, 6, generator=rng), torch.randn(50, 3, generator=rng)
    expected = torch.linalg.lstsq(a.double(), b.double()).solution
    parts = Moments.of(a[:20], b[:20]) + Moments.of(a[20:], b[20:])
    found = solved(parts, torch.zeros(6, 3), pull=1e-12)
    assert torch.allclose(found, expected, atol=1e-8)
    missed = float((a.double() @ expected - b.double()).square().sum())
    assert parts.missed(expected) == pytest.approx(missed)
    assert parts.times(3).missed(expected) == pytest.approx(3 * missed)


def test_with_enough_text_the_pull_is_weak_and_the_truth_is_found() -> None:
    of = halves(2000, noise=0.0)
    assert strength(of, torch.zeros(12, 5)) == PULLS[0]
    assert torch.allclose(unscaled(fitted(of, torch.zeros(12, 5))), TRUTH.double(), atol=2e-3)


def test_with_too_little_text_the_pull_is_strong_and_better_than_none() -> None:
    for seed in range(5):
        of = halves(13, noise=1.0, seed=seed)
        near = NEAR / torch.logspace(-2, 2, 12)[:, None]
        assert strength(of, near) == PULLS[-1]

        def away(answer: torch.Tensor) -> float:
            return float((unscaled(answer) - TRUTH).norm())

        assert away(fitted(of, near)) < away(solved(of[0] + of[1], near, 1e-6))


def test_a_strength_chosen_by_the_text_it_is_fitted_on_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ridge.strength
    monkeypatch.setattr(ridge, "strength", lambda of, towards: right([of[0] + of[1]] * 2, towards))
    of = halves(13, noise=1.0)
    near = NEAR / torch.logspace(-2, 2, 12)[:, None]
    assert not torch.equal(fitted(of, near), solved(of[0] + of[1], near, PULLS[-1]))


def test_inputs_that_are_never_used_break_nothing() -> None:
    a = torch.randn(40, 4, generator=torch.Generator().manual_seed(2))
    a[:, 2] = 0
    of = [Moments.of(a[:20], a[:20, :2]), Moments.of(a[20:], a[20:, :2])]
    found = fitted(of, torch.ones(4, 2))
    assert torch.isfinite(found).all() and torch.allclose(found[2], torch.ones(2).double())
