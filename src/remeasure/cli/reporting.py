"""From the records of a selection to a report and its page, for `run`, `report`, `show` and `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .places import Places, shown

if TYPE_CHECKING:
    from ..judging.judged import Report
    from ..records.record import Record
    from ..records.store import Store
    from ..running.blocks import Planned
    from .selected import Selection


def build(
    selected: Selection, planned: Sequence[Planned], store: Store, where: Places, *, releasing: bool = False
) -> Report:
    """Judge what is finished of the planned blocks; of a case with none, what older code gave.

    Other seeds that were measured enter only where they were named, or the case's precision asked for them: which
    seeds count may not depend on what they gave.
    """
    keys = {item.block.key for item in planned}
    records = [store.read(key) for key in sorted(keys) if store.has(key)]
    have = {(record.system, record.case) for record in records}
    lack = {(item.block.system, item.block.case) for item in planned} - have
    own = _own_hashes(planned)
    records += [
        record
        for record in store.read_all(selected.profile)
        if (record.system, record.case) in lack
        and (own is None or (record.data and record.data.sha256 in own))
    ]
    return judge(selected, records, store, where, releasing=releasing)


def _own_hashes(planned: Sequence[Planned]) -> set[str] | None:
    """Of the files in the folder that was given; None where none was. Records of another folder are about others."""
    from ..data.sources import source_of
    from ..declared.registry import registry

    found, hashes = registry(), set()
    folders = {(f"{item.block.system}/{item.block.case}", item.block.data_dir) for item in planned}
    for name, folder in folders:
        if folder is not None:
            case = found.case(name)
            hashes.add(source_of(case, found.dataset(case.dataset), Path(folder)).sha256)
    return hashes or None


def judge(
    selected: Selection, records: list[Record], store: Store, where: Places, *, releasing: bool = False
) -> Report:
    from ..declared.registry import registry
    from ..judging.gather import build_report

    return build_report(
        registry(),
        records,
        store.environments,
        selected.profile,
        latest(where),
        selected.as_dict(),
        releasing=releasing,
    )


def write(report: Report, where: Places) -> str:
    """Write the page; returns where it is, as a person here would type it."""
    from ..report import render

    return shown(next(path for path in render(report, where.site) if path.name == "index.html"))


def latest(where: Places) -> dict[str, Any] | None:
    """The committed release's `latest.json`; None where nothing was released."""
    import msgspec

    from ..report.latest import LATEST, read_latest

    path = where.releases / LATEST
    if not path.exists():
        return None
    plain: dict[str, Any] = msgspec.to_builtins(read_latest(path))
    return plain


def release(report: Report, where: Places) -> list[Path]:
    """Write `latest.json`, the whole report, the schemas of both, and in a checkout README's tables."""
    from ..report import render
    from ..report.latest import read_latest, update_readme, write_release, write_schemas

    path = write_release(report, where.releases)
    written = [path, *render(report, where.releases / report.profile)]
    written += write_schemas(where.releases / "schemas")
    if where.root and update_readme(where.root / "README.md", read_latest(path)):
        written.append(where.root / "README.md")
    return written
