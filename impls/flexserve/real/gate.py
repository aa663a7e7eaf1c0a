"""Blocks early access: whoever wants memory that was claimed for reclaim waits until it is scrubbed (June §4, §5.3).

On the phone the access faults in the stage-2 page table; on the host the reader asks here first.
"""

from __future__ import annotations

from threading import Condition


class Gate:
    """Which parts are claimed and not yet scrubbed."""

    def __init__(self) -> None:
        self._claimed: set[int] = set()
        self._failed: BaseException | None = None
        self._changed = Condition()

    def claim(self, part: int) -> None:
        """From now on `enter` blocks. Raises ValueError for a part that is claimed already."""
        with self._changed:
            if part in self._claimed:
                raise ValueError(f"part {part} is claimed already")
            self._claimed.add(part)

    def scrubbed(self, part: int) -> None:
        """The part holds zeros; those who wait for it go on."""
        with self._changed:
            self._claimed.remove(part)
            self._changed.notify_all()

    def failed(self, error: BaseException) -> None:
        """What is claimed will never be scrubbed; those who wait for it get an error instead of waiting on."""
        with self._changed:
            self._failed = error
            self._changed.notify_all()

    def enter(self, part: int) -> None:
        """Returns once the part is not claimed; raises RuntimeError where its scrubbing has failed."""
        with self._changed:
            self._changed.wait_for(lambda: part not in self._claimed or self._failed)
            if part in self._claimed:
                raise RuntimeError(f"part {part} was claimed and could not be scrubbed") from self._failed
