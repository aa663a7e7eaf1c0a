"""Preference learning of small decoders, on lists of their own."""

from __future__ import annotations

import pytest
import torch
from gr4ad.test_train import fresh, samples
from gr4ad.tiny_models import every_id

from remeasure.impls.gr4ad.engine.index import Index
from remeasure.impls.gr4ad.learning.grpo import GRPO
from remeasure.impls.gr4ad.learning.norms import gradient_norm
from remeasure.impls.gr4ad.learning.prefer import Preference, PreferenceTrainer, id_log_p
from remeasure.impls.gr4ad.learning.preferences import DPO, RSPO, SDPO
from remeasure.impls.gr4ad.learning.updates import AdamW

CODES = (5, 4, 3)
INDEX = Index.of(every_id().numpy(), CODES)


def likes_a_high_first_code(rows: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    return 1.0 + every_id()[items][..., 0]


def trainer(objective, seed: int = 0, **how: object) -> PreferenceTrainer:
    settings = {"lists": 8, "length": 6, "widths": (5, 12, 20), "batch": 8, "adamw": AdamW(rate=3e-3)} | how
    return PreferenceTrainer(
        fresh(), samples(), INDEX, likes_a_high_first_code, Preference(objective=objective, **settings), seed
    )


OBJECTIVES = [DPO(), SDPO(), RSPO(), RSPO(rank_source="reward"), GRPO()]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_what_is_rewarded_becomes_likelier_than_by_imitation_alone(objective):
    def likely(force: float) -> float:
        learning = trainer(objective, norm=force)
        for _ in range(15):
            learning.step()
        asked, _, _ = learning.samples.batch(torch.arange(20))
        with torch.no_grad():
            first = learning.decoder.eval()(asked, every_id()[:20]).tokens[0]
        return float(first.softmax(-1)[:, 4].mean())

    assert likely(8.0) > 1.1 * likely(1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_every_objective_begins_with_the_wanted_force(objective):
    learning = trainer(objective, norm=3.0)
    forced = []
    force = learning._forced
    learning._forced = lambda loss: forced.append(force(loss)) or forced[-1]
    apply = learning.updates.apply
    norms = []

    def applied(loss: torch.Tensor) -> float:
        norms.append(gradient_norm(forced[-1], learning.decoder.parameters(), keep_graph=True))
        return apply(loss)

    learning.updates.apply = applied
    learning.step()
    assert norms == [pytest.approx(3.0, rel=1e-4)]


def test_a_list_begins_with_what_happened_and_holds_no_id_twice():
    learning = trainer(RSPO())
    context, tokens, _ = learning.samples.batch(torch.arange(20))
    ids, log_ref = learning._lists(context, tokens)
    assert torch.equal(ids[:, 0], tokens[:, :3])
    assert all(len(ids[row].unique(dim=0)) == 6 for row in range(20))
    torch.testing.assert_close(log_ref, id_log_p(learning.decoder.eval(), context, ids).detach())


def test_the_reference_stays_as_it_was():
    learning = trainer(RSPO())
    for _ in range(3):
        learning.step()
    for name, weight in fresh().state_dict().items():
        assert torch.equal(learning.reference.state_dict()[name], weight)
    assert not torch.equal(learning.decoder.heads[0].weight, learning.reference.heads[0].weight)


@pytest.mark.parametrize("mix", ["fixed", "unified"])
def test_the_same_seed_gives_the_same_weights_and_another_one_others(mix):
    def learned(seed: int) -> torch.Tensor:
        learning = trainer(RSPO(), seed, mix=mix)
        for _ in range(3):
            learning.step()
        return torch.cat([weight.flatten() for weight in learning.decoder.state_dict().values()])

    assert torch.equal(learned(1), learned(1))
    assert not torch.equal(learned(1), learned(2))


def test_unified_learning_is_for_rspo():
    with pytest.raises(ValueError, match="choose rspo"):
        trainer(DPO(), mix="unified").step()
