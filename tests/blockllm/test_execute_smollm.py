"""Invariants 7 and 8 on SmolLM2 itself, whose shapes are what the tile proof is about."""

from __future__ import annotations

import pytest
import torch
from blockllm.execute_tenants import blocks_of, chain_of, drawn, same_bits

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Chain
from remeasure.impls.blockllm.execute.executor import Executor
from remeasure.impls.blockllm.execute.monolith import Monolith
from remeasure.impls.blockllm.execute.speculation import speculate
from remeasure.impls.blockllm.groups import Kind, split
from remeasure.impls.common import llama, smollm
from remeasure.impls.common.llama import SMOLLM2_135M

pytestmark = pytest.mark.slow
KINDS: tuple[Kind, ...] = ("delta_lora", "delta_adapter", "delta_bitfit", "delta_prefix")
PROMPT = [504, 3575, 282, 4649, 314]
"""The capital of France is."""


@pytest.fixture(scope="module")
def weights() -> list[llama.Weights]:
    try:
        return smollm.load()
    except UserError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def chains(weights: list[llama.Weights]) -> dict[str, Chain]:
    """The foundation and a tenant of each kind of delta, small ones."""
    config = SMOLLM2_135M
    own = blocks_of("smollm", split(config, weights), config)
    found = {"base": chain_of("base", own, None, {}, config)}
    for seed, kind in enumerate(KINDS):
        found[kind] = chain_of(kind, own, kind, drawn(kind, seed, config, 0.02), config)
    return found


def test_the_monolith_decodes_what_the_plain_model_does(
    weights: list[llama.Weights], chains: dict[str, Chain]
) -> None:
    tokens, logits = llama.greedy(SMOLLM2_135M, weights, PROMPT, 3)
    found, judged = Monolith(chains["base"]).greedy(PROMPT, 3)
    assert found == tokens
    assert torch.allclose(judged, logits, atol=1e-3)


def test_tenants_in_one_batch_get_the_bits_of_their_monoliths(chains: dict[str, Chain]) -> None:
    executor = Executor(chains, "tile")
    prompts = {tenant: PROMPT[: n + 1] for n, tenant in enumerate(chains)}
    for tenant, prompt in prompts.items():
        executor.add(tenant, tenant, 8)
        executor.feed(tenant, prompt)
    first = executor.step()
    for tenant, logits in first.items():
        executor.feed(tenant, [int(logits.argmax())])
    second = executor.step()
    for tenant, prompt in prompts.items():
        _, expected = Monolith(chains[tenant], "tile").greedy(prompt, 2)
        assert same_bits(torch.cat((first[tenant], second[tenant])), expected), tenant


def test_speculation_changes_no_token(chains: dict[str, Chain]) -> None:
    expected, _ = Monolith(chains["base"], "tile").greedy(PROMPT, 5)
    found = speculate(chains["base"], chains["delta_lora"], PROMPT, 5, 3, "tile")
    assert found.tokens == expected
