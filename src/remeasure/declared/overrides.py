"""`--set FIELD=VALUE` and what a profile sets, put into the data request and every config that has it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from ..contracts import Case
from ..errors import UserError
from .registry import unknown


def parse_set(pairs: Sequence[str]) -> dict[str, str]:
    """`["field=value", ...]` as a mapping; the value may hold `=`, the field may be dotted."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        field = field.strip()
        if not equals or not field:
            raise UserError(f"--set {pair!r} is no FIELD=VALUE; write for example --set epochs=3.")
        if field in parsed:
            raise UserError(f"--set names {field} twice; name it once.")
        parsed[field] = value.strip()
    return parsed


def apply(case: Case, overrides: Mapping[str, Any]) -> Case:
    """The case with `overrides` in its request and in every arm's config that has the field.

    Raises UserError for a field that neither the request nor any arm has, and for a value of the wrong type.
    """
    for field, value in overrides.items():
        if field not in field_names(case):
            raise unknown(f"field of case {case.id}", field, field_names(case))
        case = replace(
            case,
            request=_with(case, case.request, field, value),
            arms=tuple(replace(arm, config=_with(case, arm.config, field, value)) for arm in case.arms),
        )
    return case


def at_profile(case: Case, profile: str, overrides: Mapping[str, Any]) -> Case:
    """The case as it runs in a profile: the profile's fields, then `overrides`; only the profile's arms.

    A system shares one set of fields between its cases, so a field that this case lacks is passed over; the
    contract tests refuse one that no case of the system has. `overrides` come from a user and are all needed.
    """
    if profile not in case.profiles:
        raise unknown(f"profile of case {case.id}", profile, case.profiles)
    at = case.profiles[profile]
    known_fields = set(field_names(case))
    case = apply(case, {field: value for field, value in at.set.items() if field in known_fields})
    case = apply(case, overrides)
    if at.arms is None:
        return case
    known = [arm.name for arm in case.arms]
    if missing := [name for name in at.arms if name not in known]:
        raise unknown(f"arm of case {case.id} (profile {profile})", missing[0], known)
    return replace(case, arms=tuple(arm for arm in case.arms if arm.name in at.arms))


def field_names(case: Case) -> list[str]:
    """Every field that can be set for this case, dotted where it is nested, sorted."""
    parts = (case.request, *(arm.config for arm in case.arms))
    return sorted({name for part in parts for name in _paths(part)})


def _paths(part: Any, prefix: str = "") -> Iterator[str]:
    if not is_dataclass(part):
        return
    for field in fields(part):
        if field.init:
            yield prefix + field.name
            yield from _paths(getattr(part, field.name), f"{prefix}{field.name}.")


def _with(case: Case, part: Any, field: str, value: Any) -> Any:
    """`part` with the field replaced, or `part` itself where it has no such field."""
    if field not in _paths(part):
        return part
    head, _, rest = field.partition(".")
    if rest:
        inner = _with(case, getattr(part, head), rest, value)
    else:
        hint = _hints(type(part)).get(field, Any)
        try:
            inner = converted(value, hint)
        except msgspec.ValidationError as error:
            choices = get_args(hint) if get_origin(hint) is Literal else ()
            why = f"it is one of {', '.join(map(str, choices))}" if choices else str(error)
            raise UserError(f"field {field} of case {case.id} cannot be {value!r}: {why}.") from None
    try:
        return replace(part, **{head: inner})
    except (TypeError, ValueError) as error:
        raise UserError(f"field {field} of case {case.id} cannot be {value!r}: {error}.") from None


def converted(value: Any, hint: Any) -> Any:
    """`value` as the annotated type; text is read leniently: `3`, `true`, JSON, a Python literal, `a,b`.

    Raises msgspec.ValidationError.
    """
    if not isinstance(value, str):
        return _convert(value, hint)
    try:
        return _convert(value, hint)
    except msgspec.ValidationError:
        for read in (json.loads, ast.literal_eval, _listed):
            try:
                return _convert(read(value), hint)
            except (msgspec.ValidationError, ValueError, SyntaxError):
                continue
        raise


def _convert(value: Any, hint: Any) -> Any:
    # What a profile sets is Python already; what msgspec does not know cannot be checked.
    if is_dataclass(value) and isinstance(hint, type) and isinstance(value, hint):
        return value
    try:
        return msgspec.convert(value, hint, strict=False)
    except TypeError:
        return value


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _hints(config: type) -> dict[str, Any]:
    try:
        return get_type_hints(config)
    except NameError:
        # An annotation that only a type checker can see; the field is then taken as it is.
        return {}
