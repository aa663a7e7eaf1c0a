"""Families of tiny models for the tests of the zoo, where it is chosen group by group what is equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import torch
from hypothesis import strategies as st

from remeasure.impls.blockllm.chain import Delta, Model
from remeasure.impls.blockllm.groups import Place, places, tensors_at
from remeasure.impls.common.llama import LlamaConfig, Weights

TINY = LlamaConfig(2, 12, 3, 1, 20, 17, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
"""Sizes that are no multiples of anything, so that nothing is aligned by luck."""
PLACES = places(TINY)
SETTINGS: Mapping[str, int | float | str] = {"rank": 2, "scale": 0.5, "made by": "a test"}
Versions = Sequence[int]
"""Which version of each group a model has; equal numbers at a place are equal groups."""


@cache
def group(place: Place, version: int, config: LlamaConfig = TINY) -> Weights:
    rng = np.random.default_rng([PLACES.index(place), version])
    return {
        spec.name: torch.from_numpy(rng.standard_normal(spec.shape)).half()
        for spec in tensors_at(config, place)
    }


@cache
def delta_at(place: Place, version: int) -> Weights:
    rng = np.random.default_rng([100 + PLACES.index(place), version])
    return {
        name: torch.from_numpy(rng.standard_normal(shape)).half()
        for name, shape in (("up.inner", (2, 12)), ("up.outer", (12, 2)))
    }


def model(name: str, versions: Versions = (0,) * 6, delta: Mapping[int, int] | None = None) -> Model:
    """`versions` by place; `delta`: by the number of a place, which version of a delta acts there."""
    groups = [dict(group(place, version)) for place, version in zip(PLACES, versions, strict=True)]
    acting = {
        PLACES[number]: dict(delta_at(PLACES[number], version)) for number, version in (delta or {}).items()
    }
    return Model(
        name, TINY, groups, Delta("delta_lora", acting, SETTINGS) if acting else None, "some foundation"
    )


def bits(weights: Weights) -> dict[str, tuple[torch.dtype, tuple[int, ...], bytes]]:
    """All that a group is, comparable; `==` on tensors would not tell 0.0 from -0.0."""
    return {
        name: (
            tensor.dtype,
            tuple(tensor.shape),
            tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes(),
        )
        for name, tensor in weights.items()
    }


def same(left: Model, right: Model) -> bool:
    """Whether two models are the same, bit for bit."""
    if (left.delta is None) != (right.delta is None):
        return False
    if left.delta is not None and right.delta is not None:
        a, b = ({place: bits(w) for place, w in d.tensors.items()} for d in (left.delta, right.delta))
        if (left.delta.kind, dict(left.delta.settings), a) != (
            right.delta.kind,
            dict(right.delta.settings),
            b,
        ):
            return False
    facts = [(m.name, m.config, m.parent, [bits(weights) for weights in m.groups]) for m in (left, right)]
    return facts[0] == facts[1]


@st.composite
def families(draw: st.DrawFn, least: int = 1, most: int = 4) -> list[Model]:
    """Models that share some of their groups and deltas."""
    count = draw(st.integers(least, most))
    version = st.integers(0, 2)
    return [
        model(
            f"tenant {number}",
            draw(st.tuples(*[version] * len(PLACES))),
            draw(st.dictionaries(st.integers(1, len(PLACES) - 2), version, max_size=2)),
        )
        for number in range(count)
    ]
