"""Our beam search on a T5 of transformers against `generate`, with the same weights."""

from __future__ import annotations

import pytest
import torch

from remeasure.errors import UserError
from remeasure.impls.gr4ad.decoder.context import Encoded
from remeasure.impls.gr4ad.engine.beam import Beams, BeamSearch
from remeasure.impls.gr4ad.peers.questions import Generation
from remeasure.impls.gr4ad.peers.t5 import START, T5Decoder, T5Steps, begins, build

pytest.importorskip("transformers")

CODES = (16, 7, 5)
WIDTH = 12


def t5(seed: int = 0, tied: bool = True):
    return build(CODES, 32, 3, 4, torch.Generator().manual_seed(seed), tied)


def encoded(requests: int = 3, gaps: bool = False) -> Encoded:
    g = torch.Generator().manual_seed(7)
    x = torch.randn(requests, 9, 32, generator=g)
    first = torch.randint(0, 9, (requests, 1), generator=g) if gaps else torch.zeros(requests, 1)
    return Encoded(x, torch.arange(9) >= first)


def ours(model, context: Encoded, widths=(WIDTH,) * 3) -> Beams:
    return BeamSearch(CODES, widths, value=False).search(T5Steps(T5Decoder(model, CODES), context))


def same(one: Beams, other: Beams) -> None:
    """Equal scores, and equal ids but for those whose scores are as good as equal."""
    torch.testing.assert_close(one.log_p, other.log_p, rtol=0, atol=1e-4)
    for row in range(len(one.codes)):
        first, second = (dict(zip(map(tuple, b.codes[row].tolist()), b.log_p[row].tolist(), strict=True))
                         for b in (one, other))  # fmt: skip
        last = float(one.log_p[row, -1])
        assert len(first) == len(second) == one.codes.shape[1]
        for found, others in ((first, second), (second, first)):
            assert all(abs(score - others.get(code, last)) < 1e-4 for code, score in found.items())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("gaps", [True, False])
@pytest.mark.parametrize("once", [True, False])
def test_the_engine_finds_the_beams_of_generate_with_its_scores(tied, gaps, once):
    from remeasure.impls.gr4ad.peers.generate import generated

    model, context = t5(tied=tied), encoded(gaps=gaps)
    same(ours(model, context), generated(model, context, CODES, WIDTH, once))


def test_at_full_width_scores_are_those_of_the_models_own_forward_pass():
    model, context = t5(), encoded(1)
    found = ours(model, context, (16, 112, 560))
    codes = found.codes[0]
    assert len(codes.unique(dim=0)) == 560
    tokens = codes + torch.tensor(begins(CODES)[:-1])
    inputs = torch.cat((torch.full((560, 1), START), tokens[:, :2]), dim=1)
    with torch.inference_mode():
        logits = model(encoder_outputs=(context.x.expand(560, -1, -1),), decoder_input_ids=inputs).logits
    ends = begins(CODES)
    log_p = sum(
        logits[:, t, ends[t] : ends[t + 1]].log_softmax(-1).gather(1, codes[:, t : t + 1])[:, 0]
        for t in range(3)
    )
    torch.testing.assert_close(found.log_p[0], log_p, rtol=0, atol=1e-4)


def test_generate_does_not_run_the_encoder_whose_output_it_is_given(monkeypatch):
    from remeasure.impls.gr4ad.peers.generate import generated

    model = t5()
    before = generated(model, encoded(), CODES, WIDTH)
    calls = []
    model.encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        for name, weight in model.encoder.named_parameters():
            if name.startswith("block"):
                weight.fill_(torch.nan)
    assert torch.equal(generated(model, encoded(), CODES, WIDTH).log_p, before.log_p)
    assert not calls


def test_weights_come_from_the_generator_alone():
    state = torch.get_rng_state()
    one, other, third = t5(0), t5(0), t5(1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [dict(model.named_parameters()) for model in (one, other, third)]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())
    assert not torch.equal(weights[0]["shared.weight"], weights[2]["shared.weight"])


def test_a_head_of_its_own_is_no_table_of_tokens():
    tied, own = t5(), t5(tied=False)
    assert tied.lm_head.weight is tied.shared.weight
    assert not torch.equal(own.lm_head.weight, own.shared.weight)


@pytest.mark.parametrize("how", ["generate", "generate, X once", "engine"])
def test_every_arm_answers_a_request(how):
    from remeasure.impls.gr4ad.runs.generate import generating

    asked = Generation(how, width=8, codes=(16, 8, 8), d=32, layers=2, heads=4, places=8)
    assert generating(asked, 0)() is None


def test_without_transformers_the_case_says_what_to_install(monkeypatch):
    from remeasure.impls.gr4ad.runs import generate

    monkeypatch.setattr(generate.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="transformers is not installed; say `pip install transformers`"):
        generate.generating(Generation(), 0)
