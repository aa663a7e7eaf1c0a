"""The options that several commands share, and what they select."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError

if TYPE_CHECKING:
    from ..data.own_data import OwnData
    from ..declared.registry import Registry
    from ..records.store import Store
    from ..running.blocks import Planned

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="smoke (minutes), standard (the report), full.")
]
Systems = Annotated[
    list[str] | None, typer.Option("--system", "-s", metavar="NAME", help="Only this system.")
]
Cases = Annotated[list[str] | None, typer.Option("--case", "-c", metavar="NAME", help="Only this case.")]
Claims = Annotated[
    list[str] | None, typer.Option("--claim", metavar="ID", help="Only what this claim rests on.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Only cases with this tag.")]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", metavar="N", help="These seeds, not the profile's.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Replace a field of the data request and of every arm; data=DIR measures on the files in DIR, "
        "trace=DIR replays the requests in DIR where a case is about requests.",
    ),
]
Results = Annotated[
    Path | None,
    typer.Option("--results", envvar="REMEASURE_RESULTS", metavar="DIR", help="Where records are kept."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where the page is written.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_PROFILE = "smoke"


@dataclass(frozen=True)
class Selection:
    """What a call is about."""

    profile: str
    systems: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    settings: tuple[str, ...] = ()

    def plan(self, registry: Registry, store: Store) -> list[Planned]:
        """The blocks it needs; raises UserError for a name that nothing has."""
        from ..running.blocks import plan

        own, fields = self.own(registry)
        planned = plan(
            registry,
            store,
            profile=self.profile,
            systems=self.systems,
            cases=self.cases,
            claims=self.claims,
            tags=self.tags,
            seeds=self.seeds,
            overrides=fields,
            data_dir=str(own.folder) if own else None,
            serves=own.serves if own else None,
        )
        for system in {item.block.system for item in planned}:
            # A malformed claims.toml is refused now, not after hours of measuring.
            _ = registry.system(system).claims
        if not planned and own and own.datasets:
            raise UserError(
                f"--set {own.setting}: no case of that selection is about {' or '.join(own.datasets)} in profile "
                f"{self.profile}; see `remeasure list cases`."
            )
        if not planned:
            raise UserError(
                f"nothing matches that selection in profile {self.profile}; see `remeasure list`."
            )
        return planned

    def own(self, registry: Registry) -> tuple[OwnData | None, dict[str, Any]]:
        """The user's own files, if they were given, and the fields that were set."""
        from ..data.own_data import own_data
        from ..declared.overrides import parse_set

        return own_data(registry, parse_set(list(self.settings)))

    def left_out(self, registry: Registry) -> str:
        """A sentence for the cases that the user's own files are not for; empty where there are none."""
        from ..running.blocks import select

        own, _ = self.own(registry)
        if own is None or own.datasets is None:
            return ""
        cases = select(registry, self.systems, self.cases, self.claims, self.tags)
        count = sum(self.profile in case.profiles and not own.serves(case) for case in cases)
        names = " and ".join(own.datasets)
        others = "1 case on other data is" if count == 1 else f"{count} cases on other data are"
        return (
            f"--set {own.setting}: {own.folder.name} stands for {names}; {others} left out." if count else ""
        )

    def as_dict(self) -> dict[str, Any]:
        """What was asked for, as judging wants to know it."""
        from ..declared.registry import registry

        own, fields = self.own(registry())
        return {
            "systems": list(self.systems),
            "cases": list(self.cases),
            "claims": list(self.claims),
            "tags": list(self.tags),
            "seeds": None if self.seeds is None else list(self.seeds),
            # By whichever word the folder was given: records only know that it was one.
            "overrides": {**fields, **({"data": str(own.folder)} if own else {})},
        }


def selection(
    profile: str,
    system: Sequence[str] | None = None,
    case: Sequence[str] | None = None,
    claim: Sequence[str] | None = None,
    tag: Sequence[str] | None = None,
    seed: Sequence[int] | None = None,
    settings: Sequence[str] | None = None,
) -> Selection:
    """The selection of a call; options that were not given select everything."""
    return Selection(
        profile,
        tuple(system or ()),
        tuple(case or ()),
        tuple(claim or ()),
        tuple(tag or ()),
        tuple(seed) if seed else None,
        tuple(settings or ()),
    )


def seconds(text: str) -> float:
    """`90s`, `10m`, `2h`, or a plain number of seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not match or float(match[1]) == 0:
        raise UserError(f"{text!r} is no duration; write for example 90s, 10m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
