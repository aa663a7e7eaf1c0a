"""`python -m mutants run|survivors|table`: what the tests let through between a sample and a word; `make mutants`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: a fork keeps no threads

from .results import KEPT, Result, read, write
from .scope import MODULES
from .table import write as write_table


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    run = what.add_parser("run", help="run what has changed, and go on where a run was stopped")
    run.add_argument("modules", nargs="*", metavar="MODULE", help="such as judging.rules; else all")
    run.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    run.add_argument("--again", action="store_true", help="run all mutants, whatever is known")
    run.add_argument("--survivors", action="store_true", help="run only those that survived the last run")
    shown = what.add_parser("survivors", help="print what survived")
    shown.add_argument("modules", nargs="*", metavar="MODULE")
    for one in (run, shown):
        one.add_argument("--results", type=Path, default=KEPT, help="folder of the results")
    what.add_parser("table", help="write the committed results into docs/statistics.md")
    asked = parser.parse_args()
    if asked.what == "table":
        write_table([found for module in MODULES if (found := read(module))])
        return 0
    unknown = [module for module in asked.modules if module not in MODULES]
    if unknown:
        return _refused(f"{unknown[0]} is no module of the run; tests/mutants/scope.py lists them.")
    modules = [module for module in MODULES if module in (asked.modules or MODULES)]
    return _run(modules, asked) if asked.what == "run" else _show(modules, asked.results)


def _run(modules: list[str], asked: argparse.Namespace) -> int:
    try:
        from .running import run
    except ModuleNotFoundError as error:
        return _refused(f"{error.name} is not installed; `make mutants` installs what mutation needs.")
    from .reach import Broken

    for asked_to_end in (signal.SIGINT, signal.SIGTERM):  # a shell may have begun this with Ctrl-C ignored
        signal.signal(asked_to_end, signal.default_int_handler)
    try:
        for result in run(modules, asked.jobs, asked.results, asked.again, asked.survivors):
            write(result, asked.results)
            print(_said(result), flush=True)
    except Broken as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        return _refused("Stopped; the same call goes on from here.")
    return 0


def _show(modules: list[str], folder: Path) -> int:
    for result in filter(None, (read(module, folder) for module in modules)):
        print(_said(result))
        for one in result.survivors:
            print(f"\n{one.line}: {one.function or '(module)'}  [{one.operator}; {one.tests} tests]")
            print(f"  - {one.before}\n  + {one.after}" + (f"\n  = {one.reason}" if one.reason else ""))
        print()
    return 0


def _said(result: Result) -> str:
    return (
        f"{result.module}: {result.mutants} mutants, {result.killed} killed, {result.timed_out} timed out, "
        f"{len(result.survivors)} survived ({100 * result.share:.1f} % found), {result.cpu_s:.0f} s of CPU time"
    )


def _refused(sentence: str) -> int:
    print(f"mutants: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
