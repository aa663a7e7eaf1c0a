"""The host runs the policy's page ledger: it agrees with what really happens, whatever is done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flexserve.live_pages import (
    FINE,
    MICRO,
    PARTS,
    PATIENCE_S,
    POOLS,
    PROMPT,
    Watched,
    agrees,
    everything,
    states,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.policy.pages import (
    State,
)
from remeasure.impls.flexserve.real.pages import KV_OWNER, pages_of, part_owner
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

# --- states over a server's life -------------------------------------------------------------------------------------


@POOLS
def test_pages_go_from_the_kernel_to_plaintext_and_back(serve, pool):
    server = serve(pool=pool)
    sizes = [*server._memory.nbytes, server._kv.nbytes]
    assert server.pages.total_pages == sum(map(pages_of, sizes))
    assert everything(server) == {State.FLEX_EMPTY if pool == "warm" else State.NW}
    server.prefill(PROMPT)
    assert everything(server) == {State.FLEX_PLAIN} and agrees(server)
    server.decode(2)
    server.release()
    assert everything(server) == {State.FLEX_PLAIN if pool == "warm" else State.NW} and agrees(server)
    server.prefill(PROMPT)
    assert everything(server) == {State.FLEX_PLAIN} and agrees(server)
    serve.close()
    assert everything(server) == {State.NW} and server.pages.protected == 0


def test_release_of_a_cold_pool_keeps_the_kept_parts_and_no_other_page(serve):
    server = serve(pool="cold", system=replace(MICRO.system, cache="cooperative"), cached_parts=2)
    server.prefill(PROMPT)
    server.release()
    kept = sum(server._pages.place(part_owner(part)).pages for part in range(2))
    assert server.pages.count(State.FLEX_PLAIN) == kept == server.pages.protected
    assert agrees(server)


@pytest.mark.parametrize("system", [FLEXSERVE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE])
def test_every_protected_system_has_a_ledger_in_ordinary_memory_too(serve, system):
    server = serve(system=cold(system), protection="none")
    server.prefill(PROMPT)
    assert everything(server) == {State.FLEX_PLAIN} and agrees(server)
    assert "unprotected" in server.label


def test_the_unprotected_system_has_no_ledger_and_serves(serve):
    server = serve(system=NW_BASE)
    assert server.pages is None
    first = server.prefill(PROMPT)
    server.swap_out()
    server.swap_in()
    server.reclaim([1]).result(PATIENCE_S)
    assert server.prefill(PROMPT).token == first.token


@settings(max_examples=25)
@given(
    st.builds(
        lambda system, granularity, crypto, overlap, **rest: replace(
            MICRO,
            system=replace(
                cold(system), granularity=granularity, crypto=crypto, overlap=overlap, cache="cooperative"
            ),
            **rest,
        ),
        system=st.sampled_from([FLEXSERVE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE]),
        granularity=st.sampled_from(["layer", "64 KiB"]),
        crypto=st.sampled_from(["none", "software"]),
        overlap=st.booleans(),
        pool=st.sampled_from(["warm", "cold"]),
        cached_parts=st.integers(0, PARTS),
    ),
    st.lists(
        st.sampled_from(["prefill", "release", "reclaim", "reclaim 0", "out", "in", "decode"]), max_size=9
    ),
)
def test_whatever_is_done_the_ledger_agrees_with_what_really_happens(root, run, todo):
    with Watched(run, root) as watched:
        server = watched.server
        for what in todo:
            try:
                {
                    "prefill": lambda: server.prefill(PROMPT),
                    "release": server.release,
                    "reclaim": lambda: server.reclaim(range(PARTS)).result(PATIENCE_S),
                    "reclaim 0": lambda: server.reclaim([0]).result(PATIENCE_S),
                    "out": server.swap_out,
                    "in": server.swap_in,
                    "decode": lambda: server.decode(1),
                }[what]()
            except ValueError as error:  # out of turn
                assert what in ("out", "in", "decode"), error
            assert agrees(server)
    assert not watched.faults
    assert everything(server) == {State.NW}


# --- failed decryption ------------------------------------------------------------------------------------------------


@POOLS
@pytest.mark.parametrize("run", [MICRO, FINE], ids=["layers", "chunks"])
def test_after_a_tampered_part_pages_count_as_plaintext_or_went_back(serve, tmp_path, pool, run):
    server = serve(run, at=tmp_path, pool=pool)
    (path,) = tmp_path.glob("*/part-00002-*.bin")
    content = bytearray(path.read_bytes())
    content[3] ^= 0x20
    path.write_bytes(content)
    with pytest.raises(UserError, match="part-00002"):
        server.prefill(PROMPT)
    if pool == "cold":
        assert everything(server) == {State.NW}
    else:
        assert everything(server) <= {State.FLEX_EMPTY, State.FLEX_PLAIN}
        assert states(server, part_owner(1)) == {State.FLEX_PLAIN} == states(server, KV_OWNER)
        assert State.FLEX_PLAIN in states(server, part_owner(2))
        assert not any(any(server._memory.view(part, 0, n)) for part, n in enumerate(server._memory.nbytes))
    assert agrees(server)
    serve.close()
    assert everything(server) == {State.NW}
