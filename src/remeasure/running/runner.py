"""From blocks to records: `run` has an executor carry them, `run_block` is what a worker does with one."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from msgspec.structs import replace

from ..contracts import Case
from ..data.copies import cache_dir
from ..data.sources import open_data, source_of
from ..declared.overrides import at_profile
from ..declared.registry import registry
from ..errors import UserError
from ..package import PACKAGE
from ..records.machine import stolen_s
from ..records.packages import packages
from ..records.provenance import Revision, commit, environment, fingerprint, plain
from ..records.record import ArmRecord, DataRecord, Environment, Failure, MetricRecord, Provenance, Record
from ..records.store import Store
from .blocks import Block, Planned, block_of, is_finished
from .contract_checks import run_contract
from .executors import Executor
from .measure import Measured, measure
from .messages import Budget, Finished, Job, Progress, Silent, Usage


@dataclass(frozen=True)
class Outcome:
    """What became of the blocks of a run."""

    planned: tuple[Planned, ...]
    """What was planned, and what was added while it ran."""
    done: tuple[Block, ...]
    cached: tuple[Block, ...]
    failed: tuple[Block, ...]
    not_started: tuple[Block, ...]
    """The budget ended before their turn."""
    cut_short: tuple[Block, ...] = ()
    """Those of `done` that the budget ended before their last round; the next run measures them again."""


def run(
    planned: Sequence[Planned],
    store: Store,
    executor: Executor,
    *,
    progress: Progress | None = None,
    budget_s: float | None = None,
    on_record: Callable[[Record], None] | None = None,
    more: Callable[[Sequence[Planned]], Sequence[Planned]] | None = None,
) -> Outcome:
    """Run what is not finished yet and write a record of each block, failures too, as soon as it ends.

    budget_s: seconds after which no block is begun and running ones end after their round. more: asked when all
    blocks have ended which others shall follow, until it names none. SIGTERM is taken like Ctrl-C: what runs is
    ended, what is finished stays, KeyboardInterrupt is raised.
    """
    every, todo = list(planned), list(planned)
    budget, told = Budget(budget_s), progress or Silent()
    outcome = _Outcomes()
    with _sigterm_interrupts():
        while todo:
            jobs = [_job(item, store) for item in todo if not item.cached]
            with closing(executor.run(jobs, told, budget)) as ended:
                for finished in ended:
                    record = _keep(finished, store)
                    outcome.add(finished.job.block, record)
                    if on_record:
                        on_record(record)
            todo = list(more(every)) if more and not budget.ended else []
            every += todo
            told.added(todo)
    return outcome.of(every, store)


def _job(item: Planned, store: Store) -> Job:
    def finished() -> bool:
        record = store.usable(item.block.key)
        return record is not None and is_finished(record)

    return Job(
        item.block, item.timeout_s, item.memory_mb, item.timed, store.log_path(item.block.key), finished
    )


def _keep(finished: Finished, store: Store) -> Record:
    """The record of a finished job, written down with where it ran."""
    if finished.environment:
        store.write_environment(*finished.environment)
    record = _record(finished)
    store.write(record)
    return record


class _Outcomes:
    """Gathers what became of blocks."""

    def __init__(self) -> None:
        self.done: list[Block] = []
        self.failed: list[Block] = []
        self.cut_short: list[Block] = []

    def add(self, block: Block, record: Record) -> None:
        (self.done if record.status == "ok" else self.failed).append(block)
        if record.budget_ended:
            self.cut_short.append(block)

    def _by_another(self, item: Planned, begun: set[str], store: Store) -> bool:
        """Another run finished it while this one waited."""
        record = None if item.block.key in begun else store.usable(item.block.key)
        return record is not None and is_finished(record)

    def of(self, planned: Sequence[Planned], store: Store) -> Outcome:
        begun = {block.key for block in (*self.done, *self.failed)}
        return Outcome(
            planned=tuple(planned),
            done=tuple(self.done),
            cached=tuple(
                item.block for item in planned if item.cached or self._by_another(item, begun, store)
            ),
            failed=tuple(self.failed),
            not_started=tuple(
                item.block
                for item in planned
                if not item.cached
                and item.block.key not in begun
                and not self._by_another(item, begun, store)
            ),
            cut_short=tuple(self.cut_short),
        )


def run_block(
    block: Block, on_round: Callable[[int, int], None] | None = None, budget_s: float | None = None
) -> Record:
    """Load the data, test the arms' contracts, measure; the record of one block, made in this process."""
    started, start, cpu = datetime.now(UTC), time.monotonic(), sum(os.times()[:4])
    load, stolen = os.getloadavg()[0], stolen_s()
    found = registry()
    declared = found.case(f"{block.system}/{block.case}")
    card = found.dataset(declared.dataset)
    folder = Path(block.data_dir) if block.data_dir else None
    source = source_of(declared, card, folder)
    system = found.system(block.system)
    code, versions = fingerprint(system, card), packages(system, card)
    as_now = block_of(
        declared, block.profile, block.seed, block.overrides, block.data_dir, source, code, versions
    )
    if as_now.key != block.key:
        raise UserError(
            f"{block.id}: code, data or packages are not what they were when the run was planned; "
            "run the same command again."
        )
    # Before the work: what is edited while a block runs is not what it ran.
    revision = commit()
    where, _ = here()
    case = at_profile(declared, block.profile, block.overrides)
    contract = run_contract(found, declared, cache_dir())
    data, data_record = open_data(case, source)
    measured = measure(case, data, block.seed, block.rounds, on_round=on_round, budget_s=budget_s)
    _still(block, "code", code, fingerprint(system, card))
    if source.root:  # a simulator is all code
        _still(block, "data", source.sha256, source_of(declared, card, folder).sha256)
    usage = Usage(
        started=started.isoformat(timespec="seconds"),
        wall_s=time.monotonic() - start,
        cpu_s=sum(os.times()[:4]) - cpu,
        peak_rss_mb=_peak_rss_mb(),
        load_before=load,
        load_after=os.getloadavg()[0],
    )
    provenance = replace(
        _provenance(block, usage, revision, code, where), steal_s=stolen_s() - stolen, packages=versions
    )
    return _filled(block, case, provenance, data=data_record, contract=contract, measured=measured)


def _still(block: Block, what: str, before: str, after: str) -> None:
    if before != after:
        raise UserError(
            f"{block.id}: {what} changed while it was measured, so nobody can say which was; "
            "run the same command again."
        )


@cache
def here() -> tuple[str, Environment]:
    """Hash and record of where this process runs, looked up once."""
    return environment()


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception in a block is."""
    if isinstance(error, UserError):
        return Failure(kind="bad-input", message=str(error))
    message = "".join(traceback.format_exception_only(error)).strip()
    return Failure(
        kind="memory" if isinstance(error, MemoryError) else "error",
        message=message,
        traceback="".join(traceback.format_exception(error)),
    )


def _record(finished: Finished) -> Record:
    """The record of a finished job, with what its whole process group cost."""
    block, usage, outcome = finished.job.block, finished.usage, finished.outcome
    if isinstance(outcome, Record):
        cost = {name: getattr(usage, name) for name in Usage.__dataclass_fields__}
        return replace(outcome, provenance=replace(outcome.provenance, **cost))
    found = registry()
    declared = found.case(f"{block.system}/{block.case}")
    code = fingerprint(found.system(block.system), found.dataset(declared.dataset))
    where = finished.environment[0] if finished.environment else ""
    provenance = _provenance(block, usage, commit(), code, where)
    case = at_profile(declared, block.profile, block.overrides)
    return _filled(block, case, provenance, failure=_without_paths(outcome, block))


def _filled(
    block: Block,
    case: Case,
    provenance: Provenance,
    *,
    data: DataRecord | None = None,
    contract: str = "",
    measured: Measured | None = None,
    failure: Failure | None = None,
) -> Record:
    measured = measured or Measured({}, [], "", {}, False)
    return Record(
        key=block.key,
        system=block.system,
        case=block.case,
        profile=block.profile,
        seed=block.seed,
        status="failure" if failure else "ok",
        evidence=case.profiles[block.profile].evidence,
        data=data,
        arms={
            arm.name: ArmRecord(
                role=arm.role,
                config=_as_json(arm.config) or {},
                invalid=arm.invalid,
                series=arm.series,
                x=arm.x,
                tuning=_as_json(arm.tuning),
            )
            for arm in case.arms
        },
        metrics={
            metric.name: MetricRecord(
                unit=metric.unit,
                better=metric.better,
                kind=metric.kind,
                clock=metric.clock,
                per=metric.per,
                exact=metric.exact,
            )
            for metric in case.metrics
        },
        samples=measured.samples,
        units=measured.units,
        clusters=measured.clusters,
        twin_of=measured.twin_of,
        order=measured.order,
        budget_ended=measured.budget_ended,
        overrides=block.overrides,
        extras=measured.extras,
        contract=contract,
        failure=failure,
        provenance=provenance,
    )


def _as_json(value: Any) -> Any:
    """As it will be read back: tuples are lists in JSON."""
    return msgspec.json.decode(msgspec.json.encode(plain(value)))


def _provenance(block: Block, usage: Usage, revision: Revision, code: str, where: str) -> Provenance:
    return Provenance(
        commit=revision.commit,
        dirty=revision.dirty,
        fingerprint=code,
        environment=where,
        command=block.command,
        started=usage.started,
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        peak_rss_mb=usage.peak_rss_mb,
        load_before=usage.load_before,
        load_after=usage.load_after,
    )


def _without_paths(failure: Failure, block: Block) -> Failure:
    """The failure as it may be published: folders of this machine are replaced by what they are."""
    # Where modules come from, so also packages of somebody's own; by their last part, as one would import them.
    folders = {entry: Path(entry).name for entry in sys.path if Path(entry).is_absolute()}
    folders |= {str(PACKAGE): "remeasure", sys.prefix: "python", sys.base_prefix: "python"}
    folders |= {str(Path.cwd()): ".", os.path.expanduser("~"): "~"}
    if block.data_dir:
        folders[block.data_dir] = "DIR"
    known = sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known)))

    def clean(text: str) -> str:
        return pattern.sub(lambda match: folders[match[0]], text)

    return replace(
        failure,
        message=clean(failure.message),
        traceback=clean(failure.traceback),
        log_tail=clean(failure.log_tail),
    )


def _peak_rss_mb() -> float:
    """Most memory this process held. getrusage would count what its parent held when it forked."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(peak[1]) / 1024 if peak else 0.0


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that a run that is told to end cleans up as after Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set a handler
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
