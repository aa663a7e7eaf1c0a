"""The options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError

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


def seconds(text: str) -> float:
    """`90s`, `10m`, `2h`, or a plain number of seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not match or float(match[1]) == 0:
        raise UserError(f"{text!r} is no duration; write for example 90s, 10m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
