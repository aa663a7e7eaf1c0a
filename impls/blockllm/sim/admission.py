"""Taking prompts into a batch, and memory for KV caches (spec §2.2, §6: nothing is lost when memory is full).

A request gets memory for its prompt on every GPU of its path before its first block runs, or waits. While it decodes
its cache grows by a token a step; where that does not fit, the youngest requests at hand give all of theirs back and
compute it again later. Lengths of answers are not known to anybody here.
"""

from __future__ import annotations

from typing import cast

from .dispatch import Dispatcher
from .state import COLD, LOADING, MASK, READY, SHIFT, Cohort, Instance, Path, take_out, tokens_held
from .world import World


class Admission:
    """Decides which prompts an instance's next iteration takes in, and who must give memory back."""

    def __init__(self, world: World, dispatcher: Dispatcher) -> None:
        self.world, self.dispatcher = world, dispatcher
        self.budget = world.serving.prefill_tokens
        self.headroom = world.serving.kv_headroom

    def take(self, instance: Instance, room: int) -> list[int]:
        """Prompts for the next iteration, oldest first, at most `room`; their memory is theirs from now on."""
        world = self.world
        length, begun, prompts = world.length, instance.begun, instance.prompts
        taken: list[int] = []
        tokens = 0
        may_begin = instance.state == READY and (instance.fresh or not instance.gpu.closing)
        while len(taken) < room:
            source = begun or (prompts or instance.common if not instance.blocked else begun)
            if not source:
                break
            request = source[0]
            more = length[request]
            if taken and tokens + more > self.budget:
                break
            if source is not begun and not (may_begin and self._admit(request, instance)):
                instance.blocked = True
                break
            source.popleft()
            if source is not instance.common:
                instance.queued -= more
            taken.append(request)
            tokens += more
        return taken

    def _admit(self, request: int, instance: Instance) -> bool:
        """Give a request its path and memory; False: it has to wait."""
        world = self.world
        path = world.paths[request]
        if path is None or path.first is not instance or any(i.state != READY for i in path.instances):
            path = self.dispatcher.route(request, instance)
            world.paths[request] = path
        tokens = world.length[request]
        for other in path.instances:
            if other.state in (COLD, LOADING):
                other.gpu.blocked.append(instance)
                world.wake(other)
                return False
        for gpu, nbytes in path.grow:
            used = gpu.kv + tokens * nbytes
            if used > gpu.room or (gpu.kv and used > gpu.room * (1 - self.headroom)):
                gpu.blocked.append(instance)
                return False
        for gpu, nbytes in path.grow:
            gpu.kv += tokens * nbytes
            gpu.kv_peak = max(gpu.kv_peak, gpu.kv)
        for other in path.instances:
            world.move_resident(request, other, 1)
        world.admitted[request] = 1
        world.place[request] = 0
        world.kv[request] = tuple([other.segment.id for other in path.instances])
        pool = instance.pool
        pool.delay_s += world.now - world.since[request]
        pool.delayed += 1
        return True

    def make_room(self, cohort: Cohort) -> None:
        """Its requests cannot all have memory for the next step: the youngest go until the others can."""
        world, path = self.world, cohort.path
        victims: list[int] = []
        left, freed = cohort.n, 0
        for row in sorted(cohort.rows, key=lambda row: -(row & MASK)):
            if all(g.kv + left * cohort.width * b <= g.room + freed * b for g, b in path.grow):
                break
            victims.append(row)
            freed += tokens_held(row, cohort, world.prompt, world.output)
            left -= 1
        take_out(cohort, victims, world.prompt, world.output)
        for row in sorted(victims, key=lambda row: -(row & MASK)):
            self._evict(row & MASK, (row >> SHIFT) - cohort.step, path)

    def _evict(self, request: int, steps_left: int, path: Path) -> None:
        """Take a request's memory; it waits, before all others, to be computed again."""
        world = self.world
        produced = world.output[request] - steps_left
        held = world.prompt[request] + produced - 1
        world.produced[request] = produced
        world.length[request] = held + 1
        world.admitted[request] = 0
        world.stop[request] = 1 << 30
        world.paths[request] = path
        world.counts.evicted += 1
        world.counts.evicted_tokens += held
        for instance in path.instances:
            world.move_resident(request, instance, -1)
        if path.first.state != READY:  # it is leaving and takes nothing in
            world.paths[request] = self.dispatcher.route(request)
        first = cast(Path, world.paths[request]).first
        world.put_prompt(request, first, ahead=True)
        for gpu, nbytes in path.grow:
            world.give_back(gpu, held * nbytes)
