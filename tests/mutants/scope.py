"""Which modules are mutated, and which tests may kill a mutant. A line more here is a module more in the run."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]

MODULES = (
    "judging.rules",
    "judging.estimates",
    "judging.intervals",
    "judging.guards",
    "judging.samples",
    "judging.kinds",
    "judging.one_claim",
    "judging.multiplicity",
    "judging.precision",
    "judging.selection",
    "judging.gather",
    "judging.vanished",
    "judging.allowed",
    "judging.run_cost",
    "running.measure",
    "running.units",
    "running.garbage",
    "running.precision",
    "running.blocks",
    "running.runner",
    "running.contract_checks",
    "running.executors.local",
    "records.store",
    "records.provenance",
    "records.record",
    "judging.summary",
    "judging.notes",
    "report.complete",
    "declared.claim_checks",
)
"""Everything between a sample and a word, in the order in which it is run."""

TESTS = ("judging", "records", "running", "report", "cli", "declared", "data")
"""Folders of tests. Not the others: `house` and `packaging` read the text of the code, and a text is no behaviour."""
NOT_ASKED = ("report/test_browser.py", "test_golden_file_is_what_the_code_writes")
"""Parts of the names of tests that are left out: they need a browser, or compare a file word by word."""

AT_ONCE_S = 0.5
"""A test that only shares its file with those that run the line is asked where it takes no longer: it may show what an
earlier test made, and then it is quick."""
OTHERS_S = 10.0
"""Seconds of tests outside the module's own room that a mutant has to outlive, the shortest first."""
ALONE_S = 60.0
"""The same where the room has no test of its own that runs the line."""
PATIENCE = 20.0, 3.0
"""A test takes too long after so many seconds and so many times what it took unmutated."""
LEAST_KILLED = 0.95
"""Share of its mutants that every module's tests have to kill."""


def source(module: str) -> str:
    """`judging.rules` → its file in a checkout."""
    return f"src/remeasure/{module.replace('.', '/')}.py"
