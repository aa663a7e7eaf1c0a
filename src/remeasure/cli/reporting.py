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
    selected: Selection,
    planned: Sequence[Planned],
    store: Store,
    where: Places,
    *,
    releasing: bool = False,
    skip_bad: bool = False,
) -> Report:
    """Judge what is finished of the planned blocks; of a case with none, what older code gave.

    Other seeds that were measured enter only where they were named, or the case's precision asked for them: which
    seeds count may not depend on what they gave. skip_bad: leave out records that cannot be used, which `run` has
    named and measured anew; else all of them are refused together.
    """
    keys = {item.block.key for item in planned}
    every = store.read_all(selected.profile, {item.block.system for item in planned}, skip_bad=skip_bad)
    records = [record for record in every if record.key in keys]
    have = {(record.system, record.case) for record in records}
    lack = {(item.block.system, item.block.case) for item in planned} - have
    own = _own_hashes(planned)
    records += [
        record
        for record in every
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


def completeness(planned: Sequence[Planned], store: Store, profile: str) -> str:
    """How whole the run is; raises UserError where it is not whole enough to be released."""
    from ..declared.registry import registry
    from ..report.complete import completeness as said_of

    return said_of(registry(), planned, store.read_all(profile, {item.block.system for item in planned}))


def _verify_data(report: Report) -> None:
    """Read the files of every real data set behind the report once more, believing no hash computed before."""
    from ..data.copies import locate, verify
    from ..declared.registry import registry

    found = registry()
    measured = {found.case(f"{row.system}/{row.case}").dataset for row in report.cases if row.data == "real"}
    for name in sorted(measured):
        card = found.dataset(name)
        if copy := locate(card):
            verify(card, copy[0], remember=False)


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
    """Write `latest.json`, the whole report, the schemas of both, and in a checkout README's tables.

    Systems that this report did not measure stay as they were released; README quotes the profile `standard` alone.
    """
    from ..report import render
    from ..report.kept import read_report, with_kept
    from ..report.latest import STANDARD, read_latest, write_release, write_schemas
    from ..report.readme import update_readme

    _verify_data(report)
    folder = where.releases / report.profile
    whole = with_kept(report, read_report(folder / "report.json"))
    path = write_release(report, where.releases)
    written = [path, *render(whole, folder)]
    written += write_schemas(where.releases / "schemas")
    if (
        report.profile == STANDARD
        and where.root
        and update_readme(where.root / "README.md", read_latest(path))
    ):
        written.append(where.root / "README.md")
    return written
