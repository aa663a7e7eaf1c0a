"""Auctions in order with their winning prices, and what each campaign's training days looked like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from remeasure.errors import UserError

from .log import Campaign, Log
from .request import Request

__all__ = ["Auctions", "Campaign", "Log", "Request", "load"]

CAMPAIGN = "2997"
"""The campaign whose auctions are there one by one."""
SIMULATED = "no real data: auctions drawn from simple laws, with about the published rates and prices"


@dataclass(frozen=True, eq=False)
class Auctions:
    """What a case gets. `label` names it in reports."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    campaigns: Mapping[str, Campaign]
    """By name."""
    campaign: Campaign
    """The one whose auctions `log` holds."""
    log: Log


def load(request: Request, root: Path | None) -> Auctions:
    """The log of campaign 2997 and the totals of all campaigns under `root`, or a made-up log where it is None.

    Raises UserError, naming file, row and field, for a line or a total that is none.
    """
    if root is None:
        from .generator import simulate

        campaign, log = simulate(request)
        return Auctions("iPinYou, simulated", True, (SIMULATED,), {campaign.name: campaign}, campaign, log)
    from .parse import read_campaign, read_log

    paths = sorted(root.glob("*_info.json"))
    campaigns = {path.name.removesuffix("_info.json"): read_campaign(path) for path in paths}
    if CAMPAIGN not in campaigns:
        raise UserError(f"{root} has no {CAMPAIGN}_info.json; put it there.")
    log = read_log(root / f"{CAMPAIGN}_test.theta.txt")
    note = f"{len(log.price):,} auctions of campaign {CAMPAIGN}, {int(log.clicked.sum()):,} clicks"
    return Auctions("iPinYou", False, (note,), campaigns, campaigns[CAMPAIGN], log)
