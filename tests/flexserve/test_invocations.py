"""The log of invocations counts as it goes on, and says to the last bit what counting anew would say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.policy.invocations import History, InvocationLog

LONGEST = 100.0
WINDOWS = (LONGEST, 33.3, 7.0)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 7.0, 30.0, 100.0]) | st.floats(0, 120),
        st.one_of(
            st.tuples(st.sampled_from("abcd"), st.integers(1, 5000)),
            st.sampled_from(WINDOWS),
        ),
    ),
    max_size=60,
)


def counted_anew(noted: list[tuple[float, str, int]], now: float, window_s: float) -> dict[str, History]:
    """The oracle: all invocations in the window, gone through once for every question."""
    counts: dict[str, tuple[int, int]] = {}
    total = 0
    for time_s, model, tokens in reversed(noted):  # so that equally frequent ones stand latest first
        if time_s <= now - window_s:
            break
        times, prompts = counts.get(model, (0, 0))
        counts[model] = times + 1, prompts + tokens
        total += 1
    ranked = sorted(counts.items(), key=lambda item: -item[1][0])
    return {model: History(n / total, n / window_s, prompts / n) for model, (n, prompts) in ranked}


def agrees(kind: type[InvocationLog], steps: list[tuple]) -> bool:
    """Whether every answer, its order included, is the oracle's; questions may look ahead and go back again."""
    log, noted, now = kind(LONGEST), [], 0.0
    for gap, step in steps:
        if isinstance(step, tuple):
            now += gap
            log.note(step[0], now, step[1])
            noted.append((now, *step))
            windows = WINDOWS[:1]
        else:
            windows = (step,)
        for window in windows:
            for asked in (now + gap, now):
                seen, expected = log.history(asked, window), counted_anew(noted, asked, window)
                if list(seen.items()) != list(expected.items()):
                    return False
    return True


@given(STEPS)
def test_history_is_exactly_what_counting_anew_gives(steps):
    assert agrees(InvocationLog, steps)


class ForgetsToUncount(InvocationLog):
    """Mutant: the prompts of what falls out of the window still count."""

    def _count(self, model, invocations, prompt_tokens):
        super()._count(model, invocations, max(0, prompt_tokens))


class NeverGoesBack(InvocationLog):
    """Mutant: a question about later times loses what an earlier one needs."""

    def _begin_after(self, since):
        super()._begin_after(since)
        self._before.clear()


class KeepsItsAnswer(InvocationLog):
    """Mutant: an answer is given again whatever was noted since."""

    def history(self, now, window_s=3600.0):
        answer = self._answer
        self._begin_after(now - window_s)
        self._answer = answer
        return super().history(now, window_s)


class RanksByFirstUse(InvocationLog):
    """Mutant: of equally frequent models the one used first stands first."""

    def note(self, model, time_s, prompt_tokens):
        super().note(model, time_s, prompt_tokens)
        self._last = dict(sorted(self._last.items()))


@pytest.mark.parametrize("mutant", [ForgetsToUncount, NeverGoesBack, KeepsItsAnswer, RanksByFirstUse])
def test_the_oracle_catches_a_log_that_counts_wrong(mutant):
    steps = [
        (1.0, ("b", 10)),
        (1.0, ("a", 30)),
        (30.0, ("a", 10)),
        (30.0, ("b", 50)),
        (90.0, 33.3),
        (1.0, LONGEST),
        (90.0, ("c", 1)),
        (7.0, 7.0),
    ]
    assert agrees(InvocationLog, steps)
    assert not agrees(mutant, steps)


def test_what_the_caller_does_with_an_answer_does_not_reach_the_next():
    log = InvocationLog()
    log.note("a", 1.0, 10)
    log.history(1.0).clear()
    assert list(log.history(1.0)) == ["a"]


def test_memory_follows_the_longest_window_whatever_is_asked():
    log = InvocationLog(LONGEST)
    for second in range(1000):
        log.note("a", float(second), 1)
        log.history(float(second), WINDOWS[second % 3])
    assert len(log._before) + len(log._inside) <= LONGEST + 1
