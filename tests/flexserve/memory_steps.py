"""A step that the device's memory is asked for in a test, and whether a refusal leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim.memory import Memory


def keeps_whole(memory: Memory, step: tuple, state: Callable[[], object]) -> bool:
    """Do a step, of which only what can be asked is asked; False if it was refused and `state` changed all the same."""
    name, *arguments = step
    if name == "drop_weights":
        arguments[1] = arguments[1] & memory.weights.get(arguments[0], {}).keys()
    if name == "hold_kv":
        arguments[1] = max(arguments[1], memory.kv.get(arguments[0], 0))
    if name == "scrubbed":
        arguments[0] = min(arguments[0], memory.claimed)
    before = state()
    try:
        getattr(memory, name)(*arguments)
    except UserError:
        return state() == before
    return True
