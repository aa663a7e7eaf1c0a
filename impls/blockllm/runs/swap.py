"""What the case of equivalence runs: swaps of a family measured once, then judged by each arm's rule.

Rules decide on validation text; what is reported is test text. Every original counts with the worst that its rule
allows, for serving may choose any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..chain import Chain
from ..family import Same, chains, technique_of, tenant_of
from ..study import figures, probe
from ..study.compare import Divergences, compare
from ..study.decision import Thresholds, let_through
from ..study.equivalence import Row, Swap, Texts, cross_layer, same_place
from ..study.equivalence import swapped as with_swaps
from ..study.joint import AGREE, KL, jointly, worst_together
from ..study.states import same
from ..study.swaps import Study, study
from ..study.text import Floats
from .study import by_tenant, documents, mixed, over_chains

if TYPE_CHECKING:
    from ..questions import Swapped

TARGETS = Thresholds(KL, AGREE)
MOSTS = (1, None)
"""Substitutions in a chain that thresholds are chosen for; None is all that are allowed."""
SEED = 0
"""Of the swaps that are drawn."""
Runs = Mapping[tuple[Swap, ...], Divergences]
"""By the swaps of a whole segment, made at once."""


@dataclass(frozen=True, eq=False)
class Measured:
    """All that is the same for every rule."""

    chains: dict[str, Chain]
    study: Study
    texts: tuple[Texts, Texts]
    """By original: to decide on, and to report on."""
    probes: tuple[list[Floats], list[Floats]]
    segments: tuple[Runs, Runs]
    own: Mapping[str, Floats]
    """Surprise of each original on test text."""

    @property
    def within(self) -> list[Row]:
        """What is decided on: swaps at one place."""
        return [row for row in self.study.valid if row.swap.same_layer]


@dataclass(frozen=True, eq=False)
class Judged:
    """What a rule allows."""

    share: float
    """Of the swaps, percent."""
    wrongly: float
    """Of the allowed ones, the share that test text shows to be harmful, percent; 0 where none is allowed."""
    alone: float
    """Mean KL divergence of an allowed swap on test text, nat."""
    apart: Mapping[str, Divergences]
    """On test text: of each original with the worst of it; originals without any are left out."""


def swapped(config: Swapped, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned judges by the arm's rule; the measurement behind it is made once a family."""
    plain = type(config)
    key = replace(config, rule=plain.rule, cosine=plain.cosine, most=plain.most)

    def run() -> dict[str, object]:
        found = _measured(key, Same(data))
        judged, more = _RULES[config.rule](found, config)
        texts = {tenant_of(name, list(data.texts)): text for name, text in found.texts[1].items()}
        return {
            **documents(texts),
            **over_chains(judged.apart, found.own, list(found.chains), texts),
            "KL, worst chain": max((float(one.kl.mean()) for one in judged.apart.values()), default=0.0),
            "agreement, worst chain": 100
            * min((float(one.agree.mean()) for one in judged.apart.values()), default=1.0),
            "allowed swaps": judged.share,
            "allowed but harmful": judged.wrongly,
            "KL of an allowed swap": judged.alone,
            "extras": more,
        }

    return run


@lru_cache(maxsize=1)
def _measured(config: Swapped, data: Same) -> Measured:
    family = chains(config.model, data.data)
    base = next(iter(family.values()))
    tenants = list(data.data.texts)
    texts = []
    for part, most in (("valid", config.valid), ("test", config.test)):
        of = by_tenant(base.config, data.data, part, config.length, most)  # type: ignore[arg-type]
        texts.append({name: of[tenant_of(name, tenants)] for name in family})
    every = same_place(family, config.layers)
    drawn = np.random.default_rng(SEED).permutation(len(every))[: config.swaps]
    swaps = [every[number] for number in sorted(drawn)]
    swaps += cross_layer({base.model: base}, config.across, SEED, config.layers)
    places = {swap.place for swap in swaps}
    read = probe.fit(base, places, mixed(base.config, data.data, "train", config.length, config.fitted))
    # Trained once, on the foundation: its variants' hidden states are near enough to be read by it.
    probes = dict.fromkeys(family, read)
    found = study(family, swaps, texts[0], texts[1], mosts=MOSTS)
    divergences = [probe.probe_kl(family, swaps, probes, text) for text in texts]
    own = {row.swap.original: row.own for row in found.test}
    segments = _segments(family, texts[0], {}), _segments(family, texts[1], own)
    return Measured(
        family,
        found,
        (texts[0], texts[1]),
        (divergences[0], divergences[1]),
        segments,
        own,
    )


def _segments(family: Mapping[str, Chain], texts: Texts, own: dict[str, Floats]) -> Runs:
    """Every directed swap of all layers that the last-layers variants replaced, between models without deltas.

    The originals' surprise is put into `own`.
    """
    plain = {name: chain for name, chain in family.items() if not any(link.delta for link in chain.links)}
    base = next(iter(plain.values()))
    found: dict[tuple[Swap, ...], Divergences] = {}
    depth = {
        name: int(name.partition("-")[2].split()[0]) for name in plain if technique_of(name) == "top_layers"
    }
    for original, substitute in permutations(plain, 2):
        top = max(depth.get(original, 1), depth.get(substitute, 1))
        run = tuple(
            Swap(link.place, original, substitute, link.place)
            for link, other in zip(plain[original].links, plain[substitute].links, strict=True)
            if link.place.layer >= base.config.layers - top and not same(link, other)
        )
        if run:
            own[original], (found[run],) = compare(
                plain[original], [with_swaps(family, run)], texts[original]
            )
    return found


def _judged(
    found: Measured, allowed: Collection[Swap], apart: Mapping[str, Divergences] | None = None
) -> Judged:
    """Single swaps that a rule allows; apart: not with the worst of them in each chain, but as it is said there."""
    rows = [row for row in found.study.test if row.swap in allowed]
    if apart is None:
        made = worst_together(found.study.valid, allowed, 1)
        apart = jointly(found.chains, made, found.texts[1], rows=rows)
    return Judged(
        100 * len(rows) / len(found.within),
        100 * sum(not TARGETS.allows(row) for row in rows) / max(1, len(rows)),
        float(np.mean([row.kl for row in rows])) if rows else 0.0,
        apart,
    )


def _by_cosine(found: Measured, config: Swapped) -> tuple[Judged, dict[str, Any]]:
    allowed = {row.swap for row in let_through(found.within, config.cosine, TARGETS).accepted}
    return _judged(found, allowed), {}


def _by_probe(found: Measured, config: Swapped) -> tuple[Judged, dict[str, Any]]:
    """The probe's own threshold: the largest divergence up to which nothing is harmful on validation text."""
    pairs = zip(found.probes[0], found.study.valid, strict=True)
    ordered = sorted(
        ((float(read.mean()), row) for read, row in pairs if row.swap.same_layer), key=lambda pair: pair[0]
    )
    harmful = next((n for n, (_, row) in enumerate(ordered) if not TARGETS.allows(row)), len(ordered))
    limit = ordered[harmful - 1][0] if harmful else 0.0
    return _judged(found, {row.swap for _, row in ordered[:harmful]}), {"threshold, nat": limit}


def _by_chain(found: Measured, config: Swapped) -> tuple[Judged, dict[str, Any]]:
    chosen = found.study.chosen[MOSTS.index(config.most or None)]
    joint = chosen.joint
    allowed = joint.allowed if joint else frozenset()
    more: dict[str, Any] = {
        "thresholds": {"KL": joint.thresholds.kl, "agreement": joint.thresholds.agree} if joint else None,
        "of the allowed within the thresholds on test text": found.study.held(chosen),
        "sweep": figures.sweep_table(chosen.swept, len(found.within)),
    }
    if config.most == 1:
        test = found.study.test
        techniques = {name: technique_of(name) for name in found.chains}
        points = figures.scatter(test, allowed, techniques, found.probes[1])
        more |= {
            "points": points,
            "scatter": figures.picture(points),
            "Spearman of cosine and -KL": figures.correlations(test),
            "cosine alone": figures.cosine_table([row for row in test if row.swap.same_layer], TARGETS),
        }
    return _judged(found, allowed, chosen.apart), more


def _by_segment(found: Measured, config: Swapped) -> tuple[Judged, dict[str, Any]]:
    valid, test = found.segments

    def harmless(of: Divergences) -> bool:
        return float(of.kl.mean()) <= TARGETS.kl and float(of.agree.mean()) >= TARGETS.agree

    allowed = [run for run, of in valid.items() if harmless(of)]
    apart: dict[str, Divergences] = {}
    for run in sorted(allowed, key=lambda run: float(valid[run].kl.mean())):
        apart[run[0].original] = test[run]
    table = [
        {
            "swap": f"{run[0].original} ← {run[0].substitute}",
            "blocks": len(run),
            "KL": float(of.kl.mean()),
            "agreement": float(of.agree.mean()),
            "allowed": run in allowed,
        }
        for run, of in test.items()
    ]
    judged = Judged(
        100 * len(allowed) / max(1, len(valid)),
        100 * sum(not harmless(test[run]) for run in allowed) / max(1, len(allowed)),
        float(np.mean([test[run].kl.mean() for run in allowed])) if allowed else 0.0,
        apart,
    )
    return judged, {"segments": table}


_RULES: Mapping[str, Callable[[Measured, Swapped], tuple[Judged, dict[str, Any]]]] = {
    "cosine": _by_cosine,
    "probe": _by_probe,
    "chain": _by_chain,
    "segments": _by_segment,
}
