"""Bidding rules on logged auctions: the value of being paid for clicks under a budget, with an exact oracle."""

from __future__ import annotations

from collections.abc import Callable

from remeasure.datasets.ipinyou_rlb.loader import Auctions

from ..auction.replay import episode_budget, replay
from ..auction.rules import Dynamic, Rule, lin_bid, mcpc
from ..auction.value import price_law, value_table
from ..questions import Bidding


def replayed(asked: Bidding, data: Auctions) -> Callable[[], dict[str, object]]:
    """What a round runs: the whole log once."""
    budget = episode_budget(data.campaign, asked.episode)
    rule = rule_of(asked, data, budget)

    def run() -> dict[str, object]:
        outcome = replay(data.log, rule, asked.episode, budget)
        return {"clicks": outcome.clicks, "won": outcome.won, "cost": outcome.cost}

    return run


def rule_of(asked: Bidding, data: Auctions, budget: int) -> Rule:
    """The rule with what it knows of the campaign's training days."""
    campaign = data.campaign
    rate = campaign.train_clicks / campaign.train_impressions
    if asked.rule == "mcpc":
        return mcpc(campaign.train_cost, campaign.train_clicks)
    if asked.rule == "lin_bid":
        return lin_bid(asked.base, rate)
    table = value_table(price_law(campaign.prices), rate, asked.episode, budget)
    return Dynamic(table, click_rate=rate if asked.rule == "ss_mdp" else None)
