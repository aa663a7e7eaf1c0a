"""What is expected next is what followed the longest run of the same steps before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.policy import workflow
from remeasure.impls.flexserve.policy.workflow import Entry, WorkflowLog

STEPS = st.lists(st.sampled_from("abc"), min_size=1, max_size=6)


def log_of(*sessions: Sequence[str], remember: int = 64) -> WorkflowLog:
    log = WorkflowLog(remember)
    for number, models in enumerate(sessions):
        for model in models:
            log.note(str(number), model)
        log.end(str(number))
    return log


def after(log: WorkflowLog, steps: Sequence[str]) -> tuple[str, ...]:
    for model in steps:
        log.note("now", model)
    return log.next_models("now")


def by_hand(past: Sequence[Sequence[str]], steps: Sequence[str]) -> tuple[str, ...]:
    """Every place in every session, judged by the rule as it is stated."""
    places = []
    for number, models in enumerate(past):
        for end in range(1, len(models) + 1):
            for length in range(1, min(end, len(steps)) + 1):
                if list(models[end - length : end]) == list(steps[-length:]):
                    both_begin = length == end == len(steps)
                    places.append((length, both_begin, number, end, tuple(models[end:])))
    return max(places)[-1] if places else ()


def check(
    past: Sequence[Sequence[str]],
    steps: Sequence[str],
    guess: Callable[[WorkflowLog, Sequence[str]], tuple[str, ...]] = after,
) -> None:
    assert guess(log_of(*past), steps) == by_hand(past, steps)


@given(st.lists(STEPS, max_size=6), STEPS)
def test_the_longest_recent_suffix_decides(past: list[list[str]], steps: list[str]) -> None:
    check(past, steps)


@pytest.mark.parametrize(
    "mutant", [lambda *_: (1, False), lambda *_: (0, False), lambda a, b: (int(a[-1] == b[0]), False)]
)
def test_a_match_of_anything_else_is_noticed(
    mutant: Callable[..., tuple[int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    past = [["a", "b", "c"], ["c", "b", "a"]]
    check(past, ["a", "b"])
    monkeypatch.setattr(workflow, "_suffix", mutant)
    with pytest.raises(AssertionError):
        check(past, ["a", "b"])


@given(STEPS, st.integers(1, 6))
def test_a_workflow_seen_once_is_known_from_its_first_step(models: list[str], done: int) -> None:
    assert after(log_of(models), models[:done]) == tuple(models[done:])


def test_the_same_model_with_another_prompt_is_another_step() -> None:
    log = WorkflowLog()
    for kv, then in (("judge", "b"), ("write", "c")):
        log.note(kv, "a", kv)
        log.note(kv, then)
        log.end(kv)
    log.note("now", "a", "judge")
    assert log.next_entries("now") == (Entry("b"),)
    log.note("other", "a", "unknown")
    assert log.next_entries("other") == ()


def test_the_beginning_of_a_session_counts_as_a_match() -> None:
    assert after(log_of("ab", "cac"), "a") == ("b",)


def test_the_end_of_a_known_workflow_expects_nothing() -> None:
    assert after(log_of("abc", "cd"), "abc") == ()


def test_open_sessions_and_requests_without_one_teach_nothing() -> None:
    log = WorkflowLog()
    for session in ("open", ""):
        log.note(session, "a")
        log.note(session, "b")
    log.end("")
    log.end("never begun")
    assert after(log, "a") == ()
    assert log.next_models("") == ()


def test_an_ended_session_may_begin_anew() -> None:
    log = log_of("ab")
    log.note("0", "a")
    assert log.next_models("0") == ("b",)


def test_old_sessions_are_forgotten() -> None:
    assert after(log_of("ab", "cd", remember=1), "a") == ()
    log = WorkflowLog(remember=2)
    for session in "xyz":
        log.note(session, "a")
    log.end("x")
    assert after(log, "a") == ()
