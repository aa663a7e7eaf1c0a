"""Facts that the calibration file does not hold: shapes of the models, three numbers of TZ-LLM, and what we assume.

Together with `calibration.json` these are all the numbers of the device model; a lint test refuses others. An
`Assumption` is ours, not the paper's: it has a range, and every draw for an interval draws it too.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIG = "config.json that the model is published with"
TZ = "TZ-LLM, arXiv 2511.13717, §2.4.2"


@dataclass(frozen=True)
class Fact:
    """One sourced number."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Assumption:
    """A choice between readings that the calibration figures cannot tell apart."""

    value: float
    lo: float
    hi: float
    source: str
    """Why there is a choice, and what both ends mean."""


@dataclass(frozen=True)
class Architecture:
    """Shape of a decoder-only model with grouped-query attention and SwiGLU."""

    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    source: str

    @property
    def outputs(self) -> int:
        """Outputs of the matrix products of all layers for one token; the CPU de-quantises each of them."""
        attention = (self.heads + 2 * self.kv_heads) * self.head_dim + self.width
        return self.layers * (attention + 2 * self.ffn + self.width)

    @property
    def layer_weights(self) -> int:
        """Weights of all layers, without embedding and head: multiply-adds for one token."""
        attention = 2 * self.width * (self.heads + self.kv_heads) * self.head_dim
        return self.layers * (attention + 2 * self.width * self.ffn + self.ffn * self.width)

    def kv_values(self, tokens: int) -> int:
        """Keys and values of `tokens` tokens, as a count of numbers."""
        return tokens * self.layers * 2 * self.kv_heads * self.head_dim


MODELS = {
    "Llama3.1-8B": Architecture(32, 4096, 14336, 32, 8, 128, CONFIG),
    "Llama3.2-3B": Architecture(28, 3072, 8192, 24, 8, 128, CONFIG),
    "Qwen3-0.6B": Architecture(28, 1024, 3072, 16, 8, 128, CONFIG),
    "Qwen3-1.7B": Architecture(28, 2048, 6144, 16, 8, 128, CONFIG),
    "Qwen3-8B": Architecture(36, 4096, 12288, 32, 8, 128, CONFIG),
}
ANCHOR = "Llama3.1-8B"
"""The model of Table 1's prefill, of Figure 2 and of the contention of §5.1."""

KV_BYTES = Fact(2, "byte", "fp16 keys and values, usual in such engines; June does not say")
MEMORY_GIB = Fact(16, "GiB", "NanoPC-T6 of June §7.1")
BACKGROUND_GB = Fact(8, "GB", "default background load of June §7.1")
INTERVAL = Fact(0.95, "share", "our choice: every interval of the report is a 95 % one")
CMA_THREADS = {
    1: Fact(1.9, "GB/s", f"{TZ}: migration with one thread"),
    4: Fact(3.8, "GB/s", f"{TZ}: migration with four threads"),
}

ASSUMPTIONS = {
    "cma_packed": Assumption(
        0.5,
        0.0,
        1.0,
        "Figure 1 shows contiguous allocation along two lines only, 8 GB of size and 8 GB of background. 0: "
        "background pages are spread evenly, so a region meets its share of them; 1: they are packed where the "
        "region begins. Both give the two lines exactly.",
    ),
    "unseen_by_weight": Assumption(
        0.5,
        0.0,
        1.0,
        "Prefill of a model without bars in Figure 5. 0: the law fitted to the other models; 1: the nearest model "
        "in size, times the ratio of weights; between them the geometric mean.",
    ),
    "floor": Assumption(
        0.5,
        0.0,
        1.0,
        "Prompts below this many tokens take the NPU as long as this many. Figure 5's bars leave the straight line "
        "between its first two prompt lengths: 0 is the first, 1 the second.",
    ),
    "other_fixed": Assumption(
        0.25,
        0.0,
        0.5,
        "Share of Figure 2's stage `other` that does not grow with the model. Figure 2 has one model; Figure 5's "
        "short prompts of small models ask for more than 0, their long ones for less than a half.",
    ),
}
