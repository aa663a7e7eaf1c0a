"""Transfers and loading: more bytes never arrive sooner, more bandwidth never makes them later."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from blockllm.cost_steps import whole
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.cost.costs import Costs
from remeasure.impls.blockllm.sim.cost.network import (
    CROSS_NODES,
    IN_NODE,
    LOADERS,
    CrossNode,
    Link,
    Loader,
    cross_node,
    loader,
)
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B

links = st.sampled_from([IN_NODE, *CROSS_NODES.values(), *LOADERS.values()])
sizes = st.integers(0, 10**11)


def check(link: Link, few: int, many: int, faster: float) -> None:
    assert few / link.bytes_per_s <= link.seconds(few) <= link.seconds(many)
    assert replace(link, bytes_per_s=faster * link.bytes_per_s).seconds(many) <= link.seconds(many)


@given(links, sizes, sizes, st.floats(1, 100))
def test_transfers_grow_with_bytes_and_shrink_with_bandwidth(
    link: Link, a: int, b: int, faster: float
) -> None:
    check(link, min(a, b), max(a, b), faster)


def test_that_check_finds_a_link_that_divides_its_bytes() -> None:
    class Halving(Link):
        def seconds(self, nbytes: float) -> float:
            return super().seconds(nbytes / 2)

    with pytest.raises(AssertionError):
        check(Halving(0.0, 1e9), 10**6, 10**7, 2)


@pytest.mark.parametrize(
    ("tokens", "line", "measured", "nvlink"),
    [(128, 5.4, 8.6, 0.29), (512, 21.5, 34.4, 1.2), (1024, 42.9, 68.8, 2.3), (2048, 85.9, 137.7, 4.7)],
)
def test_moving_a_kv_cache_takes_the_specified_times(
    tokens: int, line: float, measured: float, nvlink: float
) -> None:
    nbytes = tokens * LLAMA_7B.kv_bytes_per_token
    for name, ms in (("100g line", line), ("100g measured", measured)):
        assert 1000 * CROSS_NODES[name].seconds(nbytes) == pytest.approx(ms, rel=0.01)
    assert 1000 * IN_NODE.seconds(nbytes) == pytest.approx(nvlink, rel=0.04)


def test_recomputing_a_prefix_takes_the_specified_times() -> None:
    """Where moving the KV cache of a 7B model over 100 Gb/s costs 0.41 to 1.17 of computing it again."""
    model, ratios = Costs("vllm").of(LLAMA_7B), []
    for tokens, ms in ((128, 13.0), (512, 32.9), (1024, 61.1), (2048, 117.5)):
        again = model.step_ms(whole(prefills=[(tokens, 0)]))
        assert again == pytest.approx(ms, rel=0.01)
        ratios += [
            1000 * CROSS_NODES[name].seconds(tokens * LLAMA_7B.kv_bytes_per_token) / again
            for name in ("100g line", "100g measured")
        ]
    assert (round(min(ratios), 2), round(max(ratios), 2)) == (0.41, 1.17)


def test_loading_takes_the_specified_times() -> None:
    host, nvme, slow = (loader(name) for name in get_args(Loader))
    assert 1000 * host.seconds(LLAMA_7B.layer_bytes) == pytest.approx(16, rel=0.02)
    assert host.seconds(LLAMA_7B.model_bytes) == pytest.approx(0.54, rel=0.01)
    assert nvme.seconds(LLAMA_7B.model_bytes) == pytest.approx(2.7, rel=0.01)
    assert slow.seconds(60e9) == pytest.approx(34, rel=0.05) and slow.seconds(138e9) == pytest.approx(
        84, rel=0.05
    )


def test_links_between_servers_are_those_of_the_specification() -> None:
    assert cross_node("100g measured") == Link(24e-6, 7.8e9)
    assert cross_node("100g line") == Link(24e-6, 12.5e9)
    assert cross_node("25g") == Link(24e-6, 3.125e9)
    assert cross_node("nvlink") == IN_NODE == Link(8e-6, 230e9)


def test_every_name_has_its_link_and_another_is_refused() -> None:
    assert set(get_args(CrossNode)) == set(CROSS_NODES) and set(get_args(Loader)) == set(LOADERS)
    with pytest.raises(UserError, match="no link between servers '1g'; choose one of 100g measured"):
        cross_node("1g")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no loader 'tape'; choose one of host, nvme, slow"):
        loader("tape")  # type: ignore[arg-type]
