"""Where a decoding request's next step runs: best-effort coordination of KV caches per block (spec §2.3).

The owner of a block's KV cache serves the step unless its GPU is so congested that another instance, cache moved or
computed again, is expected to be sooner. Moving is a copy over a link, one after the other; computing again takes the
request back to the chain's first block (or to kept inputs of this block) as if it were a prompt.
"""

from __future__ import annotations

from collections.abc import Callable

from .cluster import CROSS_NODE, IN_NODE
from .dispatch import Dispatcher
from .estimate import Estimate
from .speculation import Speculation
from .state import MASK, READY, SHIFT, Cohort, Gpu, Instance, Path, take_out, tokens_held
from .world import World

Advance = Callable[[Cohort, Instance], None]


class Coordinator:
    """Decides hops of cohorts on careful paths."""

    def __init__(
        self,
        world: World,
        dispatcher: Dispatcher,
        estimate: Estimate,
        speculation: Speculation,
        advance: Advance,
    ) -> None:
        self.world, self.serving, self.dispatcher = world, world.serving, dispatcher
        self.estimate = estimate
        self.speculation, self.advance = speculation, advance
        expected = world.expected
        asked = sum(expected.per_s)
        tokens = sum(rate * n for rate, n in zip(expected.per_s, expected.output, strict=True))
        self.answer = tokens / asked if asked else 1.0
        """Mean answer, in tokens: what is taken to be left of any."""

    def hop(self, cohort: Cohort, source: Instance) -> bool:
        """A cohort stands before its place; True: it has been sent on, nothing of it is left to send."""
        path, place = cohort.path, cohort.place
        if place and place == path.guess:
            guessed = self.speculation.guess(cohort, source)
            if guessed is not None:
                self.advance(guessed, source)
            if not cohort.n:
                return True
        owner = path.instances[place]
        if self.serving.kv == "random":
            self._scatter(cohort, owner, source, self._others(owner))
        elif self.serving.kv == "cost":
            wait = self.queue_s(owner.gpu, owner)
            mean = cohort.context // cohort.n
            if wait > self._transfer_s(IN_NODE, mean * owner.segment.kv_bytes):
                others = self._others(owner)
                if others:
                    self._relieve(cohort, owner, source, others, wait)
        return not cohort.n

    def _others(self, owner: Instance) -> list[Instance]:
        """Instances that could serve in place of the owner."""
        found = [i for i in owner.pool.instances if i is not owner and i.state == READY and not i.gpu.closing]
        if self.serving.substitute == "any":
            for pool in self.dispatcher.equivalents[owner.segment.id]:
                found += [i for i in pool.instances if i.state == READY and not i.gpu.closing]
        return found

    def queue_s(self, gpu: Gpu, instance: Instance) -> float:
        """Seconds until decoding requests that come to an instance now may run: what is ahead on its GPU."""
        wait = gpu.free_at - self.world.now if gpu.running is not None else 0.0
        if wait < 0:
            wait = 0.0
        lines = (gpu.under_way,) if instance.line is gpu.under_way else (gpu.under_way, gpu.ready)
        for line in lines:
            for other in line:
                if other is instance:
                    return wait
                wait += other.last_s
        return wait

    def _relieve(
        self, cohort: Cohort, owner: Instance, source: Instance, others: list[Instance], wait: float
    ) -> None:
        """Move requests off an owner that lets them `wait`, while each of them gains by it."""
        world, serving = self.world, self.serving
        steps = 1.0 if serving.horizon == "step" else self.answer
        stay = wait + steps * self._step_s(cohort, source, owner, 0)
        best, best_s = None, stay
        for other in others:
            go = self.queue_s(other.gpu, other) + steps * self._step_s(cohort, source, other, 1)
            if go < best_s:
                best, best_s = other, go
        if best is None:
            return
        moved: list[int] = []
        busy = 0.0
        room = best.gpu.room * (1 - serving.kv_headroom) - best.gpu.kv
        ahead = self.queue_s(best.gpu, best)
        for row in sorted(cohort.rows, key=lambda row: tokens_held(row, cohort, world.prompt, world.output)):
            more = len(moved) + 1
            tokens = tokens_held(row, cohort, world.prompt, world.output)
            need = tokens * best.segment.kv_bytes
            if best.resident + more > best.limit or need > room:
                break
            if not self._may_go(row & MASK, owner, best):
                continue
            copy, again = self._ways(cohort, owner, best, tokens, busy)
            go = ahead + steps * self._step_s(cohort, source, best, more)
            if stay - go <= min(copy, again):
                break
            room -= need
            if copy <= again:
                busy = copy
                moved.append(row)
            elif self._room_again(cohort, best, tokens):
                self._again(cohort, row, owner, best, tokens)
        if moved:
            self._copy(cohort, moved, owner, best)

    def _step_s(self, cohort: Cohort, source: Instance, target: Instance, more: int) -> float:
        """Seconds of one step's way through a place that is served by `target` with so many more requests, and on.

        Counted for the next step only, the way on and what else is active there do not matter.
        """
        path, place, estimate = cohort.path, cohort.place, self.estimate
        if self.serving.horizon == "step":
            rows = max(1, min(target.resident + more, target.limit))
            return target.steps.usual_s(rows, self.world.context) + self._hop_s(source, target)
        seconds = estimate.arrive_s(source, target, not place, more)
        if path.length > 1:
            onward = place + 1 if place + 1 < path.length else 0
            seconds += estimate.arrive_s(target, path.instances[onward], not onward, 0)
        return seconds

    def _scatter(self, cohort: Cohort, owner: Instance, source: Instance, others: list[Instance]) -> None:
        """Every request to an instance drawn at random, its cache after it; the ablation without coordination."""
        world = self.world
        drawn = world.rng.integers(1 + len(others), size=cohort.n).tolist()
        chosen = list(zip(drawn, cohort.rows, strict=True))
        for number, target in enumerate(others, start=1):
            moved: list[int] = []
            room = target.gpu.room - target.gpu.kv
            for row in [row for where, row in chosen if where == number]:
                tokens = tokens_held(row, cohort, world.prompt, world.output)
                # Computed again, it also needs room for the token of this pass.
                need = (tokens + 1) * target.segment.kv_bytes
                if need > room or not self._may_go(row & MASK, owner, target):
                    continue
                room -= need
                copy, again = self._ways(cohort, owner, target, tokens, 0.0)
                if copy <= again:
                    moved.append(row)
                elif self._room_again(cohort, target, tokens):
                    self._again(cohort, row, owner, target, tokens)
            if moved:
                self._copy(cohort, moved, owner, target)

    def _may_go(self, request: int, owner: Instance, target: Instance) -> bool:
        same = target.segment is owner.segment
        return same or self.world.replaced[request] < self.serving.substitutions

    def _hop_s(self, source: Instance, target: Instance) -> float:
        link = self.world.between[source.gpu.id][target.gpu.id]
        return self.world.links[link].seconds(source.segment.hidden_bytes) if link else 0.0

    def _transfer_s(self, link: int, nbytes: int) -> float:
        return self.world.links[link].seconds(nbytes)

    def _ways(
        self, cohort: Cohort, owner: Instance, target: Instance, tokens: int, already: float
    ) -> tuple[float, float]:
        """Seconds until a request's cache is at the target by copying, after `already`, and by computing it again.

        `tokens` are held; computed again is what was produced, without drafts that may be refused.
        """
        world = self.world
        link = world.between[owner.gpu.id][target.gpu.id]
        copy = max(already, self._link_free(owner.gpu, target.gpu, link) - world.now)
        copy += self._transfer_s(link, tokens * target.segment.kv_bytes) if link else 0.0
        first = cohort.place if self.serving.recompute == "boundary_cache" else 0
        chain = (*cohort.path.instances[first : cohort.place], target)
        produced = tokens + 1 - (cohort.width if cohort.place else 0)
        again = sum(instance.steps.prompt_s(produced) for instance in chain)
        if target.segment is not owner.segment and self.serving.kv_reuse == "same_block":
            return float("inf"), again
        if self.serving.kv_move == "cheaper":
            return copy, again
        return (copy, float("inf")) if self.serving.kv_move == "transfer" else (float("inf"), again)

    def _link_free(self, source: Gpu, target: Gpu, link: int) -> float:
        if link == CROSS_NODE:
            return max(self.world.nic_free_at[source.server], self.world.nic_free_at[target.server])
        return source.link_free_at

    def _occupy(self, source: Gpu, target: Gpu, link: int, nbytes: int) -> float:
        """Put a copy on a link, behind those before it; returns when it has arrived."""
        world = self.world
        end = max(world.now, self._link_free(source, target, link)) + self._transfer_s(link, nbytes)
        if link == CROSS_NODE:
            world.nic_free_at[source.server] = world.nic_free_at[target.server] = end
        else:
            source.link_free_at = end
        return end

    def _exchange(
        self, request: int, path: Path, place: int, target: Instance, held: int, holds: int
    ) -> None:
        """Books: the request's KV of one place leaves its owner and is the target's."""
        world, owner = self.world, path.instances[place]
        world.move_resident(request, owner, -1)
        world.move_resident(request, target, 1)
        gpu = target.gpu
        gpu.kv += holds * target.segment.kv_bytes
        gpu.kv_peak = max(gpu.kv_peak, gpu.kv)
        world.give_back(owner.gpu, held * owner.segment.kv_bytes)
        if target.segment is not owner.segment:
            world.replaced[request] += 1
            world.counts.substituted += 1

    def _copy(self, cohort: Cohort, rows: list[int], owner: Instance, target: Instance) -> None:
        """Send requests to another instance, their caches with them."""
        world, place = self.world, cohort.place
        old = cohort.path
        link = world.between[owner.gpu.id][target.gpu.id]
        end = world.now
        for row in rows:
            held = tokens_held(row, cohort, world.prompt, world.output)
            self._exchange(row & MASK, old, place, target, held, held)
            if link:
                nbytes = held * target.segment.kv_bytes
                end = self._occupy(owner.gpu, target.gpu, link, nbytes)
                world.counts.transfers[link] += 1
                world.counts.transfer_bytes[link] += nbytes
        part = take_out(cohort, rows, world.prompt, world.output)
        part.path = _with(world, old, place, target)
        world.send_moved(part, target, end)

    def _room_again(self, cohort: Cohort, target: Instance, held: int) -> bool:
        """Whether a request can be computed again: its cache at the target, a token more in those that stay."""
        tokens = held if cohort.place else held + 1
        for number, instance in enumerate(cohort.path.instances):
            gpu, more = instance.gpu, (tokens - held) * instance.segment.kv_bytes
            if number == cohort.place:
                gpu, more = target.gpu, tokens * target.segment.kv_bytes
            # As if all of the chain were on one GPU: a little too careful.
            if gpu.kv + more + (tokens - held) * sum(b for _, b in cohort.path.grow) > gpu.room:
                return False
        return True

    def _again(self, cohort: Cohort, row: int, owner: Instance, target: Instance, held: int) -> None:
        """Send a request back as a prompt, to compute the cache of one place again at the target."""
        world, place, old = self.world, cohort.place, cohort.path
        request = row & MASK
        left = (row >> SHIFT) - cohort.step
        take_out(cohort, [row], world.prompt, world.output)
        produced = world.output[request] - left
        tokens = world.prompt[request] + produced
        self._exchange(request, old, place, target, held, tokens)
        for number, instance in enumerate(old.instances):
            if number != place:  # their caches stay, and get room for the token of this pass
                instance.gpu.kv += (tokens - held) * instance.segment.kv_bytes
        path = _with(world, old, place, target)
        world.kv[request] = tuple([i.segment.id for i in path.instances])
        world.paths[request] = path
        world.produced[request], world.length[request] = produced, tokens
        world.stop[request] = place
        begin = place if self.serving.recompute == "boundary_cache" else 0
        world.place[request] = begin
        world.counts.recomputed += 1
        world.counts.recomputed_tokens += held
        world.post_prompt(request, owner)


def _with(world: World, path: Path, place: int, target: Instance) -> Path:
    """The same path, but for one place."""
    return world.path((*path.instances[:place], target, *path.instances[place + 1 :]))
