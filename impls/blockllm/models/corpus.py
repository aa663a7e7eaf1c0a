"""Text as blocks of tokens: what models are trained on and judged by.

A tenant's text comes as plain strings; the model says how it is cut into tokens: SmolLM2's own tokenizer, or its
bytes where the vocabulary has 256 tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch

from remeasure.errors import UserError
from remeasure.impls.common import smollm
from remeasure.impls.common.llama import SMOLLM2_135M, LlamaConfig

Texts = Mapping[str, tuple[str, str]]
"""By tenant: the text to train on, and text of the same kind that is held out."""
BYTES = 256
"""Vocabulary of a model that reads bytes."""


def digest(text: str) -> str:
    """sha256 of a text, in hex: what a recipe knows it by."""
    return hashlib.sha256(text.encode()).hexdigest()


def encode(config: LlamaConfig, text: str) -> torch.Tensor:
    """A text as tokens, int64 [tokens], for a model of this vocabulary.

    Raises ValueError for a vocabulary of neither kind, UserError where SmolLM2's package is missing.
    """
    if config.vocab == BYTES:
        return torch.from_numpy(np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64))
    if config.vocab == SMOLLM2_135M.vocab:
        return torch.tensor(smollm.tokenizer().encode(text, add_special_tokens=False).ids)
    raise ValueError(f"nobody knows how a vocabulary of {config.vocab} tokens cuts text")


def blocks(tokens: torch.Tensor, length: int) -> torch.Tensor:
    """Blocks [count, length + 1] in the order of the text, each of which begins with the last token of the one before:
    so that the first `length` tokens of a block predict its last `length`, and each token is predicted once.

    What remains at the end is left out. Raises UserError for a text without one whole block.
    """
    if len(tokens) <= length:
        raise UserError(
            f"a text of {len(tokens)} tokens is too short for a block of {length} and the token that follows it; "
            "give a longer text or ask for shorter blocks."
        )
    return tokens.unfold(0, length + 1, length)
