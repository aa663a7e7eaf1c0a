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
    from ..blocks import Planned
    from ..registry import Registry
    from ..store import Store

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
        help="Replace a field of the data request and of every arm; data=DIR measures on the files in DIR.",
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
        from ..blocks import plan
        from ..overrides import parse_set

        overrides: dict[str, Any] = dict(parse_set(list(self.settings)))
        data = overrides.pop("data", None)
        planned = plan(
            registry,
            store,
            profile=self.profile,
            systems=self.systems,
            cases=self.cases,
            claims=self.claims,
            tags=self.tags,
            seeds=self.seeds,
            overrides=overrides,
            data_dir=None if data is None else _folder(data),
        )
        for system in {item.block.system for item in planned}:
            # A malformed claims.toml is refused now, not after hours of measuring.
            _ = registry.system(system).claims
        if not planned:
            raise UserError(
                f"nothing matches that selection in profile {self.profile}; see `remeasure list`."
            )
        return planned

    def as_dict(self) -> dict[str, Any]:
        """What was asked for, as judging wants to know it."""
        from ..overrides import parse_set

        return {
            "systems": list(self.systems),
            "cases": list(self.cases),
            "claims": list(self.claims),
            "tags": list(self.tags),
            "seeds": None if self.seeds is None else list(self.seeds),
            "overrides": parse_set(list(self.settings)),
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


def _folder(text: str) -> str:
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise UserError(f"--set data={text}: there is no such folder; name the one that holds the files.")
    return str(folder.resolve())
