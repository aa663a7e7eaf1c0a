"""What each operation costs on the modelled device, for any system, model and background (June §7.1, Table 1).

Sizes are GiB, backgrounds GB as printed, times seconds of the device. Not modelled, for want of a number: what
authentication adds to decryption (AES-GCM and AES-CTR cost the same here), energy, heat, other users of the flash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remeasure.errors import UserError

from ..config import System
from .allocation import MS, Pages, Region
from .calibration import Calibration
from .facts import ANCHOR, BACKGROUND_GB, KV_BYTES, MODELS
from .laws import WEIGHTS, CpuPrefill, NpuPrefill, nearest, prompt_lengths

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """Speeds relative to the calibrated device, for sweeps."""

    flash: float = 1.0
    npu: float = 1.0
    decrypt: float = 1.0


class Costs:
    """Costs of one calibration on one device; nothing of it changes after construction."""

    def __init__(self, calibration: Calibration, device: Device | None = None) -> None:
        self.calibration, self.device = calibration, device or Device()
        c, value = calibration, calibration.value
        self.pages, self.region = Pages(c), Region(c)
        self._gib = {model: value(WEIGHTS + model) for model in MODELS}
        self._npu = {model: NpuPrefill(c, model) for model in MODELS}
        self._cpu = {model: CpuPrefill(c, model) for model in MODELS}
        self._prompts = prompt_lengths(c)
        nominal_decrypt_s = _per_gib(c, "table1.decrypt_8GiB_4cores")
        self.load_s_per_gib = _per_gib(c, "table1.load_8GiB") / self.device.flash
        self.decrypt_s_per_gib = nominal_decrypt_s / self.device.decrypt
        alone_s = value("table1.prefill_llama31_8b_128") * MS
        self.contention = (
            (value("text.decrypt_contention") - 1) * alone_s / (nominal_decrypt_s * self._gib[ANCHOR])
        )
        """Seconds of computing lost in each second in which weights are decrypted."""
        self._smmu = {
            protected: _per_gib(c, f"table1.npu_smmu_setup_8GiB.{kind}")
            for protected, kind in ((True, "flexserve"), (False, "unprotected"))
        }
        self._launch = {
            protected: value(f"table1.npu_task_launch.{kind}") * MS
            for protected, kind in ((True, "flexserve"), (False, "unprotected"))
        }
        self._switch_s = value("table1.npu_mode_switch") * MS
        self._other = {True: value("fig2.strawman.other"), False: value("fig2.nw-infer.other")}
        self._other_fixed = c.assumed["other_fixed"]
        self._decode = {model: _decode(c, model) for model in MODELS}
        self._reclaim = _Reclaim(c)

    # models
    def layers(self, model: str) -> int:
        """Number of layers; UserError for a model the calibration does not know."""
        return MODELS[_known(model)].layers

    def weights_gib(self, model: str) -> float:
        """INT8 weights, embedding and head included."""
        return self._gib[_known(model)]

    def kv_gib(self, model: str, tokens: int) -> float:
        """Keys and values of `tokens` tokens."""
        return MODELS[_known(model)].kv_values(tokens) * KV_BYTES.value / GIB

    # stages of a prefill
    def alloc_s(self, system: System, gib: float, background_gb: float = BACKGROUND_GB.value) -> float:
        """Get `gib` of memory, and protect it where the system's pages are recallable."""
        if gib <= 0:
            return 0.0
        if system.alloc == "mmap":
            return self.pages.ordinary_s(gib, background_gb)
        if system.alloc == "flex":
            return self.pages.recallable_s(gib, background_gb)
        if system.alloc == "cma":
            return self.region.serial_s(gib, background_gb)
        return self.region.overlapped_s(gib, background_gb, system.alloc_threads)

    def load_s(self, gib: float) -> float:
        """Read `gib` from flash, sequentially."""
        return self.load_s_per_gib * gib

    def decrypt_s(self, gib: float) -> float:
        """Decrypt `gib` on four CPU cores."""
        return self.decrypt_s_per_gib * gib

    def prefill_s(self, model: str, tokens: float, compute: Literal["cpu", "npu"] = "npu") -> float:
        """Compute a prompt with all weights in memory and nothing else running."""
        if compute == "npu":
            return self._npu[_known(model)](tokens) / self.device.npu
        return self._cpu[_known(model)](tokens)

    def beyond(self, tokens: float) -> bool:
        """Whether a prompt lies outside the measured lengths, so that its prefill time is a continuation."""
        return not self._prompts[0] <= tokens <= self._prompts[-1]

    def setup_s(self, system: System, model: str, new_gib: float) -> float:
        """What a request waits for beside the stages: Figure 2's `other`, the NPU's mapping of new weights, switches.

        Mappings of weights that stay in memory stay too. Each launch inside a prefill is part of its measured time.
        """
        total = self.other_s(system, model) + self.protect_s(system)
        if system.compute == "npu":
            total += self._smmu[system.protected] * new_gib + self._launch[system.protected]
            total += self._switch_s if system.protected else 0.0
        return total

    def other_s(self, system: System, model: str) -> float:
        """Figure 2's stage `other`, which the figure gives for one model.

        On a CPU system it grows with the model alone: so it was taken off Figure 5 for the CPU prefill times.
        """
        fixed = self._other_fixed if system.compute == "npu" else 0.0
        grows = self._gib[_known(model)] / self._gib[ANCHOR]
        return self._other[system.protected] * (fixed + (1 - fixed) * grows)

    def protect_s(self, system: System) -> float:
        """Switch stage-2 tables on and check the monitor's hash; nothing where they are always on."""
        if not system.on_demand:
            return 0.0
        return (self.calibration.value("table1.s2pt_boot") + self.calibration.value("table1.hash_check")) * MS

    # after the prefill
    def decode_s(self, model: str, system: System) -> float:
        """One token."""
        return self._decode[_known(model)][_column(system)]

    def reclaim_s(self, system: System, gib: float, kv_gib: float = 0.0) -> float:
        """What the normal world waits for when it wants `gib` back, of which `kv_gib` are KV caches."""
        return self._reclaim.waits_s(system, gib, kv_gib)

    def scrub_s(self, system: System, gib: float, kv_gib: float = 0.0) -> float:
        """How long after that the last page is usable; 0 unless reclaiming is asynchronous."""
        return self._reclaim.after_s(system, gib, kv_gib)


class _Reclaim:
    """Taking memory back (June Table 1)."""

    def __init__(self, c: Calibration) -> None:
        small, large = "table1.reclaim_128MiB.full", "table1.reclaim_8GiB.flexserve"
        small_gib, large_gib = c.gib(small), c.gib(large)
        self.select_s = (c.value(large) - c.value(small)) * MS / (large_gib - small_gib)
        self.start_s = max(0.0, c.value(small) * MS - self.select_s * small_gib)
        zeroed = "table1.reclaim_128MiB.two_stage_sync"
        self.zero_s = _per_gib(c, zeroed)
        self.write_back_s = _per_gib(c, "table1.reclaim_128MiB.sync_single_stage") - self.zero_s
        self.release_s = _per_gib(c, "table1.reclaim_8GiB.cma")

    def waits_s(self, system: System, gib: float, kv_gib: float) -> float:
        if gib <= 0 or system.alloc == "mmap":
            return 0.0  # freeing ordinary pages has no number of its own; Table 1 compares with CMA
        if system.alloc != "flex":
            return self.release_s * gib
        if system.async_reclaim:
            return self.start_s + self.select_s * gib
        return self.zero_s * gib + self.write_back_s * kv_gib

    def after_s(self, system: System, gib: float, kv_gib: float) -> float:
        if gib <= 0 or system.alloc != "flex" or not system.async_reclaim:
            return 0.0
        whole = self.zero_s * gib + self.write_back_s * kv_gib
        return max(0.0, whole - self.waits_s(system, gib, kv_gib))


def _known(model: str) -> str:
    if model not in MODELS:
        raise UserError(f"The device model does not know {model!r}: choose one of {', '.join(MODELS)}.")
    return model


def _per_gib(calibration: Calibration, id: str) -> float:
    """Seconds per GiB of an operation of Table 1, which are printed in ms for a size."""
    return calibration.value(id) * MS / calibration.gib(id)


def _column(system: System) -> str:
    """Which system's bars in Figure 6 a configuration decodes like."""
    if system.compute == "cpu":
        return "Strawman"
    if not system.protected:
        return "NW-Base"
    return "FlexServe" if system.alloc == "flex" else "Strawman-OPT"


def _decode(calibration: Calibration, model: str) -> dict[str, float]:
    """Seconds per token by column of Figure 6; a model without bars like the nearest, in proportion to weights."""
    seconds = {}
    for column in ("NW-Base", "FlexServe", "Strawman-OPT", "Strawman"):
        ids = {m: f"fig6.{m}.{column}" for m in MODELS if f"fig6.{m}.{column}" in calibration}
        name, ratio = nearest(calibration, model, ids)
        seconds[column] = (ratio if name != model else 1) / calibration.value(ids[name])
    return seconds
