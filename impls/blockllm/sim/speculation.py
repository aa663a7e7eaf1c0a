"""Speculation (spec §2.5), with acceptance and time ratio as inputs that were measured on real models.

exact: before a pass a surrogate of the whole chain drafts tokens on the first block's GPU, the true chain verifies them
in one pass, what was refused is rolled back; done only where it is expected to pay. tolerant: where a chain hops to
another GPU, the GPU before the hop runs a surrogate of the remote block and goes on with its result; the remote block
computes the true one meanwhile, and requests whose guess it refuses go on from there, late. That a guess is refused is
drawn when it is made; its work downstream is charged in vain. At most one block of a chain is guessed.
"""

from __future__ import annotations

from heapq import heapify

from .state import SHIFT, Cohort, Instance, Path, take_out
from .world import World


class Speculation:
    """Draws outcomes and says what they cost."""

    def __init__(self, world: World) -> None:
        self.world, self.serving = world, world.serving
        self.rng = world.rng
        self.surrogates: set[tuple[int, int]] = set()
        """Surrogates held, as (segment, GPU)."""
        if self.serving.speculation != "off":
            world.dress = self.dress

    # --- what a path may speculate ------------------------------

    def dress(self, path: Path) -> None:
        """Prepare a new path."""
        if self.serving.speculation == "exact":
            path.drafts = self._drafts(path)
        elif path.length > 1:
            self._choose_guess(path)

    def _drafts(self, path: Path) -> list[float]:
        """Seconds of drafting by rows; 0 where plain decoding is expected to be as fast."""
        serving, context = self.serving, self.world.context
        drafted, accept = serving.draft_tokens, serving.acceptance
        gained = drafted + 1.0 if accept == 1 else (1 - accept ** (drafted + 1)) / (1 - accept)
        seconds = [0.0]
        for rows in range(1, serving.max_batch + 1):
            plain = draft = checked = 0.0
            for instance, link in zip(path.instances, path.links, strict=True):
                step = instance.steps.decode_s(rows, rows * context)
                hop = self.world.links[link].seconds(rows * instance.segment.hidden_bytes) if link else 0.0
                wide = rows * (drafted + 1)
                more = (
                    instance.linear[wide] + instance.head[wide] - instance.linear[rows] - instance.head[rows]
                )
                plain += step + hop
                checked += step + more + hop
                draft += drafted * serving.surrogate_time * step
            seconds.append(draft if gained * plain > draft + checked else 0.0)
        return seconds

    def _choose_guess(self, path: Path) -> None:
        """Guess the block behind the costliest hop whose surrogate fits before it."""
        if not self.serving.speculated:
            return
        hidden, links = path.first.segment.hidden_bytes, self.world.links
        there = [links[link].seconds(hidden) if link else 0.0 for link in path.links]
        hops = [(there[p] + there[(p + 1) % path.length], p) for p in range(1, path.length) if path.links[p]]
        for _, place in sorted(hops, key=lambda hop: (-hop[0], hop[1])):
            upstream, remote = path.instances[place - 1], path.instances[place]
            if self._holds(remote, upstream):
                rows = range(1, self.serving.max_batch + 1)
                context = self.world.context
                share = self.serving.surrogate_time
                path.guess = place
                path.surcharge = [0.0, *(share * remote.steps.decode_s(n, n * context) for n in rows)]
                for instance in path.instances:
                    instance.guessed = True
                return

    def _holds(self, remote: Instance, upstream: Instance) -> bool:
        """Whether a GPU has a block's surrogate, or gets it now."""
        key, gpu = (remote.segment.id, upstream.gpu.id), upstream.gpu
        if key not in self.surrogates:
            nbytes = int(self.serving.surrogate_time * remote.weights)
            keep = max(upstream.segment.context_bytes, self.serving.kv_reserve * gpu.capacity)
            if gpu.room - nbytes < max(keep, gpu.kv) or gpu.cold:
                return False
            gpu.room -= nbytes
            gpu.weights_peak = max(gpu.weights_peak, gpu.capacity - gpu.room)
            self.surrogates.add(key)
        return True

    # --- exact ------------------------------

    def widen(self, cohort: Cohort) -> int:
        """A pass begins: how many tokens are appended in it, with those that may be rolled back."""
        drafts = cohort.path.drafts
        cohort.width = 1 + self.serving.draft_tokens if drafts and drafts[cohort.n] else 1
        return cohort.n * cohort.width

    def draft_s(self, batch: list[Cohort]) -> float:
        """Seconds of drafting for the cohorts of a batch that begin a pass."""
        seconds = 0.0
        for cohort in batch:
            if not cohort.place and cohort.width > 1:
                drafts = cohort.path.drafts
                assert drafts is not None
                seconds += drafts[cohort.n]
        self.world.counts.draft_s += seconds
        return seconds

    def verify(self, cohort: Cohort) -> None:
        """A pass ends: every request keeps the drafted tokens before the first refused one, and one more."""
        world, drafted, n = self.world, self.serving.draft_tokens, cohort.n
        failure = 1 - self.serving.acceptance
        draws = self.rng.geometric(failure, size=n).tolist() if failure else [drafted + 1] * n
        step = cohort.step
        rows: list[int] = []
        kept = 0
        for row, draw in zip(cohort.rows, draws, strict=True):
            left = (row >> SHIFT) - step + 1  # of which the pass itself has produced one
            tokens = min(draw, drafted + 1, left)
            kept += tokens
            rows.append(row - ((tokens - 1) << SHIFT))
        heapify(rows)
        world.counts.drafted += n * drafted
        world.counts.accepted += kept - n
        back = n * cohort.width - kept
        cohort.rows, cohort.width = rows, 1
        cohort.context -= back
        cohort.due = rows[0] >> SHIFT
        for gpu, nbytes in cohort.path.grow:
            world.give_back(gpu, back * nbytes)

    # --- tolerant ------------------------------

    def burden(self, batch: list[Cohort]) -> tuple[int, int, float] | None:
        """Rows in vain, the tokens they look at, and seconds of surrogates in an iteration; None: nothing."""
        ghosts = seen = 0
        seconds = 0.0
        for cohort in batch:
            path = cohort.path
            if cohort.place + 1 == path.guess and not cohort.shadow:
                assert path.surcharge is not None
                seconds += path.surcharge[cohort.n]
            if cohort.ghosts:
                ghosts += cohort.ghosts
                seen += cohort.ghosts * self.world.context
                cohort.ghosts = 0
        self.world.counts.draft_s += seconds
        return (ghosts, seen, seconds) if ghosts or seconds else None

    def guess(self, cohort: Cohort, source: Instance) -> Cohort | None:
        """Split off those whose guess will be accepted: they go on as if the remote block had run.

        What is left of the cohort takes the way over the remote block. A shadow makes that block compute the others.
        """
        world, n = self.world, cohort.n
        always = self.serving.speculation == "always"
        accepted = n if always else int(self.rng.binomial(n, self.serving.acceptance))
        world.counts.drafted += n
        world.counts.accepted += accepted
        if not accepted:
            return None
        # Any of them: as they lie in the heap, the first would be those whose answers end soon.
        lucky = [cohort.rows[i] for i in self.rng.permutation(n)[:accepted].tolist()]
        guessed = take_out(cohort, lucky, world.prompt, world.output)
        guessed.ghosts = cohort.n
        if not always:
            shadow = _shadow(guessed, accepted, guessed.context)
            remote = cohort.path.instances[cohort.place]
            world.post_cohort(shadow, remote, world.link(source, remote))
        return guessed

    def part_of_shadow(self, shadow: Cohort, rows: int) -> Cohort:
        """Split so many rows off a shadow that is too large for a batch."""
        part = _shadow(shadow, rows, shadow.context * rows // shadow.n)
        shadow.n -= rows
        shadow.context -= part.context
        return part


def _shadow(of: Cohort, rows: int, context: int) -> Cohort:
    """What checks the guesses of a cohort."""
    shadow = Cohort(of.path)
    shadow.place, shadow.n, shadow.context, shadow.shadow = of.place, rows, context, True
    return shadow
