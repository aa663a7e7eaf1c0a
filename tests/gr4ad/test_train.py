"""Supervised training of small decoders."""

from __future__ import annotations

import pytest
import torch
from gr4ad.tiny_models import INPUTS, context, shape

from remeasure.errors import UserError
from remeasure.impls.gr4ad.decoder.decoder import Decoder, build
from remeasure.impls.gr4ad.learning.train import Recipe, Supervised, Trainer, train
from remeasure.impls.gr4ad.learning.updates import AdamW, Updates
from remeasure.impls.gr4ad.learning.value import ValueLoss
from remeasure.impls.gr4ad.requests import Catalogue, Requests, Samples

SHORT = Recipe(steps=6, batch=8)


def samples(pairs: int = 20) -> Samples:
    """Requests of a user with one item, after which the item beside it follows."""
    g = torch.Generator().manual_seed(3)
    made = context(1, size=12)
    known = Catalogue(
        torch.randn(12, INPUTS.content, generator=g),
        made.codes[0],
        made.account[0],
        made.conversion[0],
        INPUTS,
    )
    item = torch.arange(pairs)[:, None] % 12
    requests = Requests(known, item, torch.zeros(pairs, 1), torch.zeros(pairs, 1))
    follows = (item[:, 0] + 1) % 12
    return Samples(requests, torch.arange(pairs), follows, follows % 4, torch.ones(pairs))


def fresh(**changed: object) -> Decoder:
    return build(shape(**changed), INPUTS, torch.Generator().manual_seed(0))


def same(one: Decoder, other: Decoder) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "changed", [{"parallel": 0}, {}, {"auxiliary": "direct"}, {"auxiliary": "none"}], ids=str
)
def test_what_always_follows_is_learned(changed):
    given = samples()
    trainer = Trainer(fresh(**changed), given, Recipe(steps=150, batch=20, adamw=AdamW(rate=5e-3)), seed=1)
    losses = [trainer.step() for _ in range(150)]
    assert losses[-1] < 0.2 * losses[0]
    asked, tokens, _ = given.batch(torch.arange(12))
    found = trainer.decoder.eval()(asked, tokens).tokens
    assert all(torch.equal(found[t].argmax(1), tokens[:, t]) for t in range(4))


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    one, again, other = (train(fresh(), samples(), SHORT, seed) for seed in (1, 1, 2))
    assert same(one, again)
    assert not same(one, other)


def test_every_sample_is_learned_from_once_an_epoch():
    updates = Updates(fresh(), AdamW(), seed=0)
    seen = []
    for updates.done in range(5):
        seen += updates.which(20, 8).tolist()
    assert sorted(seen[:20]) == sorted(seen[20:]) == list(range(20))
    assert seen[:20] != seen[20:]


def test_a_trunk_alone_learns_from_the_auxiliary_loss_and_not_without_it():
    def moved(weight: float) -> bool:
        model = fresh(auxiliary="direct")
        before = model.places[1].clone()
        supervised = Supervised(loss=ValueLoss(0.3, weight))
        trainer = Trainer(model, samples(), Recipe(3, 8, AdamW(decay=0.0), supervised), 0)
        with torch.no_grad():
            model.fuse.mix.weight[:, :16] = 0  # what the trunk says reaches no token
        model.fuse.mix.weight.register_hook(lambda grad: grad * 0)
        trainer.step()
        return not torch.equal(before, model.places[1])

    assert moved(0.3)
    assert not moved(0.0)


def test_without_a_value_token_its_head_stays_as_it_was():
    recipe = Recipe(3, 8, AdamW(decay=0.0), Supervised(value_token=False))
    model = train(fresh(), samples(), recipe, seed=0)
    assert torch.equal(model.heads[3].weight, fresh().heads[3].weight)
    assert not torch.equal(model.heads[2].weight, fresh().heads[2].weight)


def test_weights_change_what_is_learned_only_where_they_are_asked_for():
    plain, heavy = samples(), samples()
    heavy.weight[::2] = 9.0
    asked = [train(fresh(), given, SHORT, 0) for given in (plain, heavy)]
    alike = Recipe(6, 8, supervised=Supervised(weights=False))
    unasked = [train(fresh(), given, alike, 0) for given in (plain, heavy)]
    assert not same(*asked)
    assert same(*unasked)


def test_a_loss_that_is_no_number_ends_the_training_with_its_step_and_seed():
    given = samples()
    given.weight[5] = torch.nan
    with pytest.raises(UserError, match=r"the loss is nan at step \d of seed 4; lower the rate"):
        train(fresh(), given, SHORT, seed=4)
