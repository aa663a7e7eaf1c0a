"""What is written: one record a finished block, one environment record, all schema-checked by msgspec."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from ..struct import Struct

SCHEMA = 2


class MetricRecord(Struct, frozen=True):
    unit: str
    better: Literal["lower", "higher"]
    kind: Literal["time", "quality", "count", "virtual-time"]
    clock: Literal["cpu", "wall"] = "cpu"
    per: str = "seed"
    exact: bool = True


class ArmRecord(Struct, frozen=True):
    role: Literal["strawman", "optimized", "reference", "ablation", "control"]
    config: dict[str, Any]
    invalid: str = ""
    series: str = ""
    x: float | None = None
    tuning: dict[str, Any] | None = None


class DataRecord(Struct, frozen=True):
    """The data a block ran on."""

    name: str
    kind: Literal["real", "simulated"]
    origin: str
    """`REMEASURE_DATA`, `cache`, `directory` (given with --set data=) or `simulator`; never a path."""
    sha256: str
    """Hash over the exact file set, or over the generator's configuration."""
    label: str
    """What was loaded of it, e.g. `t1 (official lists)`."""
    verified: bool = True
    """Hashes agree with the data card (a user's own directory has none: False, and it is said)."""


class Failure(Struct, frozen=True):
    kind: Literal["error", "bad-input", "timeout", "memory", "killed"]
    message: str
    traceback: str = ""
    log_tail: str = ""


class Provenance(Struct, frozen=True):
    commit: str
    dirty: str
    """Hash of the uncommitted diff outside results/, empty when clean."""
    fingerprint: str
    """Hash of the code that can change the numbers."""
    environment: str
    """sha of the environment record."""
    command: str
    """The exact command that repeats this block."""
    started: str
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    load_before: float
    load_after: float
    steal_s: float = 0.0
    """CPU seconds that the host of a virtual machine gave to others while the block ran, over all cores."""
    packages: dict[str, str] = {}
    """Versions of what the system imports; another one would be another number."""


class Record(Struct, frozen=True, kw_only=True):
    """One finished block: (case × seed), all arms measured in one process."""

    schema: int = SCHEMA
    key: str
    system: str
    case: str
    profile: str
    seed: int
    status: Literal["ok", "failure"]
    evidence: Literal["measured", "scaled", "modelled"]
    data: DataRecord | None
    arms: dict[str, ArmRecord]
    metrics: dict[str, MetricRecord]
    samples: dict[str, dict[str, list[float]]] = {}
    """metric → arm → samples; the A/A twin stands beside the arms as `twin_of + ' (A/A)'`."""
    units: dict[str, list[str]] = {}
    """What a metric's samples are of (its `per`: user, query, document) → their ids, in the order of the samples."""
    clusters: dict[str, list[str]] = {}
    """The same → the larger unit that each lies in, where there is one (the user of a request)."""
    twin_of: str = ""
    order: list[list[str]] = []
    """The shuffled order of every round."""
    budget_ended: bool = False
    overrides: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    """What a system wants drawn beside its numbers (plain JSON)."""
    contract: str = ""
    """`passed`, or the sentence that says what the contract test refused."""
    failure: Failure | None = None
    provenance: Provenance
    digest: str = ""
    """sha256 over all the rest, put in when it is written and checked when it is read."""


def content_digest(record: Record) -> str:
    """sha256 over the record without its own digest."""
    content = msgspec.json.encode(msgspec.structs.replace(record, digest=""), order="deterministic")
    return hashlib.sha256(content).hexdigest()


class Environment(Struct, frozen=True):
    """What is stable about a machine; content-addressed. No host name, no path."""

    python: str
    packages: dict[str, str]
    blas: list[dict[str, Any]]
    cpu_model: str
    cores: int
    affinity: int
    cgroup_cpu: str
    ram_mb: int
    kernel: str
    threads: dict[str, str]
    settings: dict[str, str] = {}
    """Governor, turbo and ASLR, where the machine shows them."""


TWIN_SUFFIX = " (A/A)"
