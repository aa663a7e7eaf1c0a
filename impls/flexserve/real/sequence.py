"""The KV cache of the one sequence that is served: in the run's memory, or swapped out (June §4.2, reclaiming KV)."""

from __future__ import annotations

from remeasure.impls.common import llama

from .memory import Collapsed, Kind, Region
from .pages import KV_OWNER, Pages
from .swap import SwapFile


class SequenceKV:
    """Takes its pages when a sequence begins, unless it owns them already. One thread uses it."""

    def __init__(
        self, config: llama.LlamaConfig, tokens: int, kind: Kind, collapsed: Collapsed, pages: Pages
    ) -> None:
        """`tokens`: how many it has room for."""
        self.nbytes = llama.KV.nbytes(config, tokens)
        self.region: Region | None = None
        """Its pages, where it owns some."""
        self.kv: llama.KV | None = None
        """The tensors in them."""
        self._config = config
        self._tokens = tokens
        self._kind = kind
        self._collapsed = collapsed
        self._pages = pages
        self._swap: SwapFile | None = None
        self._swapped: list[int] | None = None

    @property
    def swapped(self) -> bool:
        """Whether a sequence is outside and can be brought back."""
        return self._swapped is not None

    @property
    def plaintext_bytes(self) -> int:
        """Of filled KV in the run's memory."""
        return llama.KV.nbytes(self._config, self.kv.filled[-1]) if self.kv else 0

    def own(self) -> tuple[Region, llama.KV]:
        """Own the pages; raises UserError where there is no memory of the kind."""
        if self.region is None:
            region = Region(self.nbytes, self._kind, self._collapsed)
            self._pages.protect(KV_OWNER, region)
            self.region = region
            region.claim(0, region.nbytes)
        if self.kv is None:
            self.kv = llama.KV(self._config, self._tokens, self.region.view())
        return self.region, self.kv

    def begin(self) -> llama.KV:
        """Empty, for a new sequence; the one before is forgotten."""
        self.forget()
        _, kv = self.own()
        self._pages.fill(KV_OWNER)
        kv.filled = [0] * self._config.layers
        return kv

    def end(self, give_back: bool) -> None:
        """Zero it, and give the pages back or own them still; nothing of it can be brought back."""
        self.forget()
        if give_back:
            self._give_back()
        elif self.region is not None:
            self.region.zero()
        if self.kv is not None:
            self.kv.filled = [0] * self._config.layers

    def swap_out(self) -> None:
        """Write every page back, encrypted, and give it to the kernel, zeroed.

        Raises UserError, and changes nothing, where the pages cannot be written.
        """
        assert self.region is not None and self.kv is not None
        self._swap = self._swap or SwapFile()
        self._swap.write_back(self.region)
        self._swapped = self.kv.filled
        self._give_back()

    def swap_in(self) -> None:
        """Own pages again, with what was written back.

        Raises UserError where the file holds anything else: the pages are zeroed, and only `end` may follow.
        """
        assert self._swap is not None and self._swapped is not None
        region, kv = self.own()
        self._pages.fill(KV_OWNER)
        self._swap.restore(region)
        kv.filled, self._swapped = self._swapped, None

    def forget(self) -> None:
        """What is outside will not be brought back."""
        self._swapped = None
        if self._swap is not None:
            self._swap.forget()

    def close(self) -> None:
        """Zero and give back everything, and remove the file."""
        self.end(give_back=True)
        if self._swap is not None:
            self._swap.close()
            self._swap = None

    def _give_back(self) -> None:
        if self.region is not None:
            self.region = self.kv = None  # the tensors are views, and no view may be held when pages go back
            self._pages.claim(KV_OWNER)
            self._pages.scrub(KV_OWNER)
            self._pages.release(KV_OWNER)
