"""What the cluster's cases ask, as data. Importing this loads no numpy, so listing cases stays quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from remeasure.errors import UserError

from .family import Which
from .sim.config import Serving
from .sim.systems import BLOCKLLM, PM

Workload = Literal["w1", "w2a", "w2b", "w3"]


@dataclass(frozen=True)
class Cell:
    """One serving system under one load."""

    serving: Serving = BLOCKLLM
    """The system."""
    workload: Workload = "w1"
    """w1: public requests, apps drawn by Zipf; w2a: ServeGen's clients with their own lengths; w2b: with Azure conv's;
    w3: synthetic bursts."""
    load: float = 1.0
    """w1: factor on the trace's own rate; the others: requests a second."""
    minutes: float = 5.0
    """Length of the trace."""
    apps: int = 20
    """Tenants; of w1 and w3."""
    alpha: float = 1.0
    """Skew of the tenants (Zipf); of w1 and w3."""
    cv: float = 4.0
    """Burstiness; of w3."""
    gpus: int = 12
    """A100s, server by server."""
    pe: float = 0.5
    """Share of the tenants fine-tuned by a small delta."""
    full: float = 0.25
    """Share of the tenants with all weights changed."""
    stack: Literal["vllm", "trtllm", "sglang"] = "trtllm"
    """Whose kernels the costs are of."""
    band: float = 1.0
    """Factor on all times of kernels."""
    cross_node: Literal["100g measured", "100g line", "25g", "nvlink"] = "100g measured"
    """The link between servers."""
    loader: Literal["host", "nvme", "slow"] = "host"
    """From where weights are loaded."""

    def __post_init__(self) -> None:
        if not 1 <= self.gpus <= 12:
            raise UserError(f"the cluster has 1 to 12 GPUs, not {self.gpus}; choose another gpus.")
        for name in ("load", "minutes", "apps", "cv", "band"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} has to be more than 0, not {getattr(self, name)}.")


@dataclass(frozen=True)
class Crossing:
    """The load from which one system's p95 is as much lower than another's as the paper says."""

    cell: Cell = field(default_factory=Cell)
    """The setting, with the first system; its load is not used."""
    baseline: Serving = PM
    """The second system."""
    loads: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0)
    """Where both are run; between them the logarithm of the ratio is a straight line."""
    ratio: float = 1.504
    """Of the p95s: 1 / (1 - 0.335)."""


@dataclass(frozen=True)
class Stored:
    """Which members of a family are in the zoo."""

    model: Which = "smollm2"
    """The family."""
    technique: str = ""
    """Only the foundation and variants of this technique; empty: all."""


@dataclass(frozen=True)
class Moved:
    """The whole family goes into a zoo of its own, and comes out of it again."""

    model: Literal["smollm2", "bytes", "micro", "random"] = "smollm2"
    """The family; random: two models of 61 MB and one made of both, for speed without training."""
    how: Literal["plain", "reserved", "fresh", "unchecked", "widened"] = "reserved"
    """plain: hash, then write; read, then hash. The others overlap that, and fetch into memory that is there already
    (reserved), into memory never touched (fresh), without hashing (unchecked), or as fp32 chains (widened)."""


@dataclass(frozen=True)
class Diverged:
    """Tenants' prompts in one batch, in fast mode beside tile mode."""

    model: Literal["smollm2", "micro"] = "smollm2"
    """micro: two tiny layers with random weights."""
    tenants: int = 1
    """Tenants in the batch."""
    prompt: int = 64
    """Tokens of each prompt."""


@dataclass(frozen=True)
class Decoded:
    """Some tokens of some tenants."""

    model: Which = "smollm2"
    """The family."""
    how: Literal["monolith", "chain", "chain, tiles", "monolith, tiles"] = "monolith"
    """Each tenant's model alone, or all tenants' chains by blocks."""
    tenants: int = 1
    """Tenants that decode at once."""
    prompt: int = 32
    """Tokens of each prompt."""
    new: int = 2
    """Tokens of each tenant in a round."""


@dataclass(frozen=True)
class Compared:
    """One system on the subset that both simulators know."""

    serving: Serving
    """The system, without choices."""
    minutes: float = 0.5
    """Length of the trace, at twice its own rate."""


@dataclass(frozen=True)
class Timed:
    """One scenario, simulated once."""

    cell: Cell
    """What is simulated."""
    requests: int = 0
    """W3 with so many requests instead of the cell's minutes; 0: the cell as it is."""


@dataclass(frozen=True)
class Checked:
    """Our costs beside a second measurement of the same GPU."""

    what: Literal["layer", "operators", "transfers"] = "layer"
    """layer: its four matrix products together; operators: each; transfers: sends between two GPUs."""
    stack: Literal["vllm", "trtllm", "sglang"] = "trtllm"
    """Whose kernels ours are."""


@dataclass(frozen=True)
class Dispatched:
    """Paths for requests, beside queues as they are in the middle of a scenario."""

    cell: Cell
    """The scenario."""
    kv: Literal["cost", "owner", "random"] = "cost"
    """How an instance is chosen."""
    decisions: int = 1_000
    """Of a round."""


@dataclass(frozen=True)
class Placed:
    """Which GPU holds which block."""

    cell: Cell
    """Models, machines and load."""
    swaps: int = 0
    """Exchanges tried after the first choice."""


@dataclass(frozen=True)
class Weighed:
    """Models of a population of tenants, kept in one way."""

    system: Literal["pm", "ps", "blockllm"] = "blockllm"
    """pm: each whole; ps: small deltas beside their foundation; blockllm: a zoo of blocks."""
    apps: int = 20
    """Tenants: three of five with 7B models, two with 13B."""
    pe: float = 0.5
    """Of those beside the foundations, the share fine-tuned by a small delta."""
    full: float = 0.25
    """The share with all weights changed; what remains has an eighth of its layers changed."""


@dataclass(frozen=True)
class Swapped:
    """Swaps of a family's blocks, and a rule that allows some of them."""

    model: Which = "smollm2"
    """The family."""
    rule: Literal["cosine", "probe", "chain", "segments"] = "chain"
    """cosine: of the parameters, at least `cosine`; probe: what a linear probe reads behind the block, up to the
    largest divergence below which all is harmless on validation text; chain: KL divergence and agreement of the whole
    chain on validation text; segments: the same for the layers that the last-layers variants replaced, all at once."""
    cosine: float = 0.0
    """rule = cosine: the threshold."""
    most: Literal[0, 1] = 1
    """rule = chain: substitutions in a chain at once; 0: at all places where one is allowed."""
    layers: tuple[int, ...] = (2, 9, 16, 23, 28)
    """Where swaps are made."""
    swaps: int = 48
    """Swaps between two models at one place, drawn of all there are in these layers."""
    across: int = 6
    """Swaps between two layers of one model, as controls."""
    length: int = 64
    """Tokens of a document."""
    valid: int = 6
    """Documents of each tenant, at most, that thresholds are chosen on."""
    test: int = 8
    """Documents of each tenant, at most, that are reported."""
    fitted: int = 16
    """Documents that the probe is fitted on."""


@dataclass(frozen=True)
class Stitched:
    """Chains that leave one model and go on in another, or in the same one further on."""

    model: Which = "bytes"
    """The family; chains begin in its foundation."""
    into: Literal["wider", "itself"] = "wider"
    """Where they go on: in a wider foundation, which SmolLM2 does not have, or in the same one."""
    variant: Literal["per cut", "shared", "position", "pad", "random"] = "per cut"
    """A matrix a cut, one for all, one for all and a vector a cut; cut off or filled up; a random projection."""
    epochs: int = 0
    """Of learning on the task after the fit."""
    cuts: tuple[tuple[int, int], ...] = ((1, 1), (2, 2), (3, 3))
    """Layers of the first model that run, and the number of the first layer of the second that runs."""
    length: int = 64
    """Tokens of a document."""
    fitted: int = 300
    """Documents that stitches are fitted on."""
    test: int = 12
    """Documents of each tenant, at most, that are reported."""


@dataclass(frozen=True)
class Pruned:
    """A surrogate of one block at a time."""

    model: Which = "smollm2"
    """The family; its foundation is taken."""
    half: Literal["attn", "ffn"] = "ffn"
    """Which half of a layer."""
    removed: float = 0.5
    """Share of its channels, or key and value heads, that are removed."""
    refit: bool = True
    """Fit the last projection anew."""
    score: Literal["weights", "activations"] = "activations"
    """What channels are chosen by."""
    layers: tuple[int, ...] = (4, 15, 26)
    """Layers, one at a time."""
    length: int = 64
    """Tokens of a document."""
    fitted: int = 40
    """Documents that the surrogates are fitted on."""
    test: int = 4
    """Documents of each tenant, at most, that are reported."""


@dataclass(frozen=True)
class Stepped:
    """The work of one block, whole or pruned."""

    model: Literal["smollm2", "micro"] = "smollm2"
    """Whose shapes."""
    half: Literal["attn", "ffn"] = "ffn"
    """Which half of a layer."""
    removed: float = 0.0
    """Share of channels or key and value heads that is removed."""
    tokens: int = 1
    """Tokens of a pass; 1 is a step of decoding."""
    context: int = 256
    """Tokens before them."""
    repeats: int = 8
    """Passes a round."""


@dataclass(frozen=True)
class Speculated:
    """Greedy decoding after some prompts, with a guess going ahead."""

    model: Which = "smollm2"
    """The family; its foundation decodes."""
    how: Literal["exact", "tolerant"] = "tolerant"
    """exact: a chain with surrogates drafts tokens, the true chain verifies them; tolerant: the surrogate of one
    block goes ahead, and stays if it is near enough."""
    removed: float = 0.5
    """Share of a feed-forward block's channels that is removed."""
    layers: tuple[int, ...] = (2, 7, 12, 17, 22, 27)
    """exact: the feed-forward blocks of the draft that are surrogates; none: the draft is the true chain."""
    layer: int = 14
    """tolerant: the layer whose feed-forward block is far away."""
    tolerance: float = 0.0
    """tolerant: largest relative error that stays; below 0 none does."""
    at_once: int = 3
    """exact: tokens drafted a pass."""
    prompts: int = 2
    """Of each tenant."""
    prompt: int = 32
    """Tokens of a prompt."""
    new: int = 12
    """Tokens that are decoded."""
    length: int = 64
    """Tokens of a document that surrogates are fitted on."""
    fitted: int = 40
    """Documents that surrogates are fitted on."""
