"""One simulation from end to end: cut models into blocks, place them, serve a trace (spec §5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from remeasure.errors import UserError

from .catalogue import catalogue
from .cluster import Cluster
from .config import Serving
from .cost.shapes import Shape
from .demand import demand, load
from .engine import Engine, Observer
from .interfaces import CostModel, Requests
from .outcome import Outcome, outcome
from .placement import place
from .steps import Attention, Steps
from .tenants import Tenant
from .world import World


def simulate(
    serving: Serving,
    cluster: Cluster,
    tenants: Sequence[Tenant],
    trace: Requests,
    costs: CostModel,
    seed: int,
    *,
    until_s: float = inf,
    observe: Observer | None = None,
) -> Outcome:
    """Serve a trace and return what was seen of every request; equal arguments give equal results.

    `until_s` ends it early, in seconds of virtual time; else it ends when every answer is complete. `observe` is called
    with the world after every event. Raises UserError for a trace of other apps and for models that do not fit.
    """
    engine = prepare(serving, cluster, tenants, trace, costs, seed)
    engine.run(until_s, observe)
    own = catalogue(replace(serving, share="none", granularity="model"), tenants, seed)
    return outcome(engine.world, trace, engine.pops, own.weight_bytes)


def prepare(
    serving: Serving,
    cluster: Cluster,
    tenants: Sequence[Tenant],
    trace: Requests,
    costs: CostModel,
    seed: int,
) -> Engine:
    """Everything before the first event."""
    if trace.apps > len(tenants) or (len(trace.app) and int(trace.app.max()) >= len(tenants)):
        raise UserError(
            f"the trace asks {trace.apps} apps, there are {len(tenants)}: give it as many tenants."
        )
    content = catalogue(serving, tenants, seed)
    attention: dict[Shape, Attention] = {}
    for segment in content.segments:
        if segment.shape not in attention:
            attention[segment.shape] = Attention(costs, segment.shape, 2 * serving.max_batch)
    steps = [Steps(costs, serving, segment, attention[segment.shape]) for segment in content.segments]
    expected = demand(trace, len(tenants))
    work = load(serving, content, steps, expected)
    spots = place(serving, content, work, cluster, seed)
    return Engine(World(serving, cluster, content, steps, expected, spots, trace, seed))
