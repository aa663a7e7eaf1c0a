"""Where the cold-start claims hold on the modelled device: speedups over sweeps of what matters most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remeasure.contracts import Arm

from ..questions import Axis, Region
from .device import MEAN, modelled_case

GRIDS: dict[Axis, tuple[str, tuple[float, ...]]] = {
    "flash": ("flash, GB/s", (0.25, 0.5, 1.0, 2.1, 2.63, 4.0)),
    "npu": ("speed of the NPU, × the calibrated one", (0.5, 1.0, 2.0, 4.0)),
    "decrypt": ("speed of decryption, × the calibrated one", (0.25, 0.5, 1.0, 2.0, 4.0)),
    "background": ("memory of other applications, GB", (0.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0, 10.0)),
}
"""Axis → its name, and where on it a claim is tried (flash: eMMC 5.1 to UFS 4.0)."""


def region_case(axis: Axis, suffix: str, baselines: Sequence[str], lines: dict[str, float]) -> Any:
    """Where along an axis a cold-start claim holds: its line is drawn across the curve."""
    name, xs = GRIDS[axis]
    return modelled_case(
        f"region-{axis}{suffix}",
        f"Where does the cold-start speedup over {' and '.join(baselines)} hold? Swept: {name}.",
        [
            Arm(
                f"over {baseline}, {x:g}",
                "reference",
                Region(axis, x, baseline),
                series=f"over {baseline}",
                x=x,
            )
            for baseline in baselines
            for x in xs
        ],
        (MEAN,),
        "device.region",
        axis=name,
        lines=lines,
    )


OPTIMIZED = ("Strawman-OPT", "TZ-LLM-like")
C3 = {"claimed over Strawman, 7.15": 7.15, "reproduced from here, 5.72": 7.15 / 1.25, "no gain": 1.0}
C4 = {"claimed over Strawman-OPT, 1.85": 1.85, "reproduced from here, 1.48": 1.85 / 1.25, "no gain": 1.0}
region_flash = region_case("flash", "", OPTIMIZED, C4)
region_npu = region_case("npu", "", OPTIMIZED, C4)
region_decrypt = region_case("decrypt", "", OPTIMIZED, C4)
region_background = region_case("background", "", OPTIMIZED, C4)
region_flash_strawman = region_case("flash", "-strawman", ("Strawman",), C3)
region_npu_strawman = region_case("npu", "-strawman", ("Strawman",), C3)
region_decrypt_strawman = region_case("decrypt", "-strawman", ("Strawman",), C3)
region_background_strawman = region_case("background", "-strawman", ("Strawman",), C3)
