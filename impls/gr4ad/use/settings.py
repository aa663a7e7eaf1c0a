"""What is said with --set, as fields of dataclasses; what is unknown is named, with what is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from remeasure.errors import UserError


def read(given: Mapping[str, str], *defaults: Any, without: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """The dataclasses `defaults`, each with the fields of its own that are given.

    Raises UserError for a name that none has or that is in `without`, and for a text of the wrong kind.
    """
    known = [field.name for default in defaults for field in fields(default) if field.name not in without]
    if unknown := [name for name in given if name not in known]:
        raise UserError(f"this command has no setting {unknown[0]!r}; it has {', '.join(known)}.")
    return tuple(_with(default, given) for default in defaults)


def at_least(name: str, value: Any, least: float) -> None:
    """Refuse a number, or one of some, below the least or not finite."""
    for number in value if isinstance(value, tuple) else (value,):
        if not least <= number < math.inf:
            raise UserError(f"{name} is {number}; give a number of at least {least:g}.")


def _with(default: Any, given: Mapping[str, str]) -> Any:
    hints = get_type_hints(type(default))
    named: list[Field[Any]] = [field for field in fields(default) if field.name in given]
    values = {field.name: _value(field.name, given[field.name], hints[field.name]) for field in named}
    return replace(default, **values)


def _value(name: str, text: str, hint: Any) -> Any:
    kind = get_origin(hint)
    listed = [part.strip() for part in text.split(",") if part.strip()]
    try:
        value = msgspec.convert(listed if kind is tuple else text, hint, strict=False)
    except msgspec.ValidationError:
        raise UserError(f"{name} cannot be {text!r}; give {_wanted(hint)}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} cannot be {text!r}; give a finite number.")
    return value


def _wanted(hint: Any) -> str:
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Literal:
        return f"one of: {', '.join(inner)}"
    if kind is tuple:
        many = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"{many}values with commas between them"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "a text")
