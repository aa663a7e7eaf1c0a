"""A zoo in a folder, and a family of three models that share most of their groups."""

from __future__ import annotations

from pathlib import Path

from blockllm.zoo_models import model

from remeasure.impls.blockllm.zoo.store import Zoo

FAMILY = [model("base"), model("lora", delta={1: 0, 2: 1}), model("top", (0, 0, 0, 1, 1, 0))]


def zoo(root: Path) -> Zoo:
    return Zoo(root, threads=2)
