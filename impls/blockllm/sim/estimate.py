"""What policies expect a step or a prompt to take where (spec §2.3); the requests' own answers stay hidden from them.

A decoding request comes back to its chain's first block once a round of that GPU: an iteration of everything that is
active there. Blocks of its chain on the same GPU are part of the round. One on another GPU adds the hop, the rest of
the iteration that runs there, and its own; or a whole round of that GPU, where all blocks take turns.
"""

from __future__ import annotations

from .state import COLD, LOADING, Gpu, Instance
from .world import World


class Estimate:
    """Expected seconds, from what is there now."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.finish_first = world.serving.turns == "under_way_first"

    def turn_s(self, gpu: Gpu) -> float:
        """A round over everything that is active on a GPU."""
        if gpu.turn_s < 0:
            self._measure(gpu)
        return gpu.turn_s

    def arrive_s(self, source: Instance, target: Instance, first: bool, more: int) -> float:
        """What a step's way from one block to the next adds, with `more` requests at the target; first: of a chain."""
        gpu, world = target.gpu, self.world
        limit, now, usual_s = target.limit, target.resident, target.steps.usual_s
        rows = now + more
        own = usual_s(rows if rows < limit else limit, world.context)
        added = own - usual_s(now if now < limit else limit, world.context) if more else 0.0
        if gpu is source.gpu and not first:
            return added
        link = world.between[source.gpu.id][gpu.id]
        hop = world.links[link].seconds(source.segment.hidden_bytes) if link else 0.0
        turn = self.turn_s(gpu)
        if first or not self.finish_first:
            return hop + turn + added
        return hop + gpu.residual_s + own

    def gpu_wait_s(self, gpu: Gpu) -> float:
        """Until a prompt that comes to a GPU now may run: the iteration under way, and the prompts that wait."""
        now = self.world.now
        wait = gpu.free_at - now if gpu.free_at > now else 0.0
        for other in gpu.instances:
            if other.queued:
                wait += other.queued * other.token_s
        return wait

    def own_wait_s(self, instance: Instance, tokens: int, answer: float) -> float:
        """Until an instance can take in a prompt: its weights, a place in its batch, memory for the KV cache."""
        world, gpu = self.world, instance.gpu
        wait = 0.0
        if instance.state == LOADING:
            wait += instance.ready_at - world.now
        elif instance.state == COLD:
            wait += world.cluster.loading.seconds(instance.weights)
        waiting = instance.resident + len(instance.prompts) + 1 - instance.limit
        if waiting > 0:
            wait += self.turn_s(gpu) * answer * waiting / instance.limit
        missing = gpu.kv + (tokens + instance.queued) * instance.segment.kv_bytes - gpu.room
        if missing > 0 and gpu.kv:
            wait += self.turn_s(gpu) * answer * missing / gpu.kv
        return wait

    def _measure(self, gpu: Gpu) -> None:
        context = self.world.context
        turn = squares = 0.0
        for instance in gpu.instances:
            rows, limit = instance.resident, instance.limit
            if rows:
                seconds = instance.steps.usual_s(rows if rows < limit else limit, context)
                turn += seconds
                squares += seconds * seconds
        gpu.turn_s = turn
        # Somebody who looks at a random moment sees long iterations more often: half of E[t²] / E[t].
        gpu.residual_s = squares / (2 * turn) if turn else 0.0
