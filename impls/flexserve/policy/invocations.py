"""The log of invocations that the cache decides by (June §5.2): who was asked for, how often, with how long prompts."""

from __future__ import annotations

from collections import deque
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


@dataclass
class _Count:
    invocations: int = 0
    prompt_tokens: int = 0


class InvocationLog:
    """Invocations in the order of their times; times are seconds of whatever clock the caller lives by.

    `longest_window_s` is how far back it can be asked; what is older is forgotten, save when a model was last used.
    """

    def __init__(self, longest_window_s: float = 3600.0) -> None:
        self.longest_window_s = longest_window_s
        self._recent: deque[tuple[float, str, int]] = deque()
        self._last: dict[str, float] = {}  # in the order of the times

    def note(self, model: str, time_s: float, prompt_tokens: int) -> None:
        """A request for a model at a time, which must not lie before the one noted last."""
        if self._recent and time_s < self._recent[-1][0]:
            raise ValueError("invocations are noted in the order of their times")
        self._recent.append((time_s, model, prompt_tokens))
        self._last.pop(model, None)
        self._last[model] = time_s
        while self._recent[0][0] <= time_s - self.longest_window_s:
            self._recent.popleft()

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
        counts: dict[str, _Count] = {}
        total = 0
        for time_s, model, tokens in reversed(
            self._recent
        ):  # so that equally frequent ones stand latest first
            if time_s <= now - window_s:
                break
            count = counts.setdefault(model, _Count())
            count.invocations += 1
            count.prompt_tokens += tokens
            total += 1
        ranked = sorted(counts.items(), key=lambda item: -item[1].invocations)
        return {
            model: History(c.invocations / total, c.invocations / window_s, c.prompt_tokens / c.invocations)
            for model, c in ranked
        }

    def models_to_keep(
        self, now: float, window_s: float = 3600.0, threshold: float = 0.25, at_least: int = 3
    ) -> tuple[str, ...]:
        """Models whose share of the window's invocations exceeds the threshold; if none does, the `at_least` most
        invoked. The most invoked first."""
        history = self.history(now, window_s)
        above = tuple(model for model, h in history.items() if h.rate > threshold)
        return above or tuple(history)[:at_least]
