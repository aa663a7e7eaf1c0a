"""Recognising workflows (June §5.2): agents call models in recurring orders, so what comes next can be prefetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One step of a workflow."""

    model: str
    prompt_kv: str = ""
    """Name of the prompt whose KV cache the step starts from, empty if it shares none."""


class WorkflowLog:
    """Lists of `<model, prompt KV>`, one a session, and what followed the same steps before.

    A session's steps become history when it ends. `remember` is how many ended sessions are kept; as many may be open,
    of more the oldest is forgotten. The session "" stands for requests that belong to no workflow.
    """

    def __init__(self, remember: int = 64) -> None:
        self._remember = remember
        self._ended: deque[tuple[Entry, ...]] = deque(maxlen=remember)
        self._open: dict[str, list[Entry]] = {}

    def note(self, session: str, model: str, prompt_kv: str = "") -> None:
        """The session's next step."""
        if not session:
            return
        self._open.setdefault(session, []).append(Entry(model, prompt_kv))
        if len(self._open) > self._remember:
            del self._open[next(iter(self._open))]

    def end(self, session: str) -> None:
        """The session has no further step; its name may be used again for another one."""
        steps = self._open.pop(session, None)
        if steps:
            self._ended.append(tuple(steps))

    def next_models(self, session: str) -> tuple[str, ...]:
        """Models of the steps that are expected next, in order."""
        return tuple(entry.model for entry in self.next_entries(session))

    def next_entries(self, session: str) -> tuple[Entry, ...]:
        """Steps that followed, in an ended session, the longest suffix of this session's steps; () if none is known.

        Of equally long matches one that also began its session there wins, then the session that ended last, then the
        later place in it. A match at the end of a session says that nothing follows.
        """
        steps = self._open.get(session, [])
        best: tuple[int, bool] = (0, False)
        following: tuple[Entry, ...] = ()
        for past in reversed(self._ended):
            for end in range(len(past), 0, -1):
                match = _suffix(steps, past[:end])
                if match > best:
                    best, following = match, past[end:]
        return following


def _suffix(steps: Sequence[Entry], past: Sequence[Entry]) -> tuple[int, bool]:
    """Length of the longest common suffix, and whether both begin with it."""
    length = 0
    for ours, theirs in zip(reversed(steps), reversed(past), strict=False):
        if ours != theirs:
            break
        length += 1
    return length, 0 < length == len(steps) == len(past)
