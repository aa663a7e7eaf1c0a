"""What the simulated cluster consists of while it serves (spec §2.1): GPUs, block instances, requests under way.

Decoding requests that go through the same instances are one `Cohort`: they wait, move and run together, so an iteration
costs the same however many there are. A cohort counts its own steps, and each of its requests is one integer, the step
at which it ends and its number, in a heap: only requests that end are looked at one by one. The classes have slots and
no methods that the event loop calls; it is the loop (`engine.py`) that says what happens.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappush

from .catalogue import Segment
from .steps import Row, Steps

SHIFT = 24
MASK = (1 << SHIFT) - 1
"""A request in a cohort is (its last step << SHIFT) + its number."""

READY, LOADING, COLD, DRAINING, GONE = range(5)
"""States of an instance. COLD: its weights are in host memory. DRAINING: takes no new requests."""

ITERATION, ARRIVAL, MESSAGE, LOADED, CHECK, WINDOW = range(6)
"""Kinds of events: an iteration ends; a request comes; requests come to an instance over a link; weights have been
loaded; patience with those who hold a GPU's memory has ended; a scaling window ends."""


class Gpu:
    """One GPU with its agent: what runs, what waits, how its memory is used (bytes)."""

    __slots__ = (
        "batch",
        "blocked",
        "capacity",
        "check_at",
        "closing",
        "cold",
        "free_at",
        "id",
        "instances",
        "kv",
        "kv_peak",
        "link_free_at",
        "ready",
        "residual_s",
        "room",
        "running",
        "server",
        "taken",
        "turn_s",
        "under_way",
        "weights_peak",
    )

    def __init__(self, number: int, server: int, capacity: int) -> None:
        self.id, self.server, self.capacity = number, server, capacity
        self.room = capacity
        """What weights leave to KV caches."""
        self.kv = self.kv_peak = self.weights_peak = 0
        self.instances: list[Instance] = []
        self.ready: deque[Instance] = deque()
        """Instances with something to run, the one that has waited longest first."""
        self.under_way: deque[Instance] = deque()
        """turns=under_way_first: of these, the ones that do not begin a chain; they run before the others."""
        self.running: Instance | None = None
        self.batch: list[Cohort] = []
        self.taken: list[int] = []
        """Prompts of the running iteration."""
        self.free_at = 0.0
        """When the last iteration that was begun ends."""
        self.link_free_at = 0.0
        """When the last KV transfer from here ends; the next one waits for it."""
        self.blocked: list[Instance] = []
        """Instances, here or elsewhere, whose next prompt waits for this GPU's memory."""
        self.cold: deque[Instance] = deque()
        """Instances that want their weights here."""
        self.check_at = -1.0
        """When the next CHECK comes."""
        self.turn_s = -1.0
        """Expected seconds of a round over everything that is active; negative: to be estimated anew."""
        self.residual_s = 0.0
        """Expected seconds until a running iteration ends, with `turn_s`."""
        self.closing = False
        """Nothing new begins: something cold has waited too long."""


class Pool:
    """The instances of one segment."""

    __slots__ = ("common", "delay_s", "delayed", "instances", "segment", "slow", "steps")

    def __init__(self, segment: Segment, steps: Steps) -> None:
        self.segment, self.steps = segment, steps
        self.instances: list[Instance] = []
        """Those that requests may be sent to, in order of id."""
        self.common: deque[int] = deque()
        """binding=late: requests that no instance has taken yet."""
        self.delay_s = 0.0
        self.delayed = 0
        """Waits of this window's prompts, and how many they were."""
        self.slow = 0
        """Windows in a row in which they waited too long."""


class Instance:
    """One copy of a segment on one GPU."""

    __slots__ = (
        "begun",
        "blocked",
        "busy_s",
        "cohorts",
        "common",
        "context",
        "delta_s",
        "distinct",
        "fresh",
        "gpu",
        "groups",
        "guessed",
        "head",
        "id",
        "idle",
        "iterations",
        "last_s",
        "layers",
        "limit",
        "line",
        "linear",
        "outputs",
        "pairs",
        "pool",
        "prompt_tokens",
        "prompts",
        "queued",
        "ready",
        "ready_at",
        "resident",
        "rows",
        "segment",
        "since_busy_s",
        "state",
        "steps",
        "table",
        "token_s",
        "tokens",
        "used_at",
        "weights",
    )

    def __init__(
        self, number: int, pool: Pool, gpu: Gpu, limit: int, weights: int, finish_first: bool
    ) -> None:
        self.id, self.pool, self.gpu, self.limit, self.weights = number, pool, gpu, limit, weights
        self.segment: Segment = pool.segment
        self.line = gpu.under_way if finish_first and not self.segment.embed else gpu.ready
        """Where it waits for its turn on the GPU."""
        self.steps: Steps = pool.steps
        self.linear, self.head, self.layers = pool.steps.linear, pool.steps.head, pool.steps.layers
        self.table: list[Row | None] = pool.steps.attention.rows
        self.delta_s, self.token_s = pool.steps.delta_s, pool.steps.token_s
        self.state = READY
        self.ready_at = 0.0
        self.fresh = False
        """Loaded and not used yet: others have to let it."""
        self.cohorts: deque[Cohort] = deque()
        self.begun: deque[int] = deque()
        """Prompts that hold memory already: they come from another block, or compute their KV cache again."""
        self.prompts: deque[int] = deque()
        """Prompts that have yet to get memory; of a chain's first block only."""
        self.common: deque[int] = pool.common
        self.queued = 0
        """Prompt tokens waiting here."""
        self.ready = False
        """Listed in its line."""
        self.blocked = False
        """The first of its `prompts` cannot begin."""
        self.resident = 0
        """Requests that hold KV here, or may come back for it."""
        self.groups: dict[int, int] = {}
        """Resident requests by app with a delta."""
        self.distinct = 0
        """How many such apps are resident."""
        self.guessed = False
        """On a path with a guess: its iterations may hold work in vain."""
        self.last_s = 0.0
        """Seconds of its last iteration."""
        self.used_at = 0.0
        self.idle = 0
        """Windows in a row in which it was hardly used."""
        self.iterations = self.rows = self.tokens = self.context = self.outputs = 0
        """Totals: iterations; decoding rows; tokens through the matrices; tokens looked at by decoding rows; rows that
        a token was wanted for."""
        self.prompt_tokens = self.pairs = 0
        """Totals: prompt tokens; pairs of tokens in their attention, doubled."""
        self.busy_s = self.since_busy_s = 0.0
        """Total, and total at the last window's end."""


class Path:
    """The instances that a request's chain goes through, in order."""

    __slots__ = (
        "careful",
        "drafts",
        "first",
        "grow",
        "guess",
        "instances",
        "length",
        "links",
        "surcharge",
        "waiting",
    )

    def __init__(
        self,
        instances: tuple[Instance, ...],
        grow: tuple[tuple[Gpu, int], ...],
        links: tuple[int, ...],
    ) -> None:
        self.instances, self.grow, self.links = instances, grow, links
        """`grow`: KV bytes of one token by GPU. `links`: that into each place; place 0 is reached from the last one."""
        self.length, self.first = len(instances), instances[0]
        self.waiting: Cohort | None = None
        """The cohort that waits at the first instance: others join it."""
        self.careful: tuple[bool, ...] = ()
        """By place: a hop there needs a decision."""
        self.guess = -1
        """Place whose block is speculated, or -1."""
        self.surcharge: list[float] | None = None
        """Seconds, by rows, of the surrogate that runs before the guessed place."""
        self.drafts: list[float] | None = None
        """speculation=exact: seconds of drafting by rows; 0 where it does not pay."""


class Cohort:
    """Decoding requests on one path that move together."""

    __slots__ = ("context", "due", "ghosts", "n", "path", "place", "rows", "shadow", "since", "step", "width")

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path, self.step = path, step
        self.n = 0
        self.context = 0
        """KV tokens of all requests; with those of the step under way once that has begun."""
        self.rows: list[int] = []
        self.due = 0
        """The step after which the next request ends."""
        self.place = 0
        """Where on the path it stands."""
        self.since = 0.0
        """When it came there."""
        self.width = 1
        """Tokens of each request in the step under way."""
        self.ghosts = 0
        """Rows computed in vain beside it in the next iteration: their guess will be refused."""
        self.shadow = False
        """Only checks guesses: it ends with its iteration."""


class Message:
    """Requests that leave an iteration for one instance on another GPU, together."""

    __slots__ = ("cohorts", "link", "nbytes", "prompts", "target")

    def __init__(self, target: Instance, link: int) -> None:
        self.target, self.link, self.nbytes = target, link, 0
        self.cohorts: list[Cohort] = []
        self.prompts: list[int] = []


def add(cohort: Cohort, request: int, steps_left: int, tokens: int) -> None:
    """Put a request into a cohort, with `steps_left` tokens to come and `tokens` in its KV cache."""
    rows = cohort.rows
    heappush(rows, ((cohort.step + steps_left) << SHIFT) + request)
    cohort.n += 1
    cohort.context += tokens
    cohort.due = rows[0] >> SHIFT


def merge(into: Cohort, other: Cohort) -> None:
    """Move all requests of another cohort, at the same place of the same path, into this one."""
    if other.n > into.n:  # the smaller one is rewritten
        into.rows, other.rows = other.rows, into.rows
        into.step, other.step = other.step, into.step
    shift = (into.step - other.step) << SHIFT
    rows = into.rows
    if shift:
        rows += [row + shift for row in other.rows]
    else:
        rows += other.rows
    heapify(rows)
    into.n += other.n
    into.context += other.context
    into.ghosts += other.ghosts
    into.due = rows[0] >> SHIFT


def tokens_held(row: int, cohort: Cohort, prompt: list[int], output: list[int]) -> int:
    """KV tokens of one request of a cohort, with those of the step under way."""
    request = row & MASK
    left = (row >> SHIFT) - cohort.step
    under_way = cohort.width if cohort.place else 0
    return prompt[request] + output[request] - left - 1 + under_way


def take_out(cohort: Cohort, rows: list[int], prompt: list[int], output: list[int]) -> Cohort:
    """Split some of a cohort's rows off into a cohort of their own, at the same place."""
    part = Cohort(cohort.path, cohort.step)
    gone = set(rows)
    part.rows = [row for row in cohort.rows if row in gone]
    cohort.rows = [row for row in cohort.rows if row not in gone]
    heapify(part.rows)
    heapify(cohort.rows)
    part.place, part.since, part.width = cohort.place, cohort.since, cohort.width
    part.n = len(part.rows)
    part.context = sum(tokens_held(row, cohort, prompt, output) for row in part.rows)
    cohort.n -= part.n
    cohort.context -= part.context
    for one in (part, cohort):
        one.due = one.rows[0] >> SHIFT if one.rows else 0
    return part
