"""Simulated services: gaps and token counts drawn one by one from quantiles of the published hour.

A quantile function is a chain of lines in the logarithm between the declared points, so medians and tails are those of
the published files, and means and the variation of gaps nearly. What it lacks: the slow rise and fall of the rate over
the hour (4.3 to 7.5 req/s in conv), the weak memory of the gaps of code, the slight link between prompt and answer
(correlation of logarithms 0.09 in conv) and the counts that many requests share exactly. The rate of simulated code is
2.0 to 3.6 req/s depending on the seed, since some 45 silences of more than 10 s make up two thirds of its hour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Law:
    """A quantile function: `values` > 0 at the shares `at`, which begin with 0 and end with 1."""

    at: tuple[float, ...]
    values: tuple[float, ...]

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """`n` independent draws, float64 [n]."""
        return np.exp(np.interp(rng.random(n), self.at, np.log(self.values)))


@dataclass(frozen=True)
class ServiceLaw:
    """What a service of an hour looks like."""

    name: str
    requests: int
    gaps_s: Law
    prompt: Law
    output: Law


AT = (
    *(0.0, 0.01, 0.025, 0.05, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7),
    *(0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995, 0.998, 0.999, 1.0),
)
"""Shares at which the quantiles below stand."""
# fmt: off
CONV = ServiceLaw(
    "conv",
    19366,
    Law(AT, (
        2e-6, 0.00055, 0.0018, 0.0063, 0.0161, 0.0215, 0.0264, 0.0365, 0.0483, 0.0607, 0.0735, 0.0873, 0.102, 0.118,
        0.138, 0.159, 0.183, 0.214, 0.247, 0.289, 0.346, 0.421, 0.478, 0.565, 0.705, 0.89, 1.03, 1.25, 1.41, 4.31,
    )),
    Law(AT, (
        2, 29, 120, 181, 207, 235, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1876,
        2734, 4075, 4083, 4092, 4142, 4831, 5652, 6179, 14050,
    )),
    Law(AT, (
        7, 16, 28, 41, 54, 60, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 430, 451,
        522, 601, 643, 916, 954, 1000,
    )),
)
CODE = ServiceLaw(
    "code",
    8819,
    Law(AT, (
        6e-6, 2.2e-5, 5.2e-5, 8.8e-5, 0.00021, 0.00068, 0.00088, 0.0012, 0.0021, 0.0033, 0.0053, 0.0151, 0.0382, 0.0638,
        0.0896, 0.095, 0.0979, 0.1, 0.104, 0.16, 0.199, 0.273, 0.302, 0.401, 0.674, 2.21, 9.98, 41.4, 79.2, 217,
    )),
    Law(AT, (
        3, 17, 44, 75, 147, 185, 232, 385, 578, 770, 938, 1075, 1261, 1469, 1690, 1909, 2163, 2433, 2744, 3192, 3920,
        5187, 6097, 7303, 7435, 7436, 7436, 7436, 7437, 7437,
    )),
    Law(AT, (
        6, 6, 6, 6, 7, 7, 7, 8, 9, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 29, 39, 55, 69, 90, 145, 251, 359, 669, 825,
        1899,
    )),
)
# fmt: on


def simulate(law: ServiceLaw, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in seconds from the first request float64, prompt and answer tokens int64 (at least 1), all [requests]."""
    rng = np.random.default_rng([seed, law.requests])
    at_s = np.cumsum(law.gaps_s.draw(rng, law.requests))
    prompt, output = (np.rint(tokens.draw(rng, law.requests)) for tokens in (law.prompt, law.output))
    return at_s - at_s[0], prompt.astype(np.int64), output.astype(np.int64)
