"""Speculation in the simulator: what it costs and saves is what can be computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blockllm.sim_fakes import TINY, Linear, asked, cluster, tenants
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.sim import speculation
from remeasure.impls.blockllm.sim.simulate import simulate
from remeasure.impls.blockllm.sim.systems import BLOCKLLM

COSTS = Linear(cached=0.0)
PLAIN = replace(
    BLOCKLLM,
    speculation="off",
    scaling=False,
    replica_share=0.0,
    hop_overhead_us=0.0,
    kv_reserve=0.0,
    delta_us_per_row_group=0.0,
)
EXACT = replace(PLAIN, speculation="exact", surrogate_time=0.1, draft_tokens=4)
HALF, HEAD = 0.5e-3, 0.25e-3
"""Seconds of a half layer without its rows, of the head for one row."""


def one(serving, output, machines=None, apps=("foundation",)):
    """First and last token of a single request for the last app, with 10 tokens of prompt."""
    trace = asked([1.0], [len(apps) - 1], [10], [output], len(apps))
    seen = simulate(serving, machines or cluster(1), tenants(*apps), trace, COSTS, 0)
    return float(seen.first_s[0]), float(seen.finish_s[0]), seen.counts


def step_s(halves, tokens, wanted):
    return halves * (HALF + 0.05e-3 * tokens) + HEAD * wanted


def test_every_draft_accepted_takes_drafting_and_verifying_and_yields_them_all():
    first, last, counts = one(replace(EXACT, acceptance=1.0), output=11)
    halves = 2 * TINY.layers
    passes = 2  # of five tokens each, after the first token
    each = 4 * 0.1 * step_s(halves, 1, 1) + step_s(halves, 5, 5)
    assert first == pytest.approx(1.0 + step_s(halves, 10, 1))
    assert last - first == pytest.approx(passes * each)
    assert (counts.drafted, counts.accepted) == (8, 8)


def test_a_draft_is_cut_at_the_end_of_the_answer():
    _, _, counts = one(replace(EXACT, acceptance=1.0), output=4)
    assert (counts.drafted, counts.accepted) == (4, 2)


@pytest.mark.parametrize("move", ["cheaper", "recompute", "transfer"])
def test_drafts_at_the_end_of_the_context_can_be_moved_and_computed_again(move):
    serving = replace(
        EXACT,
        acceptance=0.9,
        kv="random",
        kv_move=move,
        granularity="layer",
        placement="random",
        replica_share=1.0,
    )
    n = 12
    trace = asked([0.01 * i for i in range(n)], [0] * n, [216] * n, [TINY.context - 216] * n)
    seen = simulate(serving, cluster(1, 1), tenants("foundation"), trace, COSTS, 0)
    assert (seen.finish_s > 0).all()
    assert seen.counts.drafted
    assert seen.counts.recomputed or sum(seen.counts.transfers)


def test_where_no_draft_would_be_accepted_none_is_made():
    speculating, plain = one(replace(EXACT, acceptance=0.0), 11), one(PLAIN, 11)
    assert speculating[:2] == plain[:2]
    assert not speculating[2].drafted


def test_where_drafting_does_not_pay_none_is_made():
    assert not one(replace(EXACT, acceptance=0.5, surrogate_time=1.0), 11)[2].drafted


@given(acceptance=st.floats(0.3, 0.95), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_accepted_share_is_that_of_a_run_of_successes(acceptance, seed):
    requests = 40
    trace = asked([0.01 * n for n in range(requests)], [0] * requests, [5] * requests, [101] * requests, 1)
    serving = replace(EXACT, acceptance=acceptance, surrogate_time=0.02)
    cheap = Linear(token=0.0, head=0.0, cached=0.0)  # every draft pays
    counts = simulate(serving, cluster(1), tenants("foundation"), trace, cheap, seed).counts
    expected = sum(acceptance**n for n in range(1, 5)) / 4
    assert counts.drafted > 2500
    assert counts.accepted / counts.drafted == pytest.approx(expected, abs=0.06)


# --- tolerant: two blocks on two GPUs --------------------------------------------------------------------------------

APART = replace(PLAIN, placement="round_robin", kv="owner", assembly=False)
MACHINES = cluster(2)
CHAIN = ("foundation", "top")


def blocks():
    """Seconds of the chain's lower and upper block for one row, and of the hops there and back."""
    lower, upper = step_s(6, 1, 0), step_s(2, 1, 1)
    there, back = 2e-4 + TINY.hidden_bytes_per_token / 1e9, 2e-4 + 4 / 1e9
    return lower, upper, there, back


def per_token(serving, output=11):
    first, last, counts = one(serving, output, MACHINES, CHAIN)
    return (last - first) / (output - 1), counts


def test_without_speculation_a_step_takes_both_blocks_and_both_hops():
    found, counts = per_token(APART)
    # The first token also has to come back before the second pass; the last one need not.
    assert found == pytest.approx(sum(blocks()))
    assert counts.hops[1] == 21


def test_every_guess_accepted_takes_the_lower_block_and_the_surrogate():
    found, counts = per_token(replace(APART, speculation="tolerant", acceptance=1.0, surrogate_time=0.25))
    lower, upper, _there, back = blocks()
    # The first token comes from the prompt's pass, which nobody guesses: its way back is in the mean.
    assert found == pytest.approx(lower + 0.25 * upper + back / 10)
    assert (counts.drafted, counts.accepted) == (10, 10)


def test_every_guess_refused_takes_as_long_as_without_plus_the_surrogate():
    found, counts = per_token(replace(APART, speculation="tolerant", acceptance=0.0, surrogate_time=0.25))
    lower, upper, there, back = blocks()
    assert found == pytest.approx(lower + 0.25 * upper + there + upper + back)
    assert (counts.drafted, counts.accepted) == (10, 0)


def test_unchecked_guesses_spare_the_remote_block_all_decoding():
    trace = asked([1.0], [1], [10], [11], 2)
    apps = tenants(*CHAIN)
    checked, unchecked = (
        simulate(replace(APART, speculation=how, acceptance=1.0), MACHINES, apps, trace, COSTS, 0)
        for how in ("tolerant", "always")
    )
    assert checked.finish_s[0] == unchecked.finish_s[0]
    assert checked.blocks.iterations.sum() == unchecked.blocks.iterations.sum() + 10


def test_blocks_on_one_gpu_are_not_guessed():
    _, counts = per_token(replace(APART, placement="locality", speculation="tolerant"))
    assert not counts.drafted


def ranks_of_accepted(patch, by_length=False):
    """Where, from 0 (ends first) to 1 (ends last), those stand in their cohorts whose guesses are accepted."""
    honest, ranks = speculation.take_out, []

    def watched(cohort, rows, prompt, output):
        by_end = sorted(cohort.rows)
        if by_length:
            rows = by_end[: len(rows)]
        if len(rows) < len(by_end):
            ranks.extend(by_end.index(row) / (len(by_end) - 1) for row in rows)
        return honest(cohort, rows, prompt, output)

    patch.setattr(speculation, "take_out", watched)
    serving = replace(APART, speculation="tolerant", acceptance=0.5, surrogate_time=0.25)
    count = 12
    trace = asked([1.0] * count, [1] * count, [10] * count, [20 + 15 * i for i in range(count)], 2)
    simulate(serving, MACHINES, tenants(*CHAIN), trace, COSTS, 0)
    return np.array(ranks)


def test_whose_guess_is_accepted_has_nothing_to_do_with_the_length_of_the_answer(monkeypatch):
    ranks = ranks_of_accepted(monkeypatch)
    assert len(ranks) > 200
    assert ranks.mean() == pytest.approx(0.5, abs=4 * 0.32 / len(ranks) ** 0.5)  # 0.32: spread of ranks


def test_guesses_accepted_by_length_would_be_noticed(monkeypatch):
    ranks = ranks_of_accepted(monkeypatch, by_length=True)
    assert ranks.mean() < 0.5 - 8 * 0.32 / len(ranks) ** 0.5
