"""The log of invocations that the cache decides by (June §5.2): who was asked for, how often, with how long prompts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass


@dataclass(frozen=True)
class History:
    """How a model was used inside a window of time."""

    rate: float
    """Its share of all invocations in the window, 0 to 1."""
    frequency: float
    """Its invocations per second of the window."""
    mean_prompt: float
    """Mean prompt length in tokens."""


class InvocationLog:
    """Invocations in the order of their times; times are seconds of whatever clock the caller lives by.

    `longest_window_s` is how far back it can be asked; what is older is forgotten, save when a model was last used.
    Asking costs what came into and fell out of the window since it was last asked, not what is in it.
    """

    def __init__(self, longest_window_s: float = 3600.0) -> None:
        self.longest_window_s = longest_window_s
        # Everything recent, in order: first what the window asked for last left out, then what it counts.
        self._before: deque[tuple[float, str, int]] = deque()
        self._inside: deque[tuple[float, str, int]] = deque()
        self._invocations: Counter[str] = Counter()
        self._prompt_tokens: Counter[str] = Counter()
        self._answer: tuple[float, dict[str, History]] | None = None
        """Window and history, until something enters or leaves `_inside`."""
        self._last: dict[str, float] = {}  # in the order of the times

    def note(self, model: str, time_s: float, prompt_tokens: int) -> None:
        """A request for a model at a time, which must not lie before the one noted last."""
        if self._last and time_s < next(reversed(self._last.values())):
            raise ValueError("invocations are noted in the order of their times")
        self._inside.append((time_s, model, prompt_tokens))
        self._count(model, 1, prompt_tokens)
        self._last.pop(model, None)
        self._last[model] = time_s
        forgotten = time_s - self.longest_window_s
        while self._before and self._before[0][0] <= forgotten:
            self._before.popleft()
        if not self._before:
            self._begin_after(forgotten)
            self._before.clear()

    def last_used(self, model: str) -> float | None:
        """Time of the model's last invocation, None if there was none."""
        return self._last.get(model)

    def latest_first(self) -> list[tuple[str, float]]:
        """Every model ever invoked and when last, the most recent first."""
        return list(reversed(self._last.items()))

    def history(self, now: float, window_s: float = 3600.0) -> dict[str, History]:
        """How each model was used in the window (now - window_s, now], the most invoked first, then the latest used.

        `now` is not before the last invocation; ValueError for a window longer than the log reaches.
        """
        if window_s > self.longest_window_s:
            raise ValueError(f"the log only reaches {self.longest_window_s:g} s back, not {window_s:g}")
        self._begin_after(now - window_s)
        if self._answer is None or self._answer[0] != window_s:
            self._answer = window_s, self._counted(window_s)
        return dict(self._answer[1])

    def models_to_keep(
        self, now: float, window_s: float = 3600.0, threshold: float = 0.25, at_least: int = 3
    ) -> tuple[str, ...]:
        """Models whose share of the window's invocations exceeds the threshold; if none does, the `at_least` most
        invoked. The most invoked first."""
        history = self.history(now, window_s)
        above = tuple(model for model, h in history.items() if h.rate > threshold)
        return above or tuple(history)[:at_least]

    def _begin_after(self, since: float) -> None:
        """Move the beginning of what is counted, in either direction, so that it holds everything after `since`."""
        before, inside = self._before, self._inside
        while inside and inside[0][0] <= since:
            before.append(inside.popleft())
            self._count(before[-1][1], -1, -before[-1][2])
        while before and before[-1][0] > since:
            inside.appendleft(before.pop())
            self._count(inside[0][1], 1, inside[0][2])

    def _count(self, model: str, invocations: int, prompt_tokens: int) -> None:
        self._invocations[model] += invocations
        self._prompt_tokens[model] += prompt_tokens
        self._answer = None

    def _counted(self, window_s: float) -> dict[str, History]:
        """The history of what is counted."""
        latest_first = [model for model in reversed(self._last) if self._invocations[model]]
        total = len(self._inside)
        return {
            model: History(count / total, count / window_s, self._prompt_tokens[model] / count)
            for model in sorted(latest_first, key=lambda model: -self._invocations[model])
            for count in (self._invocations[model],)
        }
