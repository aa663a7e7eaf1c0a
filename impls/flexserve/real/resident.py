"""Where the parts of a model are in the host's memory: owned pages, decrypted weights, and pages on their way out.

A part's pages are owned (claimed from the kernel) or not; weights are resident or not. Reclaiming claims the pages,
zeroes them and only then gives them back (June §4.2); whoever needs the part before that waits at the gate. Each step
goes through `Pages`, which is the policy's ledger where the system protects its pages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from remeasure.impls.common import layout
from remeasure.impls.common.llama import TensorSpec, Weights

from .gate import Gate
from .memory import Collapsed, Kind, Region
from .pages import Pages, part_owner


class ResidentParts:
    """The memory of one model's weights. One thread begins and ends requests; others may claim and fill meanwhile."""

    def __init__(
        self, specs: Sequence[Sequence[TensorSpec]], kind: Kind, collapsed: Collapsed, pages: Pages
    ) -> None:
        self.nbytes = [layout.offsets(part)[1] for part in specs]
        self.resident: set[int] = set()
        """Parts whose weights are in memory, whole and decrypted."""
        self._specs = specs
        self._kind = kind
        self._collapsed = collapsed
        self._pages = pages
        self._regions: dict[int, Region] = {}
        self._weights: dict[int, Weights] = {}
        self._owned: set[int] = set()
        self._gate = Gate()
        self._scrubber = ThreadPoolExecutor(1, thread_name_prefix="scrubber")

    def claim(self, part: int, offset: int = 0, nbytes: int | None = None) -> None:
        """Own the pages of a part's range; waits while the part is being scrubbed; nothing where they are owned."""
        self._gate.enter(part)
        if part not in self._owned:
            if part not in self._regions:
                region = Region(self.nbytes[part], self._kind, self._collapsed)
                self._pages.protect(part_owner(part), region)
                self._regions[part] = region
                self._weights[part] = layout.views(self._specs[part], region.view())
            self._regions[part].claim(offset, self.nbytes[part] if nbytes is None else nbytes)

    def owned(self, parts: Collection[int]) -> None:
        """Every page of these parts has been claimed."""
        self._owned.update(parts)

    def fill(self, part: int, offset: int, nbytes: int) -> None:
        """Plaintext may lie in these bytes from now on; call it before the first one is written."""
        self._pages.fill(part_owner(part), offset, nbytes)

    def view(self, part: int, offset: int, nbytes: int) -> memoryview:
        """Writable bytes of a part whose pages were claimed."""
        return self._regions[part].view(offset, nbytes)

    def weights(self, part: int) -> Weights:
        """The tensors of a part, in place."""
        return self._weights[part]

    def drop(self, kept: Collection[int], give_back: bool) -> None:
        """Zero every part outside `kept`, and give its pages back or own them still."""
        self._settle()
        self.resident.intersection_update(kept)
        for part in set(self._regions) - set(kept):
            if give_back:
                self._pages.claim(part_owner(part))
                self._give_back(part)
            else:
                self._regions[part].zero()

    def reclaim(self, parts: Collection[int]) -> Future[None]:
        """Give parts' pages to the kernel: claimed when this returns, zeroed and given back when the future is done.

        Parts without pages are passed over.
        """
        self._settle()
        taken = sorted(set(parts) & set(self._regions))
        self.resident.difference_update(taken)
        for part in taken:
            self._gate.claim(part)
            self._pages.claim(part_owner(part))
        return self._scrubber.submit(self._scrub, taken)

    def close(self) -> None:
        """Zero and give back everything."""
        self.drop((), give_back=True)
        self._scrubber.shutdown()

    def _scrub(self, parts: Sequence[int]) -> None:
        try:
            for part in parts:
                self._give_back(part)
                self._gate.scrubbed(part)
        except BaseException as error:
            self._gate.failed(error)
            raise

    def _settle(self) -> None:
        """Wait until nothing is being scrubbed."""
        self._scrubber.submit(int).result()

    def _give_back(self, part: int) -> None:
        """Of claimed pages."""
        self._pages.scrub(part_owner(part))
        del self._weights[part], self._regions[part]
        self._owned.discard(part)
        self._pages.release(part_owner(part))


class Filled:
    """The memory as a loader sees it: bytes that it asks for are declared plaintext before it has them."""

    def __init__(self, memory: ResidentParts) -> None:
        self._memory = memory

    def view(self, part: int, offset: int, nbytes: int) -> memoryview:
        """Writable bytes of a part whose pages were claimed."""
        self._memory.fill(part, offset, nbytes)
        return self._memory.view(part, offset, nbytes)
