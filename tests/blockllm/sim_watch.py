"""An observer that recomputes, after every event, what the simulator's books ought to say."""

from __future__ import annotations

from collections import Counter

from remeasure.impls.blockllm.sim.state import (
    ARRIVAL,
    COLD,
    DRAINING,
    GONE,
    MASK,
    MESSAGE,
    READY,
    tokens_held,
)


class Watch:
    """Raises AssertionError as soon as an invariant of spec §6 does not hold."""

    def __init__(self):
        self.now = 0.0
        self.events = 0
        self.begun = {}
        self.places = {}
        """By request, the last place visited in the current pass, and which one its path guesses."""
        self.visits = Counter()
        """By request and place: tokens computed there."""
        self.iterations = 0

    def __call__(self, world):
        assert world.now >= self.now, "the clock went back"
        self.now = world.now
        self.events += 1
        assert self.events < 300 * len(world.at) + 1000, "it does not come to an end"
        for gpu in world.gpus:
            if gpu.running is not None and gpu.batch is not self.begun.get(gpu.id):
                self.begun[gpu.id] = gpu.batch
                self.began(world, gpu)
        self.conserved(world)
        self.memory(world)
        self.not_idle(world)

    # --- 2, 3, 4, 6: an iteration begins -----------------------------------------------------------------------------

    def began(self, world, gpu):
        instance = gpu.running
        self.iterations += 1
        assert gpu.free_at >= world.now
        assert instance.state in (READY, DRAINING), "ran without its weights"
        rows = sum(cohort.n for cohort in gpu.batch)
        assert rows + len(gpu.taken) <= instance.limit, "batch beyond its limit"
        for cohort in gpu.batch:
            assert cohort.since <= world.now
            if cohort.shadow:
                continue
            assert cohort.path.instances[cohort.place] is instance
            assert cohort.n == len(cohort.rows)
            held = sum(tokens_held(row, cohort, world.prompt, world.output) for row in cohort.rows)
            held += 0 if cohort.place else cohort.n * cohort.width
            assert cohort.context == held, "a cohort's context is not that of its requests"
            for row in cohort.rows:
                request = row & MASK
                assert (row >> MASK.bit_length()) > cohort.step, "runs though its answer is complete"
                self.visit(world, request, cohort.place, instance, cohort.path)
                self.visits[request, cohort.place] += 1
        for request in gpu.taken:
            assert world.at[request] <= world.since[request] <= world.now
            place = world.place[request]
            self.places.setdefault(request, (place - 1, -1))
            self.visit(world, request, place, instance, world.paths[request], prompt=True)
            self.visits[request, place] += world.length[request] if place <= world.stop[request] else 1
        waiting = instance.begun or (not instance.blocked and instance.prompts)
        aged = waiting and world.now - world.since[waiting[0]] >= world.serving.age_s
        if aged and world.serving.order == "returning_first":
            assert gpu.taken, "a prompt that had waited long enough was passed over"

    def visit(self, world, request, place, instance, path, prompt=False):
        before, guess = self.places.get(request, (-1, -1))
        if prompt and (place == 0 or world.stop[request] == place):
            before = place - 1  # begins, or begins again
        expected = before + 1
        if expected == guess and not prompt and place != expected:
            expected = (expected + 1) % path.length  # its result was guessed
        assert place == expected, f"place {place} after {before}"
        self.places[request] = (-1 if place == path.length - 1 else place, path.guess)
        assert world.kv[request][place] == instance.segment.id, "read KV that another block produced"
        assert instance.resident > 0

    # --- 1: every request in one bucket ------------------------------------------------------------------------------

    def buckets(self, world):
        """Requests under way and where; those at an instance's cohorts with their cohort."""
        prompts, cohorts = [], []
        for instance in world.instances:
            prompts += [*instance.prompts, *instance.begun]
            cohorts += instance.cohorts
        for pool in world.pools:
            prompts += pool.common
        for gpu in world.gpus:
            if gpu.running is not None:
                cohorts += gpu.batch
                prompts += gpu.taken
        coming = len(world.at)
        for _, _, kind, what in world.heap:
            if kind == MESSAGE:
                cohorts += what.cohorts
                prompts += what.prompts
            elif kind == ARRIVAL:
                coming = what
        return prompts, [cohort for cohort in cohorts if not cohort.shadow], coming

    def conserved(self, world):
        prompts, cohorts, coming = self.buckets(world)
        decoding = [row & MASK for cohort in cohorts for row in cohort.rows]
        done = [request for request in range(coming) if world.finish[request] >= 0]
        refused = [
            request
            for request in range(coming)
            if world.prompt[request] + world.output[request] > self.context(world, request)
        ]
        everywhere = Counter([*prompts, *decoding, *done, *refused])
        assert everywhere == Counter(range(coming)), "a request is lost or in two places"
        assert world.open == len(world.at) - len(done) - len(refused)

    def context(self, world, request):
        return world.pools[world.content.chains[world.app[request]][0]].segment.shape.context

    # --- 5: memory ---------------------------------------------------------------------------------------------------

    def memory(self, world):
        prompts, cohorts, _ = self.buckets(world)
        used = Counter()
        resident = Counter()
        for request in prompts:
            if world.admitted[request]:
                for instance in world.paths[request].instances:
                    used[instance.gpu.id] += world.length[request] * instance.segment.kv_bytes
                    resident[instance.id] += 1
        running = {id(c) for gpu in world.gpus if gpu.running is not None for c in gpu.batch}
        for cohort in cohorts:
            appended = cohort.width if id(cohort) in running and not cohort.place else 0
            for row in cohort.rows:
                held = tokens_held(row, cohort, world.prompt, world.output) + appended
                for instance in cohort.path.instances:
                    used[instance.gpu.id] += held * instance.segment.kv_bytes
                    resident[instance.id] += 1
        for gpu in world.gpus:
            weights = sum(i.weights for i in gpu.instances if i.state not in (COLD, GONE))
            assert gpu.kv == used[gpu.id], (
                f"GPU {gpu.id} books {gpu.kv} B of KV, requests hold {used[gpu.id]}"
            )
            assert gpu.kv <= gpu.room <= gpu.capacity - weights, "memory is overdrawn"
            if world.serving.speculation == "off":
                assert gpu.room == gpu.capacity - weights
        for instance in world.instances:
            assert instance.resident == resident[instance.id]
            if instance.state in (COLD, GONE):
                assert not instance.resident, "KV without its block"

    # --- 6: nobody idles ---------------------------------------------------------------------------------------------

    def not_idle(self, world):
        for gpu in world.gpus:
            if gpu.running is not None:
                continue
            for instance in gpu.instances:
                if instance.state not in (READY, DRAINING):
                    continue
                assert not instance.cohorts, "an idle GPU has a decoding request waiting"
                assert not instance.begun, "an idle GPU has a prompt waiting that holds memory"
                source = instance.prompts or instance.common
                if source and not gpu.closing:
                    assert self.stuck(world, instance, source[0]), "an idle GPU has a prompt that fits"

    def stuck(self, world, instance, request):
        """Whether a prompt's memory is not there."""
        path = world.paths[request]
        if path is not None and path.first is not instance and path.length > 1:
            return True  # late binding: it waited for memory elsewhere, and another instance has tried since
        grow = ((instance.gpu, instance.segment.kv_bytes),)
        if path is not None and path.first is instance:
            grow = path.grow
            if any(other.state not in (READY, DRAINING) for other in path.instances):
                return True
        tokens, headroom = world.length[request], world.serving.kv_headroom
        return any(
            gpu.kv + tokens * nbytes > gpu.room
            or (gpu.kv and gpu.kv + tokens * nbytes > gpu.room * (1 - headroom))
            for gpu, nbytes in grow
        )
