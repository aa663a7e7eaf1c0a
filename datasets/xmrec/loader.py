"""What a measured case gets: markets with roles, and the lists on which the target's users are judged.

Roles are configuration: `[roles]` in dataset.toml for the published files, the request for any other folder.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from remeasure.errors import UserError

from .generator import Generator, generate
from .lists import holdout_lists, resample_lists
from .markets import Lists, Market, Markets, positives_of, read_markets
from .request import Request

# Sizes of the simulated markets: a test, a minute, and about the real t1. Small ones need flatter tastes, or
# the 5-core is too small for lists of 100.
SCALES: Mapping[str, Mapping[str, float]] = {
    "tiny": {"users": 1_000, "items": 380, "topics": 16, "skew": 0.3, "sharpness": 3.0},
    "smoke": {"users": 2_800, "items": 1_100, "topics": 40},
    "standard": {},
}


@dataclass(frozen=True, eq=False)
class XmrecData:
    """Markets, roles, and the judged rows: `candidates[u, c]` for `users[u]`, one of which is `positives[u]`.

    users str [U], candidates str [U, C] (short lists padded with ""), positives str [U]; the test lists have
    no published labels and are None where the target has none. `label` names the judged lists in reports.
    """

    markets: Mapping[str, Market]
    target: str
    sources: tuple[str, ...]
    co_targets: tuple[str, ...]
    users: np.ndarray
    candidates: np.ndarray
    positives: np.ndarray
    test_users: np.ndarray | None
    test_candidates: np.ndarray | None
    simulated: bool
    notes: tuple[str, ...]
    label: str


def load(request: Request, root: Path | None) -> XmrecData:
    """Read the markets under `root`, or simulate them where `root` is None, and prepare the judged lists.

    Raises UserError for a role that names no market and for lists that the target cannot have.
    """
    spec = tomllib.loads(Path(__file__).with_name("dataset.toml").read_text())
    roles = {kind: tuple(names) for kind, names in spec["roles"].items()}
    if root is None:
        markets = generate(simulation(request, roles["sources"], roles["targets"]))
        notes: tuple[str, ...] = ("no real data: the markets are simulated",)
    else:
        markets = read_markets(root)
        extra = [file["path"] for file in spec["optional_files"] if (root / file["path"]).is_file()]
        notes = markets.notes + tuple(f"{path} is used; the pinned set of files lacks it" for path in extra)
    data = judge(markets, request, roles["targets"])
    label = data.label + (", simulated" if root is None else "")
    return replace(data, simulated=root is None, notes=notes, label=label)


def simulation(request: Request, sources: tuple[str, ...], targets: tuple[str, ...]) -> Generator:
    """The generator's configuration for a request."""
    config = Generator(sources, targets, candidates=request.candidates, seed=request.seed)
    scale: Mapping[str, Any] = SCALES[request.scale]
    return replace(config, **scale)


def judge(markets: Markets, request: Request, targets: tuple[str, ...] = ()) -> XmrecData:
    """The request's roles and lists on given markets; `targets` are those that the default roles know."""
    target = request.target
    others = [name for name in markets if name != target]
    co_targets = request.co_targets
    if co_targets is None:
        co_targets = tuple(name for name in targets if name in others) if target in targets else ()
    sources = request.sources
    if sources is None:
        sources = tuple(name for name in others if name not in co_targets)
    for name in (target, *co_targets, *sources):
        if name not in markets:
            raise UserError(
                f"there is no market {name!r}; the markets are {', '.join(markets)}: name one of these."
            )
    if len({target, *co_targets, *sources}) < 1 + len(co_targets) + len(sources):
        raise UserError(f"market roles overlap: target {target}, co-targets {co_targets}, sources {sources}.")

    market, lists, positives = _judged(markets[target], request)
    test = market.test_run
    return XmrecData(
        markets={**markets, target: market},
        target=target,
        sources=sources,
        co_targets=co_targets,
        users=lists.users,
        candidates=lists.items,
        positives=positives,
        test_users=None if test is None else test.users,
        test_candidates=None if test is None else test.items,
        simulated=False,
        notes=markets.notes,
        label=f"{target} ({request.lists} lists)",
    )


def _judged(market: Market, request: Request) -> tuple[Market, Lists, np.ndarray]:
    """The target as it may be used, the lists, and the positive of each list."""
    if request.lists == "holdout":
        reduced, qrel, lists = holdout_lists(market, request.seed, request.candidates)
        return reduced, lists, np.asarray(qrel["itemId"].tolist(), dtype=str)
    if request.lists == "resampled":
        lists = resample_lists(market, request.seed, request.candidates)
        return market, lists, positives_of(market, lists.users)
    if market.valid_run is None or market.valid_qrel is None:
        raise UserError(
            f"market {market.name} has no official lists with labels (valid_run.tsv and valid_qrel.tsv); "
            "ask for resampled lists, or choose another target."
        )
    return market, market.valid_run, positives_of(market, market.valid_run.users)
