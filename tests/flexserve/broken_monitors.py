"""Mutants of the monitor, each with one step forgotten; the checks of pages have to catch them."""

from __future__ import annotations

from remeasure.impls.flexserve.sim import monitor as monitor_module
from remeasure.impls.flexserve.sim.monitor import Monitor


class ReleasesAtClaim(Monitor):
    """Mutant: what is claimed goes back at once, although its scrubbing has not been paid for."""

    def drop(self, owner, pieces, claimed):
        super().drop(owner, pieces, claimed=False)


class ReleasesUnscrubbed(Monitor):
    """Mutant: pages go back with the plaintext in them."""

    def _give_back(self, extents):
        zero, self.ledger.machine.zero = self.ledger.machine.zero, lambda extent: None
        super()._give_back(extents)
        self.ledger.machine.zero = zero


class NeverScrubs(Monitor):
    """Mutant: what is claimed stays claimed."""

    def scrub(self, claimed_bytes):
        pass


class ForgetsToProtect(Monitor):
    """Mutant: pages are never unmapped from the normal world."""

    def hold(self, owner, pieces):
        unmap, self.ledger.machine.unmap = self.ledger.machine.unmap, lambda extent: None
        held = super().hold(owner, pieces)
        self.ledger.machine.unmap = unmap
        return held


class LosesKV(Monitor):
    """Mutant: KV caches lie in pages that nobody protects."""

    def hold(self, owner, pieces):
        return owner.endswith("KV") or super().hold(owner, pieces)


class ForgetsToLeave(Monitor):
    """Mutant: the NPU is not given back."""

    def __init__(self, total_bytes, on_demand=False):
        super().__init__(total_bytes, on_demand)
        self.npu.leave = lambda: None


class NeverWakes(Monitor):
    """Mutant: protection stays off when a request comes."""

    def wake(self):
        pass


class NeverRests(Monitor):
    """Mutant: protection stays on when nothing is left to protect."""

    def rest(self):
        pass


class RestsTooSoon(Monitor):
    """Mutant: protection goes off although pages wait for their scrubbing."""

    def rest(self):
        if self.on_demand and self.guard.on and self.npu.mode == "normal":
            self.guard._measured = monitor_module.IMAGE
