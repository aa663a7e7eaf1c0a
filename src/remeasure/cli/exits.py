"""The exit codes, in one place: `--help` prints this table and README repeats it."""

from __future__ import annotations

OK = 0
BLOCK_FAILED = 1
BAD_INPUT = 2
FAIL_ON = 3
BUDGET_ENDED = 4
INTERRUPTED = 130

MEANING = {
    OK: "everything asked for ran",
    BLOCK_FAILED: "a block failed (the others ran; the report shows it)",
    BAD_INPUT: "bad input, or a place that cannot be read or written; nothing was lost",
    FAIL_ON: "a verdict named by --fail-on was given",
    BUDGET_ENDED: "the budget ended before everything ran",
    INTERRUPTED: "interrupted with Ctrl-C; finished blocks are kept",
}
"""Where several hold, the first of 130, 2, 1, 3, 4 is given."""


def table() -> str:
    return "\n".join(f"{code:>3}  {meaning}" for code, meaning in MEANING.items())
