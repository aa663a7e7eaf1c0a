"""Makes `tables.csv`: operator times of the simulated models on an A100, for three serving stacks.

They come from the package aiconfigurator-core (NVIDIA, Apache-2.0), which carries kernel times measured on an
A100-SXM4-80GB and an estimator that interpolates them to a model's shapes. The package is large and needed here
only; what the simulator reads is the small table. `tables.toml` beside it says where every number comes from.
Nothing here depends on time, place or order, so the same package gives the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from remeasure.errors import UserError

from .knots import knots
from .shapes import SHAPES, Shape
from .tables import COLUMNS, STACKS, Stack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE, VERSION, SYSTEM = "aiconfigurator-core", "0.12.0", "a100_sxm"
ROWS = 8192
"""Most rows of a step, and most tokens of a prompt: where the measured tables end too."""
TOLERANCE = 0.01
"""Share by which straight lines between the table's points may leave the estimator's curve."""
OPERATORS = {
    "norm": "context_add_norm_1",
    "qkv": "context_qkv_gemm",
    "o": "context_proj_gemm",
    "gate_up": "context_gate_ffn1_gemm",
    "act": "context_act_gate",
    "down": "context_ffn2_gemm",
    "embed": "context_embedding",
    "head": "context_logits_gemm",
    "prefill": "context_attention",
}
"""Our word → the estimator's operator. Their times depend on the rows of a step alone, but for prefill: attention of
new tokens over cached ones and themselves, rotation and cache writes included."""
ONCE = ("embed", "head")
"""Operators of a model, the others are of every layer."""
DECODE = "generation_attention"
BATCHES = (1, 2, 3, 4, 5, 6, 8, 16, 32, 64, 128, 256, 512)
CONTEXTS = (32, 64, 96, 128, 192, 256, 384, 512, 640, 1024, 2048, 4096)
"""Decoding is tabulated for these: powers of two are measured, between them the estimator bends."""
HOW = (
    f"The estimator of the package, asked for each operator alone: at 1 to {ROWS} rows, of which those points are kept "
    f"from which straight lines give back all others within {TOLERANCE:.0%}; attention of decoding at {len(BATCHES)} "
    f"batch sizes times {len(CONTEXTS)} contexts of each sequence. prefill is attention without cached tokens, "
    "prefill_fixed what of it does not grow with them. Four significant digits."
)


@dataclass(frozen=True)
class Line:
    """One number of the table; its fields are the columns that stand behind stack and shape."""

    part: str
    rows: int
    context: int | None
    """Tokens of each sequence; None where they do not matter."""
    ms: float

    def __str__(self) -> str:
        context = "" if self.context is None else self.context
        return f"{self.part},{self.rows},{context},{1000 * self.ms:.4g}"


class Estimator:
    """The package's estimator for one stack and one model, per layer, in ms."""

    def __init__(self, engine: Any, stack: Stack, shape: Shape) -> None:
        with TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(_config(shape)), encoding="utf-8")
            self._engine = engine.EngineHandle(engine.compile_engine(folder, SYSTEM, stack))
        self._layers = shape.layers
        context, generation = self._engine.run_static_per_op(batch_size=1, isl=16, osl=2)
        named = [operator[0] for operator in context]
        self._context = [named.index(name) for name in OPERATORS.values()]
        self._decode = [[operator[0] for operator in generation].index(DECODE)]

    def times(self, new: int, past: int = 0) -> list[float]:
        """Every operator for `new` rows; they are tokens of one sequence of which `past` are cached."""
        found = self._engine.evaluate_context_ops(self._context, batch_size=1, s=new, prefix=past, x=new)
        return [
            float(operator[1]) / (1 if part in ONCE else self._layers)
            for part, operator in zip(OPERATORS, found, strict=True)
        ]

    def prefill(self, new: int, past: int) -> float:
        """Attention of `new` tokens over `past` cached ones and themselves."""
        return dict(zip(OPERATORS, self.times(new, past), strict=True))["prefill"]

    def decode(self, batch: int, context: int) -> float:
        """Attention of one new token in each of `batch` sequences of `context` tokens."""
        (found,) = self._engine.evaluate_generation_ops(self._decode, batch_size=batch, s=context)
        return float(found[1]) / self._layers


def main(out: Path) -> list[Path]:
    """Write tables.csv and tables.toml into the folder `out`; returns their paths.

    Raises UserError where the package is missing or of another version, and where its estimator no longer follows
    the rule for cached tokens that `model.py` uses.
    """
    engine, root = _package()
    lines = [",".join(COLUMNS)]
    for stack in STACKS:
        for shape in SHAPES:
            made = table(Estimator(engine, stack, shape))
            lines += [f"{stack},{shape.name},{line}" for line in made]
    text = "\n".join(lines) + "\n"
    files = [*_sources(root), root / "systems" / f"{SYSTEM}.yaml"]
    csv, card = out / "tables.csv", out / "tables.toml"
    provenance = _provenance(text, root, files)
    csv.write_text(text, encoding="utf-8", newline="\n")
    card.write_text(provenance, encoding="utf-8", newline="\n")
    return [csv, card]


def table(estimator: Estimator) -> Iterator[Line]:
    """The lines of one stack and model, part by part."""
    import numpy as np

    rows = np.arange(1, ROWS + 1)
    times = np.array([estimator.times(int(new)) for new in rows])
    for part, ms in zip(OPERATORS, times.T, strict=True):
        for at in knots(rows, ms, TOLERANCE):
            yield Line(part, int(rows[at]), None, float(ms[at]))
    prompts = times[:, list(OPERATORS).index("prefill")]
    yield Line("prefill_fixed", 0, None, _fixed(estimator, prompts))
    for batch in BATCHES:
        for context in CONTEXTS:
            yield Line("decode", batch, context, estimator.decode(batch, context))


def _fixed(estimator: Estimator, prompts: NDArray[np.float64]) -> float:
    """The part of prefill attention that is outside the kernel: c in (T(all) - c) * (1 - past²/all²) + c.

    Raises UserError where the estimator follows another rule.
    """

    def share(new: int, past: int) -> float:
        return 1 - (past / (new + past)) ** 2

    new, past = 16, 496
    part = share(new, past)
    fixed = (estimator.prefill(new, past) - prompts[new + past - 1] * part) / (1 - part)
    for new, past in ((1, 3000), (100, 100), (700, 3), (2048, 2048), (64, 1024)):
        ruled = (prompts[new + past - 1] - fixed) * share(new, past) + fixed
        if abs(ruled / estimator.prefill(new, past) - 1) > 1e-6:
            raise UserError(
                f"{PACKAGE} times {new} new tokens after {past} cached ones by another rule than its {VERSION}; "
                "install that version."
            )
    return float(fixed)


def _package() -> tuple[Any, Path]:
    """The package's engine module and its folder."""
    try:
        installed = metadata.version(PACKAGE)
        if installed != VERSION:
            raise UserError(
                f"the cost tables are made from {PACKAGE} {VERSION}, here is {installed}; install that version, for "
                "another one gives other numbers."
            )
        engine = importlib.import_module("aiconfigurator_core.sdk.engine")
    except (metadata.PackageNotFoundError, ImportError) as error:
        raise UserError(
            f"the cost tables are made from the package {PACKAGE} {VERSION}, which cannot be loaded here ({error}); "
            f"say `pip install --no-deps {PACKAGE}=={VERSION} pyyaml`, the tables in the project serve without it."
        ) from None
    return engine, Path(str(engine.__file__)).parents[1]


def _config(shape: Shape) -> dict[str, object]:
    """What the estimator wants to know of a model, in the form of Hugging Face's config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "torch_dtype": "float16",
        "tie_word_embeddings": False,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
    }


def _sources(root: Path) -> list[Path]:
    """The measured tables that the estimator reads for these stacks."""
    data = root / "systems" / "data" / SYSTEM
    wanted = (("attention", "context_attention"), ("attention", "generation_attention"), ("gemm", "gemm"))
    return sorted(
        path
        for stack in STACKS
        for kind, name in wanted
        for path in data.glob(f"{kind}/{stack}/*/{name}_perf.parquet")
    )


def _most_heads(path: Path) -> int:
    """Most heads that have keys and values of their own in a measured table of attention."""
    import pandas as pd

    rows = pd.read_parquet(path, columns=["num_heads", "num_key_value_heads"])
    own = rows["num_heads"][rows["num_heads"] == rows["num_key_value_heads"]]
    return int(own.max())


def _provenance(text: str, root: Path, files: list[Path]) -> str:
    """tables.toml: what the table is and where it comes from."""
    lines = [
        "# Where tables.csv comes from. Both files are written by `remeasure do blockllm costs`.",
        f'package = "{PACKAGE}"',
        f'version = "{VERSION}"',
        'publisher = "NVIDIA"',
        'licence = "Apache-2.0"',
        'device = "NVIDIA A100-SXM4-80GB"',
        f'shapes = "LLaMA-2 {SHAPES[0].name} and {SHAPES[1].name}, fp16, one GPU"',
        'unit = "us; of one layer, but for embed and head"',
        f'how = "{HOW}"',
        f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"',
        "",
        "# Heads with keys and values of their own, most of them in the measured table of decoding. A model with more",
        "# heads than that (these have 32 and 40) has decoding times that the package extrapolated.",
        "[decode_heads_measured]",
    ]
    decode = [path for path in files if path.name.startswith("generation")]
    lines += [f"{path.parts[-3]} = {_most_heads(path)}" for path in decode]
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines += ["", "[[source]]", f'path = "{path.relative_to(root).as_posix()}"', f'sha256 = "{digest}"']
    return "\n".join(lines) + "\n"
