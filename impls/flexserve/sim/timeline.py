"""One prefill on the modelled device, in virtual time (June §5.1).

`execute` runs the operations of `policy.plan` one by one; `prefill` reaches the same result with a recurrence over
layers, which a test holds against `execute` over random plans. Resources take operations in the plan's order:

* the reading thread allocates what it is about to read, then reads it: pages are faulted in on the way;
* four cores decrypt. Where a contiguous region is claimed in pieces (`cma overlapped`), the same cores move its pages,
  as in TZ-LLM, whose own lower bound adds the two up;
* the NPU (or the CPU) computes. While weights are decrypted it is slower (§5.1), so computing advances on a clock
  that loses `costs.contention` seconds in each second of decryption.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from ..config import System
from ..policy.plan import CHUNK_BYTES, Op
from .costs import GIB, Costs
from .facts import BACKGROUND_GB


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a prefill took."""

    ttft_s: float
    """From the request to the first token, without waiting for other requests."""
    busy: dict[str, float]
    """Seconds of work by stage, each as long as it takes alone: setup, alloc, flash, decrypt, compute."""
    lower_bound_s: float
    """What the busiest resource has to do: no order of the operations is faster. Allocation counts where it happens:
    max(ΣI/O, Σcompute, Σ(alloc + decrypt)) for a contiguous region, max(Σ(alloc + I/O), Σcompute, Σdecrypt) else."""
    overlap_efficiency: float
    """Sum of the stages over the time taken: 1 is one after the other."""
    bubble_s: float
    """How long the computing unit waited for weights or lost to decryption beside it, setup aside."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Seconds of the stages of one prefill, each alone."""

    faulted: bool
    """Memory is allocated by the thread that reads into it."""
    setup: float
    alloc: float
    load: float
    decrypt: float
    compute: float

    @property
    def in_turn(self) -> float:
        """Seconds of all but setup, one after the other."""
        return self.alloc + self.load + self.decrypt + self.compute

    def timeline(self, makespan: float) -> Timeline:
        """With the time that everything but setup took."""
        took = self.setup + makespan
        busy = {
            "setup": self.setup,
            "alloc": self.alloc,
            "flash": self.load,
            "decrypt": self.decrypt,
            "compute": self.compute,
        }
        reader, cores = (self.alloc, 0.0) if self.faulted else (0.0, self.alloc)
        bound = max(reader + self.load, self.compute, cores + self.decrypt)
        return Timeline(took, busy, bound, (self.setup + self.in_turn) / took, makespan - self.compute)


def missing_layers(layers: int, cached_parts: int | Collection[int]) -> list[int]:
    """Layers that are not in memory; `cached_parts` counts a prefix or names indices."""
    if isinstance(cached_parts, Collection):
        return [layer for layer in range(layers) if layer not in cached_parts]
    return list(range(min(cached_parts, layers), layers))


def stages(
    system: System, model: str, tokens: int, costs: Costs, background_gb: float, missing_gib: float
) -> Stages:
    """What a prefill with `missing_gib` of its weights to fetch consists of."""
    return Stages(
        system.alloc in ("mmap", "flex"),
        costs.setup_s(system, model, missing_gib),
        costs.alloc_s(system, missing_gib, background_gb),
        costs.load_s(missing_gib),
        costs.decrypt_s(missing_gib) if system.crypto == "software" else 0.0,
        costs.prefill_s(model, tokens, system.compute),
    )


def prefill(
    system: System,
    model: str,
    tokens: int,
    costs: Costs,
    background_gb: float = BACKGROUND_GB.value,
    cached_parts: int | Collection[int] = 0,
) -> Timeline:
    """TTFT of a prompt. Layers are equal parts of the weights, embedding and head among them.

    `cached_parts`: how many first layers are in memory, or a set or tuple of the indices that are.
    """
    layers = costs.layers(model)
    missing = missing_layers(layers, cached_parts)
    gib = costs.weights_gib(model)
    alone = stages(system, model, tokens, costs, background_gb, gib * len(missing) / layers)
    if not missing or not system.overlap:
        return alone.timeline(alone.in_turn)
    chunk = CHUNK_BYTES[system.granularity]
    pieces = max(1.0, gib * GIB / layers / chunk) if chunk else 1.0
    return alone.timeline(pipelined(system, alone, layers, missing, pieces, costs.contention))


def pipelined(
    system: System, alone: Stages, layers: int, missing: Sequence[int], pieces: float, contention: float
) -> float:
    """Makespan of overlapped layers, each fetched in `pieces` (the last one smaller where that is no whole number)."""
    count = len(missing)
    whole = int(pieces)
    groups = (
        [(whole, 1 / pieces), (1, (pieces - whole) / pieces)] if pieces > whole else [(whole, 1 / pieces)]
    )
    steps = [
        (n, alone.alloc / count * share, alone.load / count * share, alone.decrypt / count * share)
        for n, share in groups
    ]
    if system.alloc == "cma":
        fetched = _fetch(count, [(n, 0.0, load, decrypt) for n, _, load, decrypt in steps], alone.alloc)
    elif system.alloc == "cma overlapped":
        fetched = _fetch_on_busy_cores(count, steps)
    else:
        fetched = _fetch(count, steps, 0.0)
    compute, lost_per_layer = alone.compute / layers, contention * alone.decrypt / count
    # `computed` is read from a clock that loses `lost` seconds while weights are decrypted. No decryption runs at the
    # moment a layer is ready, and none follows the last one, so the two clocks can be told from each other there.
    computed = lost = 0.0
    done = 0
    for layer, ready in zip(missing, fetched, strict=True):
        computed += compute * (layer - done)
        done = layer
        lost += lost_per_layer
        if ready - lost > computed:
            computed = ready - lost
    return computed + compute * (layers - done) + lost


Steps = Sequence[tuple[int, float, float, float]]
"""How a layer is fetched: number of equal pieces, and seconds of alloc, load and decrypt of one."""


def _fetch(count: int, steps: Steps, start: float) -> list[float]:
    """When each of `count` layers is in memory and decrypted; the reading thread allocates and reads from `start` on.

    Over equal pieces the end of decryption is the largest of straight lines: the first and the last piece give it.
    """
    ends = []
    read, decrypted = start, 0.0
    for _ in range(count):
        for n, alloc, load, decrypt in steps:  # comparisons, not max(): this loop is run some 10^5 times
            first = read + alloc + load
            read += n * (alloc + load)
            decrypted = (decrypted if decrypted > first else first) + n * decrypt
            if read + decrypt > decrypted:
                decrypted = read + decrypt
        ends.append(decrypted)
    return ends


def _fetch_on_busy_cores(count: int, steps: Steps) -> list[float]:
    """The same where allocation shares the cores with decryption, which comes first when something is there for it."""
    pieces = [
        (alloc, load, decrypt) for _ in range(count) for n, alloc, load, decrypt in steps for _ in range(n)
    ]
    now = read = 0.0
    reads: list[float] = []
    ends: list[float] = []
    while len(ends) < len(pieces):
        waiting = len(ends)
        if waiting < len(reads) and (reads[waiting] <= now or len(reads) == len(pieces)):
            decrypt = pieces[waiting][2]
            # Without decryption nothing but the read ends; the cores are not waited for.
            now = (reads[waiting] if reads[waiting] > now else now) + decrypt if decrypt else now
            ends.append(now if decrypt else reads[waiting])
        else:
            alloc, load, _ = pieces[len(reads)]
            now += alloc
            read = (read if read > now else now) + load
            reads.append(read)
    return ends[len(pieces) // count - 1 :: len(pieces) // count]


def execute(ops: Sequence[Op], system: System, alone: Stages, contention: float) -> float:
    """Makespan in seconds of a plan whose stages take `alone`, shared out over its operations by their bytes.

    A resource that is free takes the first operation of the plan that is ready. ValueError if anything but computing
    waits for computing: the slowing by decryption could then not be known first.
    """
    seconds = {"alloc": alone.alloc, "load": alone.load, "decrypt": alone.decrypt}
    nbytes = {kind: sum(op.nbytes for op in ops if op.kind == kind) for kind in seconds}
    allocates = "decrypt" if system.alloc == "cma overlapped" else "load"
    resource = {"alloc": allocates, "load": "load", "decrypt": "decrypt"}
    computing = [index for index, op in enumerate(ops) if op.kind == "compute"]
    waits = {index: len(op.after) for index, op in enumerate(ops) if op.kind != "compute"}
    follows: dict[int, list[int]] = {}
    for index in waits:
        for before in ops[index].after:
            if before not in waits:
                raise ValueError("only computing may wait for computing")
            follows.setdefault(before, []).append(index)
    ready: dict[str, list[int]] = {name: [] for name in resource.values()}
    for index, number in waits.items():
        if not number:
            heappush(ready[resource[ops[index].kind]], index)
    busy = dict.fromkeys(ready, False)
    ends = [0.0] * len(ops)
    decrypting: list[tuple[float, float]] = []
    running: list[tuple[float, int]] = []
    now = 0.0
    while True:
        for name, queue in ready.items():
            if queue and not busy[name]:
                index = heappop(queue)
                kind = ops[index].kind
                ends[index] = now + seconds[kind] * ops[index].nbytes / nbytes[kind]
                busy[name] = True
                heappush(running, (ends[index], index))
                if kind == "decrypt":
                    decrypting.append((now, ends[index]))
        if not running:
            break
        now = running[0][0]
        while running and running[0][0] == now:
            _, index = heappop(running)
            busy[resource[ops[index].kind]] = False
            for later in follows.get(index, ()):
                waits[later] -= 1
                if not waits[later]:
                    heappush(ready[resource[ops[later].kind]], later)
    computed = 0.0
    for index in computing:
        start = max([computed, *(ends[before] for before in ops[index].after)])
        computed = ends[index] = _advance(start, alone.compute / len(computing), decrypting, contention)
    return max(ends)


def _advance(start: float, work: float, slow: Sequence[tuple[float, float]], contention: float) -> float:
    """When `work` that begins at `start` ends if each second inside the slow intervals does 1 − contention of one."""
    now = start
    for begin, end in slow:
        if end <= now:
            continue
        if begin > now:
            if work <= begin - now:
                break
            work -= begin - now
            now = begin
        done = (end - now) * (1 - contention)
        if work <= done:
            return now + work / (1 - contention)
        work -= done
        now = end
    return now + work
