"""What a call is about: the options that select blocks, put together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from . import options

if TYPE_CHECKING:
    from ..data.own_data import OwnData
    from ..declared.registry import Registry
    from ..records.store import Store
    from ..running.blocks import Planned


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

    @property
    def whole(self) -> bool:
        """Nothing of a system is left out, and no seed was named."""
        return not (self.cases or self.claims or self.tags or self.seeds)

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
    profile: options.Profile = options.DEFAULT_PROFILE,
    system: options.Systems = None,
    case: options.Cases = None,
    claim: options.Claims = None,
    tag: options.Tags = None,
    seed: options.Seeds = None,
    set_: options.Settings = None,
) -> Selection:
    """The selection of a call; options that were not given select everything."""
    return Selection(
        profile,
        _all(system),
        _all(case),
        _all(claim),
        _all(tag),
        tuple(seed) if seed else None,
        _all(set_),
    )


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer sees it: the options of `selection` stand in the place of its first parameter."""
    shared = inspect.signature(selection, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    @wraps(command)
    def called(**given: Any) -> None:
        command(selection(**{name: given.pop(name) for name in shared}), **given)

    parameters = [*shared.values(), *own]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _all(names: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(names or ())
