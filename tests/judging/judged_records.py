"""Records that several files of tests judge, and claims and figures that are declared of them."""

from records_factory import LATENCY, SEEDS, STEPS, case, claim, data, judged, provenance, record, timed

from remeasure.declared.claims import Figure

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
