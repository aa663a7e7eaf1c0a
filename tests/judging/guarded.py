"""Honest records, what breaks the last of them, and which guards refused."""

import msgspec
from records_factory import SEEDS, judged, timed


def runs(**last):
    """Five honest blocks of timed rounds; `last` changes the last one."""
    return [*(timed(seed) for seed in SEEDS[:-1]), timed(SEEDS[-1], **last)]


def rankings(**last):
    return [*(judged(seed) for seed in SEEDS[:-1]), judged(SEEDS[-1], **last)]


def broken(records, change):
    """The last record with its samples changed after it was made."""
    samples = msgspec.to_builtins(records[-1].samples)
    change(samples)
    return [*records[:-1], msgspec.structs.replace(records[-1], samples=samples)]


def refused_by(judgement):
    return [guard.name for guard in judgement.guards if not guard.ok]
