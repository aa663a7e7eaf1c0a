"""What the cases of the study report is what was measured: means by document, rules, tokens, bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from blockllm.test_study_decision import row

from remeasure.datasets.nltk_corpora.loader import Corpora, Request, load
from remeasure.impls.blockllm.cases.surrogates import ANYTHING
from remeasure.impls.blockllm.execute.speculation import Speculated as Found
from remeasure.impls.blockllm.family import technique_of, tenant_of
from remeasure.impls.blockllm.models.small import WIDTH_32
from remeasure.impls.blockllm.questions import Pruned, Speculated, Stitched, Swapped, Weighed
from remeasure.impls.blockllm.runs import speculation as speculation_runs
from remeasure.impls.blockllm.runs import stitch as stitch_runs
from remeasure.impls.blockllm.runs import storage as storage_runs
from remeasure.impls.blockllm.runs import study as study_runs
from remeasure.impls.blockllm.runs import surrogates as surrogate_runs
from remeasure.impls.blockllm.runs import swap as swap_runs
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B
from remeasure.impls.blockllm.study.compare import Divergences
from remeasure.impls.blockllm.study.swaps import Study
from remeasure.impls.blockllm.study.text import joined
from remeasure.impls.common import smollm

TENANTS = ("movie reviews", "speeches", "genesis german")
SWAPPED = Swapped(
    "micro",
    layers=(0, 1),
    swaps=12,
    across=2,
    length=12,
    valid=3,
    test=3,
    fitted=4,
    rule="cosine",
    cosine=-1.0,
)
PRUNED = Pruned("micro", layers=(0, 1), length=12, fitted=20, test=3)
SPECULATED = Speculated(
    "micro", layers=(0,), layer=0, prompt=6, new=6, length=12, fitted=20, prompts=1, tolerance=-1.0
)


@pytest.fixture(autouse=True, scope="module")
def variants_are_kept_apart(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("weights")
        patch.setattr(smollm, "cache_folder", lambda: folder)
        yield


@cache
def data() -> Corpora:
    return load(Request(tenants=TENANTS), None)


def of(run: Any) -> dict[str, Any]:
    found: dict[str, Any] = run()
    return found


def test_models_say_whose_they_are_and_how_they_were_made() -> None:
    named = {"smollm2": ("movie reviews", "base"), "lora-8 on speeches": ("speeches", "lora")}
    named |= {
        "top_layers-4 on genesis german": ("genesis german", "top_layers"),
        "full on speeches": ("speeches", "full"),
    }
    assert {name: (tenant_of(name, TENANTS), technique_of(name)) for name in named} == named


def test_documents_are_averaged_over_the_chains_of_their_tenant() -> None:
    zero, one = np.zeros(3), np.full(3, 0.5)
    apart = {
        "a on movie reviews": Divergences(np.array([0.2, 0.4, 0.6]), 1 - one, zero, np.log([1.1, 1.2, 1.3]))
    }
    names = ["smollm2", "a on movie reviews", "b on speeches"]
    texts = study_runs.by_tenant(WIDTH_32, data(), "test", 12, 3)

    def check() -> None:
        found = study_runs.over_chains(apart, {names[1]: zero}, names, texts)
        assert np.allclose(found["KL"], [0.1, 0.2, 0.3] + [0] * 6), "another mean"
        assert np.allclose(found["agreement"], [75] * 3 + [100] * 6)
        assert np.allclose(found["perplexity change"], [5, 10, 15] + [0] * 6)

    check()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_runs, "tenant_of", lambda name, tenants: tenants[0])
        with pytest.raises(AssertionError, match="another mean"):
            check()


def test_documents_are_named_in_the_order_in_which_their_numbers_come() -> None:
    texts = study_runs.by_tenant(WIDTH_32, data(), "test", 12, 2)
    named = study_runs.documents(texts)
    assert named["units"] == [f"{tenant} {number}" for tenant in TENANTS for number in (0, 1)]
    assert named["clusters"] == [tenant for tenant in TENANTS for _ in (0, 1)]
    assert joined(list(texts.values())).documents == 6


def measured(
    kls: list[float], probes: list[float], test: Mapping[int, float] | None = None
) -> swap_runs.Measured:
    """Swaps of one original whose divergences, and what a probe reads, are given; `test` where test text differs."""
    valid = [row(n, 1 - kl / 10, kl, 1.0) for n, kl in enumerate(kls)]
    other = [row(n, 1 - kl / 10, (test or {}).get(n, kl), 1.0) for n, kl in enumerate(kls)]
    read = [np.array([value]) for value in probes]
    nothing: Any = {}
    study = Study(tuple(valid), tuple(other), ())
    return swap_runs.Measured(nothing, study, (nothing, nothing), (read, read), (nothing, nothing), nothing)


def numbers(rows: Mapping[str, Divergences]) -> float:
    return float(next(iter(rows.values())).kl.mean()) if rows else 0.0


def test_a_probe_stops_before_the_first_harmful_swap() -> None:
    found = measured([0.001, 0.05, 0.002, 0.003], [0.1, 0.3, 0.2, 0.4])
    judged, more = swap_runs._by_probe(found, SWAPPED)
    assert (judged.share, more["threshold, nat"]) == (
        50.0,
        0.2,
    )  # the fourth is harmless, but above the second
    assert numbers(judged.apart) == 0.002
    none, more = swap_runs._by_probe(measured([0.05], [0.1]), SWAPPED)
    assert (none.share, more["threshold, nat"], none.apart) == (0.0, 0.0, {})


def test_rules_decide_on_validation_text_and_report_test_text() -> None:
    found = measured([0.001, 0.002, 0.05], [0.1] * 3, {0: 0.5, 1: 0.004, 2: 0.05})

    def check() -> None:
        judged = swap_runs._judged(
            found, {one.swap for one in found.study.valid if swap_runs.TARGETS.allows(one)}
        )
        assert judged.share == pytest.approx(200 / 3) and judged.wrongly == 50
        assert judged.alone == pytest.approx((0.5 + 0.004) / 2)
        assert numbers(judged.apart) == 0.004, "not the worst of validation text"

    check()
    right = swap_runs.worst_together
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(swap_runs, "worst_together", lambda rows, *rest: right(found.study.test, *rest))
        with pytest.raises(AssertionError, match="not the worst"):
            check()


def test_a_cosine_lets_through_whatever_is_alike() -> None:
    every = of(swap_runs.swapped(SWAPPED, data()))
    none = of(swap_runs.swapped(replace(SWAPPED, cosine=1.1), data()))
    assert every["allowed swaps"] == 100 and none["allowed swaps"] == 0
    assert none["KL"].tolist() == [0] * 9 and none["agreement"].tolist() == [100] * 9
    assert every["KL, worst chain"] >= every["KL"].max() > 0
    assert every["KL"].shape == every["perplexity change"].shape == (9,)


def test_the_reference_is_no_more_harmful_on_validation_text_than_it_may_be() -> None:
    found = of(swap_runs.swapped(replace(SWAPPED, rule="chain", cosine=0.0), data()))
    more = found["extras"]
    assert len(more["points"]["swap"]) == len(more["scatter"]["points"]) == 14
    assert sum(more["points"]["allowed"]) == round(found["allowed swaps"] * 12 / 100)
    assert all(x >= 1e-7 for x, *_ in more["scatter"]["points"])
    together = of(swap_runs.swapped(replace(SWAPPED, rule="chain", cosine=0.0, most=0), data()))
    chosen = [
        one
        for one in together["extras"]["sweep"]
        if one["joint KL"] <= 0.01 and one["joint agreement"] >= 0.97
    ]
    assert together["allowed swaps"] == pytest.approx(
        100 * max((one["allowed share"] for one in chosen), default=0)
    )


def test_whole_segments_are_swapped_between_models_without_deltas() -> None:
    found = of(swap_runs.swapped(replace(SWAPPED, rule="segments", cosine=0.0), data()))
    assert [one["swap"] for one in found["extras"]["segments"]] == [
        "foundation ← full on movie reviews",
        "full on movie reviews ← foundation",
    ]
    assert {one["blocks"] for one in found["extras"]["segments"]} == {2}


def test_a_fitted_stitch_misses_less_than_a_strawman() -> None:
    config = Stitched("micro", cuts=((1, 1),), length=12, fitted=60, test=3)
    found = {
        kind: of(stitch_runs.stitched(replace(config, variant=kind), data()))
        for kind in ("per cut", "random")
    }
    assert found["per cut"]["residual"] < found["random"]["residual"]
    assert found["per cut"]["parameters"] == 32 * 48 / 1000
    assert found["per cut"]["KL from the first model"].shape == (9,)
    within = of(stitch_runs.stitched(replace(config, into="itself", cuts=((0, 0),)), data()))
    assert within["agreement with the second"].mean() > 95 and "KL from the first model" not in within


def test_a_surrogate_that_lost_nothing_is_the_block() -> None:
    whole = of(surrogate_runs.judged(replace(PRUNED, removed=0.0), data()))
    half = of(surrogate_runs.judged(PRUNED, data()))
    assert whole["KL"].max() < 1e-4 and whole["cosine of what is added"].min() > 0.999
    assert half["KL"].mean() > whole["KL"].mean() and half["relative error"].shape == (9,)


def test_exact_speculation_changes_nothing_and_a_lax_one_is_noticed() -> None:
    exact = speculation_runs.speculated(replace(SPECULATED, how="exact"), data())
    assert of(exact)["tokens unchanged"] == [100] * 3 and len(of(exact)["acceptance"]) == 3
    right = speculation_runs.speculate

    def lax(chain: Any, draft: Any, *rest: Any) -> Found:
        return right(draft, draft, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speculation_runs, "speculate", lax)
        other = replace(SPECULATED, how="exact", removed=0.95)
        assert of(speculation_runs.speculated(other, data()))["tokens unchanged"] != [100] * 3


def test_never_and_always_are_the_ends_of_tolerance() -> None:
    never = of(speculation_runs.speculated(SPECULATED, data()))
    always = of(speculation_runs.speculated(replace(SPECULATED, tolerance=ANYTHING), data()))
    assert never["acceptance"] == [0] * 3 and never["tokens unchanged"] == [100] * 3
    assert max(never["KL"]) < 1e-9
    assert always["acceptance"] == [100] * 3 and min(always["KL"]) > 0


def test_storage_is_the_arithmetic_of_the_shapes() -> None:
    """12 × 7B: 6 with deltas, 3 with top layers, 2 full, 1 foundation; 8 × 13B: 3 or 4, 2, 2 or 1, 1."""
    separate = of(storage_runs.weighed(Weighed("pm"), 0))
    assert separate["storage"] == pytest.approx(12 * 13.4768 + 8 * 26.0317, rel=1e-4)
    assert separate["of separate models"] == 100
    zoo, backbones = (of(storage_runs.weighed(Weighed(kind), 3))["storage"] for kind in ("blockllm", "ps"))
    assert zoo < backbones < separate["storage"]
    shares = [of(storage_runs.weighed(Weighed(pe=0, full=full), 0)) for full in (0.0, 1.0)]
    assert shares[1]["of separate models"] == pytest.approx(100)
    # Without deltas and full fine-tunes every tenant but the foundation adds an eighth of its layers and its head.
    expected = 0.0
    for shape, tenants in ((LLAMA_7B, 12), (LLAMA_13B, 8)):
        layers = round(shape.layers / 8)
        whole = shape.layers * (shape.attn_bytes + shape.ffn_bytes) + shape.embed_bytes + shape.head_bytes
        own = layers * (shape.attn_bytes + shape.ffn_bytes) + shape.head_bytes
        expected += whole + (tenants - 1) * own
    assert shares[0]["storage"] == pytest.approx(expected / 1e9)
    assert of(storage_runs.weighed(Weighed(), 0)) == of(storage_runs.weighed(Weighed(), 7))
