"""The search that state machines of tests are run with."""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

TILL_FOUND = 10_000
"""Examples for a mutant, whose search ends at the first that shows it. Which ones are tried depends on the numbers in
all loaded files (hypothesis tries those, too), so a limit that just suffices fails when another file changes."""


def search(machine: type[RuleBasedStateMachine], *, examples: int, steps: int, **parts: type) -> None:
    """Try the machine with these classes in it, and raise what is found first; nothing is shrunk."""
    run_state_machine_as_test(
        type("Run", (machine,), parts),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            derandomize=True,
        ),
    )
