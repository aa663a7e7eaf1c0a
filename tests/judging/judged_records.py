"""Records that several files of tests judge, and claims and figures that are declared of them."""

import msgspec
from records_factory import LATENCY, SEEDS, STEPS, case, claim, data, judged, provenance, record, timed

from remeasure.declared.claims import Figure
from remeasure.judging.samples import Samples
from remeasure.records.record import TWIN_SUFFIX, ArmRecord, MetricRecord

FAST = [timed(seed) for seed in SEEDS]
RANKED = [judged(seed) for seed in SEEDS]
SIMULATED = data(kind="simulated", origin="simulator")
QUEUE = (case("queue", (LATENCY,)),)
COUNTED = (case("queue", (STEPS,)),)


def simulated(latency, seeds=SEEDS, metric=LATENCY, **changes):
    """One number a seed and arm, as a simulator gives; over all SEEDS 2 % more than `latency` says, for every arm."""
    columns = {
        arm: {seed: value * (1 + (seed + 2 * place) % 5 / 100) for seed in seeds}
        for place, (arm, value) in enumerate(latency.items())
    }
    return [
        record({metric.name: {arm: [of[seed]] for arm, of in columns.items()}}, seed, "queue", **changes)
        for seed in seeds
    ]


def queue_claim(kind="ratio", **changes):
    return claim("queue", kind, **{"case": "queue", "about": "algorithm", **changes})


def at(started, fingerprint="f"):
    return provenance(started=f"2026-07-{started:02}T10:00:00+00:00", fingerprint=fingerprint * 64)


def figure(name, **changes):
    return Figure(name=name, **{"case": "speed", "arm": "ours", **changes})


def block(metric, seed=1, order=0, units=None, clusters=None, twin_of="", **arms):
    """A block of one metric, of which everything is said."""
    said = MetricRecord(
        unit=metric.unit,
        better=metric.better,
        kind=metric.kind,
        clock=metric.clock,
        per=metric.per,
        exact=metric.exact,
    )
    return msgspec.structs.replace(
        record({}, seed),
        metrics={metric.name: said},
        arms={arm: ArmRecord(role="reference", config={}) for arm in arms if not arm.endswith(TWIN_SUFFIX)},
        samples={metric.name: {arm: [float(x) for x in values] for arm, values in arms.items()}},
        order=[list(arms)] * order,
        units={metric.per: units} if units else {},
        clusters={metric.per: clusters} if clusters else {},
        twin_of=twin_of,
    )


def of(metric, *blocks, **options):
    """The samples of such blocks."""
    return Samples(blocks, metric.name, **options)
