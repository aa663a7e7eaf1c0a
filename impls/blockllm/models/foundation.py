"""The model that tenants' variants start from: SmolLM2-135M-Instruct, rounded once to fp16.

The rounding is part of the model: everything here, and every variant, begins with the rounded numbers. It is the
checkpoint whose groups the zoo stores and hashes (269 MB).
"""

from __future__ import annotations

from collections.abc import Sequence

from remeasure.impls.common import smollm
from remeasure.impls.common.llama import SMOLLM2_135M, LlamaConfig, Weights

from ..chain import Model
from ..groups import split

NAME = "smollm2"


def foundation() -> Model:
    """SmolLM2, as fp16 in memory of its own. Raises UserError where its package is missing."""
    return rounded(NAME, SMOLLM2_135M, smollm.load())


def rounded(name: str, config: LlamaConfig, parts: Sequence[Weights]) -> Model:
    """A foundation with these parts (embedding, layers, head), each number as the nearest of fp16."""
    halves = [{name: tensor.half() for name, tensor in part.items()} for part in parts]
    return Model(name, config, split(config, halves))
