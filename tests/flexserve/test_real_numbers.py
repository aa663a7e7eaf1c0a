"""The host server gives the plain model's numbers however it stores, protects and loads, and a changed bit shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from flexserve.live_numbers import FLEX, PROTECTIONS, flip, part_bytes, same_as_plain
from flexserve.live_pages import MICRO, PARTS, PROMPT
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.common import llama
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.systems import NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE

runs = st.builds(
    lambda system, granularity, crypto, authenticated, protected, overlap, **rest: replace(
        MICRO,
        system=replace(
            system,
            granularity=granularity,
            crypto=crypto,
            authenticated=authenticated,
            protected=protected,
            overlap=overlap,
            cache="cooperative",
        ),
        **rest,
    ),
    system=st.sampled_from([FLEX, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE]),
    granularity=st.sampled_from(["layer", "4 MiB", "64 KiB"]),
    crypto=st.sampled_from(["none", "software", "inline"]),
    authenticated=st.booleans(),
    protected=st.booleans(),
    overlap=st.booleans(),
    protection=st.sampled_from(PROTECTIONS),
    pool=st.sampled_from(["warm", "cold"]),
    cached_parts=st.integers(0, PARTS),
    read=st.sampled_from(["direct", "buffered"]),
)


@settings(max_examples=30)
@given(
    runs, st.lists(st.integers(0, 95), min_size=1, max_size=24), st.lists(st.sets(st.integers(0, PARTS - 1)))
)
def test_logits_and_tokens_are_those_of_the_plain_model_whatever_is_cached_and_reclaimed(
    root, run, prompt, reclaims
):
    with HostServer(run, root) as server:
        assert same_as_plain(server, prompt)
        for parts in reclaims[:3]:
            server.release()
            assert server.resident == frozenset(range(run.cached_parts))
            server.reclaim(parts)
            assert same_as_plain(server, prompt)


@settings(max_examples=15)
@given(st.data())
def test_mutant_with_one_flipped_bit_in_a_weight_is_caught(root, data):
    part = data.draw(st.integers(0, PARTS - 1))
    with HostServer(replace(MICRO, system=replace(FLEX, cache="always")), root) as server:
        assert same_as_plain(server)
        used = part_bytes(server, part).view(np.uint32)
        words = len(used) if part else 4 * llama.MICRO.width  # of the embedding: rows that the prompt reads
        start = PROMPT[0] * llama.MICRO.width if part == 0 else 0
        used[start + data.draw(st.integers(0, min(words, llama.MICRO.width) - 1))] ^= 1 << 29
        server.release()
        assert server.resident == frozenset(range(PARTS))
        assert not same_as_plain(server)


def test_mutant_without_authentication_is_caught_computing_from_a_tampered_part(serve, tmp_path):
    server = serve(at=tmp_path, system=replace(FLEX, authenticated=False))
    flip(tmp_path, 1)
    assert not same_as_plain(server)
