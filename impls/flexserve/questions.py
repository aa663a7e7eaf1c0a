"""What the cases ask of the modelled device, as data. Importing this loads no numpy, so listing cases stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .config import System
from .real.models import HostRun
from .systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

Experiment = Literal["cold", "pressure", "several models", "agents", "headline", "TTFT only"]
Axis = Literal["flash", "npu", "decrypt", "background"]
EXPERIMENTS: Mapping[str, int] = {"cold": 5, "pressure": 7, "several models": 8, "agents": 9, "ablation": 11}
"""Experiment → the paper's figure."""
HEADLINE = ("cold", "several models", "agents")
"""The three means whose mean is the abstract's number (spec, C1)."""
TTFTS = ("cold", "several models")
"""Those of them that are TTFTs."""
COLD: Mapping[str, System] = {
    "FlexServe": cold(FLEXSERVE),
    "NW-Base": NW_BASE,
    "Strawman-OPT": STRAWMAN_OPT,
    "TZ-LLM-like": TZLLM_LIKE,
    "Strawman": STRAWMAN,
}


@dataclass(frozen=True)
class Comparison:
    """FlexServe, or another system, against a baseline over the cells of an experiment."""

    experiment: Experiment = "cold"
    """headline: the mean of the means of cold, several models and agents, as the abstract builds it; TTFT only: all
    cells of cold and several models."""
    baseline: str = "Strawman"
    """The slower system."""
    treatment: str = "FlexServe"
    """The faster one."""
    draws: int = 200
    """Draws of what is uncertain."""


@dataclass(frozen=True)
class Step:
    """One step of the ablation: by how much it cuts what was left."""

    before: str
    """The step before."""
    name: str
    """The step."""
    draws: int = 200
    """Draws of what is uncertain."""


@dataclass(frozen=True)
class Modelled:
    """A system's cold start, decoding or an operation on the device."""

    what: str
    """A key of `COLD`, an operation, or a policy of Figure 10."""
    draws: int = 200
    """Draws of what is uncertain."""


@dataclass(frozen=True)
class Fit:
    """How a system's bars in Figure 5 are said for a model that was left out."""

    system: str
    """A system of Figure 5."""
    by: Literal["model", "size", "told"] = "model"
    """model: the device model; size: the other models' bars in proportion to weights; told: Strawman only, the law of
    size that fits best with nothing left out."""


@dataclass(frozen=True)
class Region:
    """A place on a sweep of the device, cold: where FlexServe's speedup over a baseline is asked for."""

    axis: Axis = "flash"
    """What is swept."""
    x: float = 1.0
    """GB/s of the flash, GB of background, else a factor on the calibrated speed."""
    baseline: str = "Strawman-OPT"
    """A system of `COLD`."""
    draws: int = 200
    """Draws of what is uncertain."""


@dataclass(frozen=True)
class Survival:
    """FlexServe cold against the stronger baseline, everything drawn at once."""

    draws: int = 1000
    """Draws of what is uncertain."""


@dataclass(frozen=True)
class Grid:
    """Cold starts of a system over the models and prompts of Figure 5."""

    system: System = field(default_factory=lambda: cold(FLEXSERVE))
    """The system."""
    draws: int = 200
    """Draws of what is uncertain."""


@dataclass(frozen=True)
class Hour:
    """One hour of all declared agents on one device, while the memory that other applications hold changes."""

    system: System = FLEXSERVE
    """The system."""
    draws: int = 40
    """Draws of the device and of when agents are started."""


@dataclass(frozen=True)
class Shared:
    """Two models that take turns on a device and share its cache, for all declared groups and prompt lengths."""

    system: System = FLEXSERVE
    """The system."""
    draws: int = 20
    """Draws of the device."""


@dataclass(frozen=True)
class Simulated:
    """A trace of the ten declared workflows, served by FlexServe on the modelled device."""

    requests: int | None = None
    """Calls of a model, on average over seeds; None: as many as come in one hour."""


LONGEST = 256
"""Tokens of the longest prompt that is measured; servers have room for it, so that one serves every length."""


@dataclass(frozen=True)
class HostPrefill:
    """A prompt served by the host."""

    run: HostRun = field(default_factory=lambda: HostRun(prompt_tokens=LONGEST))
    """The serving process."""
    tokens: int = 128
    """Length of the prompt."""


@dataclass(frozen=True)
class Reclaim:
    """The kernel asks for the pages of one part after the other."""

    run: HostRun = field(default_factory=lambda: HostRun(prompt_tokens=LONGEST))
    """The serving process."""
    waits: bool = False
    """The kernel waits until the pages are scrubbed, instead of being told at once that they will be."""
    repeats: int = 3
    """How often the whole model is loaded and taken back."""


@dataclass(frozen=True)
class Attack:
    """Memory that holds plaintext while it is attacked."""

    protection: Literal["secret", "none"] = "secret"
    """secret: memfd_secret; none: ordinary memory, where the attack must succeed, or it proves nothing."""


@dataclass(frozen=True)
class Decryption:
    """Authenticated decryption of a model's weights, reading not counted."""

    into: Literal["heap", "secret"] = "secret"
    """Memory that the plaintext goes to."""
    form: Literal["streaming", "hot buffer"] = "streaming"
    """streaming: every chunk of every part once, each to its own place; hot buffer: one chunk over and over, as many
    bytes in all."""
    model: str = "small"
    """One of `real.models.MODELS`."""
