"""Fields set for one run: read from text, put where they belong, refused where nothing has them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.contracts import Arm, At, Case, Metric
from remeasure.declared.overrides import apply, at_profile, field_names, parse_set
from remeasure.declared.registry import registry
from remeasure.errors import UserError
from toy.env import use_toy


@dataclass(frozen=True)
class Inner:
    depth: int = 2


@dataclass(frozen=True)
class Request:
    users: int = 10
    shared: str = "a"


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    flag: bool = False
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = (1,)
    limit: int | None = 3
    mode: Literal["fast", "exact"] = "fast"
    shared: str = "b"
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


@dataclass(frozen=True)
class Plain:
    users: int = 1


CASE = Case(
    name="case",
    system="sys",
    question="?",
    prepare=lambda arm, data, seed: lambda: None,
    dataset="toydata",
    request=Request(),
    arms=(Arm("one", "strawman", Config()), Arm("two", "reference", Plain())),
    metrics=(Metric("m", "", "lower", "count"),),
    profiles={
        "tiny": At(set={"users": 3, "rate": 0.5}),
        "smoke": At(arms=("two",)),
        "bad-arm": At(arms=("three",)),
        "shared": At(set={"users": 3, "field_of_another_case": 3}),
    },
)


def config_after(**overrides: object) -> Config:
    config = apply(CASE, overrides).arm("one").config
    assert isinstance(config, Config)
    return config


def test_text_is_read_as_the_type_of_its_field() -> None:
    assert config_after(rate="3") == Config(rate=3.0)
    assert config_after(rate=".5") == Config(rate=0.5)
    assert config_after(flag="true") == config_after(flag="1") == Config(flag=True)
    assert config_after(limit="None") == config_after(limit="null") == Config(limit=None)
    assert config_after(limit="7") == Config(limit=7)
    assert config_after(mode="exact") == Config(mode="exact")


def test_lists_are_read_with_commas_or_as_json() -> None:
    assert config_after(names="s1,s2") == config_after(names='["s1", "s2"]') == Config(names=("s1", "s2"))
    assert config_after(names="s1") == Config(names=("s1",))
    assert config_after(names="") == Config(names=())
    assert config_after(sizes="1, 2") == config_after(sizes="[1,2]") == Config(sizes=(1, 2))


def test_values_that_are_not_text_are_checked_too() -> None:
    assert config_after(names=["a"]) == Config(names=("a",))
    assert config_after(inner=Inner(5)) == config_after(inner={"depth": 5}) == Config(inner=Inner(5))
    with pytest.raises(UserError, match="field rate of case sys/case cannot be 'abc'"):
        apply(CASE, {"rate": "abc"})
    with pytest.raises(
        UserError, match="field mode of case sys/case cannot be 'slow': it is one of fast, exact"
    ):
        apply(CASE, {"mode": "slow"})


def test_a_dotted_path_reaches_into_a_nested_config() -> None:
    assert config_after(**{"inner.depth": "9"}) == Config(inner=Inner(9))
    with pytest.raises(UserError, match=r"called 'inner\.dept'; did you mean inner\.depth"):
        apply(CASE, {"inner.dept": "9"})


def test_a_field_is_set_in_the_request_and_in_every_arm_that_has_it() -> None:
    changed = apply(CASE, {"users": "5", "shared": "z"})
    assert changed.request == Request(users=5, shared="z")
    assert changed.arm("one").config == Config(shared="z")
    assert changed.arm("two").config == Plain(users=5)


def test_the_declared_case_is_left_as_it_was() -> None:
    apply(CASE, {"users": "5", "rate": "2"})
    assert CASE.request == Request() and CASE.arm("one").config == Config()


def test_an_unknown_field_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="field of case sys/case called 'user'; did you mean users"):
        apply(CASE, {"user": "5"})
    with pytest.raises(UserError, match=r"known: flag, inner, inner.depth, limit, mode, names"):
        apply(CASE, {"zzz": "5"})
    assert "inner.depth" in field_names(CASE)


def test_a_value_the_config_itself_refuses_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"field rate .*must not be negative"):
        apply(CASE, {"rate": "-1"})


def test_overrides_win_over_the_profile() -> None:
    assert at_profile(CASE, "tiny", {}).request == Request(users=3)
    changed = at_profile(CASE, "tiny", {"users": "4"})
    assert changed.request == Request(users=4)
    assert changed.arm("one").config == Config(rate=0.5)


def test_a_profile_keeps_only_its_arms() -> None:
    assert [arm.name for arm in at_profile(CASE, "smoke", {}).arms] == ["two"]


def test_what_a_profile_sets_for_other_cases_is_passed_over() -> None:
    assert at_profile(CASE, "shared", {}).request == Request(users=3)


def test_an_unknown_profile_and_an_unknown_arm_are_refused() -> None:
    with pytest.raises(UserError, match="profile of case sys/case called 'tine'; did you mean tiny"):
        at_profile(CASE, "tine", {})
    with pytest.raises(UserError, match="called 'three'"):
        at_profile(CASE, "bad-arm", {})


def test_fields_are_parsed_from_the_command_line() -> None:
    assert parse_set(["a=1", " b.c = x=y ", "d="]) == {"a": "1", "b.c": "x=y", "d": ""}
    for bad in ("a", "=1", " =1", ""):
        with pytest.raises(UserError, match="FIELD=VALUE"):
            parse_set([bad])
    with pytest.raises(UserError, match="names a twice"):
        parse_set(["a=1", "a=2"])


def test_a_config_without_fields_is_left_alone() -> None:
    case = replace(CASE, arms=(Arm("bare", "strawman", object()),))
    assert apply(case, {"users": 1}).arms == case.arms


@given(value=st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.booleans(), st.none()))
def test_any_value_is_taken_or_refused_in_one_sentence(value: object) -> None:
    for name in ("rate", "flag", "names", "limit", "mode", "inner"):
        try:
            for text in (value, str(value)):
                apply(CASE, {name: text})
        except UserError as error:
            assert f"field {name}" in str(error)


def test_the_toy_profiles_apply(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy(monkeypatch, tmp_path)
    case = registry().case("toysys/loop-time")
    assert {arm.config.steps for arm in at_profile(case, "tiny", {}).arms} == {400}
    assert {arm.config.units for arm in at_profile(case, "tiny", {"units": "1"}).arms} == {1}
