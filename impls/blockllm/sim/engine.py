"""The event loop of the simulated cluster (spec §5.2): one heap, one event per iteration of a block on a GPU.

`run` takes events off the heap; `start` forms a GPU's next batch. An instance runs its decoding requests first, as
whole cohorts, then prompts as far as rows, tokens and memory go; a GPU turns to the instance that has waited longest.
Both are written for speed where every iteration passes; what happens less often is in the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, nsmallest
from math import inf
from typing import cast

from .admission import Admission
from .coordination import Coordinator
from .dispatch import Dispatcher
from .estimate import Estimate
from .residency import Residency
from .scaling import Scaling
from .speculation import Speculation
from .state import (
    ARRIVAL,
    CHECK,
    ITERATION,
    LOADED,
    MASK,
    MESSAGE,
    READY,
    SHIFT,
    Cohort,
    Gpu,
    Instance,
    Path,
    add,
    merge,
    take_out,
)
from .steps import BIN
from .world import World

Observer = Callable[[World], object]


class Engine:
    """Runs a world until nothing is left to happen."""

    def __init__(self, world: World) -> None:
        self.world = world
        estimate = Estimate(world)
        self.dispatcher = Dispatcher(world, estimate)
        self.admission = Admission(world, self.dispatcher)
        self.speculation = Speculation(world)
        self.coordinator = Coordinator(world, self.dispatcher, estimate, self.speculation, self.advance)
        self.residency = Residency(world)
        self.scaling = Scaling(world, self.dispatcher, self.residency)
        serving = world.serving
        self.age_s = serving.age_s
        self.fifo = serving.order == "fifo"
        self.late = serving.binding == "late"
        self.exact = serving.speculation == "exact"
        self.pops = 0

    def run(self, until_s: float = inf, observe: Observer | None = None) -> None:
        """Make everything happen up to `until_s`; `observe` sees the world after every event."""
        world = self.world
        heap, kicked, outbox = world.heap, world.kicked, world.outbox
        start, advance = self.start, self.advance
        if world.at:
            heappush(heap, (world.at[0], world.tick(), ARRIVAL, 0))
        if world.serving.scaling:
            self.scaling.begin()
        pops = 0
        while heap and heap[0][0] <= until_s:
            now, _, kind, what = heappop(heap)
            pops += 1
            world.now = now
            if kind == ITERATION:
                gpu: Gpu = what
                instance: Instance = gpu.running  # type: ignore[assignment]
                for cohort in gpu.batch:
                    advance(cohort, instance)
                if gpu.taken:
                    self.pass_prompts(gpu.taken, instance)
                if outbox:
                    world.send()
                gpu.running = None
                start(gpu)
            elif kind == MESSAGE:
                world.receive(what)
            elif kind == ARRIVAL:
                self.arrive(what)
            elif kind == LOADED:
                self.residency.loaded(what)
            elif kind == CHECK:
                kicked.append(what)
            else:
                self.scaling.window()
            if kicked:
                for gpu in kicked:  # starting one may kick others: they are met later in this very loop
                    if gpu.running is None:
                        start(gpu)
                kicked.clear()
            if observe is not None:
                observe(world)
        self.pops += pops

    def arrive(self, request: int) -> None:
        """A request comes, and the next one is awaited."""
        world = self.world
        if request + 1 < len(world.at):
            heappush(world.heap, (world.at[request + 1], world.tick(), ARRIVAL, request + 1))
        pool = self.dispatcher.chains[world.app[request]][0]
        if world.prompt[request] + world.output[request] > pool.segment.shape.context:
            world.counts.rejected += 1
            world.open -= 1
            return
        if self.late:
            world.since[request] = world.now
            pool.common.append(request)
            # Idle GPUs first, those with the least to come back for before others.
            for instance in sorted(
                pool.instances, key=lambda i: (i.gpu.running is not None, i.resident, i.id)
            ):
                if not instance.blocked:
                    world.wake(instance)
            return
        path = self.dispatcher.route(request)
        world.paths[request] = path
        world.put_prompt(request, path.first)

    def start(self, gpu: Gpu) -> None:
        """Form the next batch of a GPU that runs nothing, and begin it."""
        world = self.world
        now = world.now
        if gpu.cold:
            self.residency.exchange(gpu)
        ready, under_way = gpu.ready, gpu.under_way
        while under_way or ready:
            instance = (under_way or ready).popleft()
            instance.ready = False
            limit = instance.limit
            waiting = instance.begun or (not instance.blocked and (instance.prompts or instance.common))
            room = limit
            if waiting:
                if self.fifo:
                    room = self._before_first_prompt(instance, world.since[waiting[0]])
                elif now - world.since[waiting[0]] >= self.age_s:
                    room -= 1
            batch, rows, context = self._gather(instance, room)
            if waiting and rows < limit:
                taken = self.admission.take(instance, limit - rows)
                if self.fifo and instance.cohorts:
                    more, n, tokens = self._gather(instance, limit - rows - len(taken))
                    batch, rows, context = batch + more, rows + n, context + tokens
            else:
                taken = []
            if not batch and not taken:
                continue

            wide = outputs = rows
            seconds = 0.0
            if self.exact:
                wide = outputs = sum([cohort.n * cohort.width for cohort in batch])
                seconds += self.speculation.draft_s(batch)
            elif instance.guessed:
                extra = self.speculation.burden(batch)
                if extra is not None:
                    ghosts, seen, surrogate_s = extra
                    wide += ghosts
                    rows += ghosts
                    context += seen
                    outputs = wide
                    seconds += surrogate_s
            if taken:
                tokens, attention_s = self._prompt_work(instance, taken)
                wide += tokens
                outputs += len(taken)
                seconds += attention_s
            seconds += instance.linear[wide] + instance.head[outputs]
            if rows:
                intercepts, slopes = instance.table[rows] or instance.steps.attention.row(rows)
                place = context >> BIN
                seconds += instance.layers * (intercepts[place] + slopes[place] * context)
                instance.rows += rows
                instance.context += context
            if instance.delta_s:
                seconds += instance.delta_s * min(instance.distinct, rows + len(taken))
            instance.iterations += 1
            instance.tokens += wide
            instance.outputs += outputs
            instance.busy_s += seconds
            instance.last_s = seconds
            end = now + seconds
            gpu.free_at = end
            gpu.running, gpu.batch, gpu.taken = instance, batch, taken
            heappush(world.heap, (end, world.tick(), ITERATION, gpu))
            if (
                instance.cohorts
                or instance.begun
                or (not instance.blocked and (instance.prompts or instance.common))
            ):
                instance.ready = True
                instance.line.append(instance)
            return

    def _gather(self, instance: Instance, room: int) -> tuple[list[Cohort], int, int]:
        """Waiting cohorts for the next iteration, at most `room` rows; with rows and tokens they look at.

        Requests that begin a step get memory for its token on all GPUs of their path, or some of them have to go.
        """
        batch: list[Cohort] = []
        rows = context = 0
        cohorts = instance.cohorts
        while cohorts:
            cohort = cohorts[0]
            n = cohort.n
            if rows + n > room:
                if rows >= room:
                    break
                if cohort.path.waiting is cohort:
                    cohort.path.waiting = None  # who comes back later stands behind those left here
                cohort = self._front(cohort, room - rows)
                n = cohort.n
            else:
                cohorts.popleft()
            if not cohort.place:
                path = cohort.path
                if path.waiting is cohort:
                    path.waiting = None
                new = self.speculation.widen(cohort) if self.exact else n
                short = False
                for gpu, nbytes in path.grow:
                    gpu.kv += new * nbytes
                    if gpu.kv > gpu.room:
                        short = True
                if short:
                    for gpu, nbytes in path.grow:
                        gpu.kv -= new * nbytes
                    self.admission.make_room(cohort)
                    n = cohort.n
                    if not n:
                        continue
                    new = n * cohort.width
                    for gpu, nbytes in path.grow:
                        gpu.kv += new * nbytes
                cohort.context += new
            rows += n
            context += cohort.context
            batch.append(cohort)
        return batch, rows, context

    def advance(self, cohort: Cohort, source: Instance) -> None:
        """Decoding requests have been through the block at their place: on to the next, or a token more."""
        if cohort.shadow:
            return
        path = cohort.path
        place = cohort.place + 1
        if place == path.length:
            place = 0
            cohort.step += 1
            if cohort.width > 1:
                self.speculation.verify(cohort)
            if cohort.step >= cohort.due:
                self._leave(cohort)
                if not cohort.n:
                    return
        cohort.place = place
        if path.careful[place] and self.coordinator.hop(cohort, source):
            return
        instance = path.instances[place]
        link = path.links[place]
        if path.guess >= 0:  # a guess goes on from where it was made, not from the block it stands for
            link = self.world.link(source, instance)
        if link:
            self.world.post_cohort(cohort, instance, link)
            return
        cohort.since = self.world.now
        if not place:
            waiting = path.waiting
            if waiting is not None:
                merge(waiting, cohort)
                return
            path.waiting = cohort
        instance.cohorts.append(cohort)
        if not instance.ready:
            instance.ready = True
            instance.line.append(instance)

    def pass_prompts(self, taken: list[int], instance: Instance) -> None:
        """Prompts have been through a block: on to the next, or a first token."""
        world = self.world
        fresh: list[Cohort] = []
        for request in taken:
            path = cast(Path, world.paths[request])
            place = world.place[request] + 1
            if place < path.length:
                world.place[request] = place
                world.post_prompt(request, instance)
                continue
            if world.first[request] < 0:
                world.first[request] = world.now
            produced = world.produced[request] = world.produced[request] + 1
            left = world.output[request] - produced
            if not left:
                self._end(request, path, world.length[request])
                continue
            cohort = next((c for c in fresh if c.path is path), None)
            if cohort is None:
                cohort = Cohort(path)
                fresh.append(cohort)
            add(cohort, request, left, world.length[request])
        for cohort in fresh:
            link = cohort.path.links[0]
            if link:
                world.post_cohort(cohort, cohort.path.first, link)
            else:
                world.put_cohort(cohort)

    def _prompt_work(self, instance: Instance, taken: list[int]) -> tuple[int, float]:
        """Tokens of the prompts taken in, and seconds of their attention."""
        world = self.world
        attention = instance.steps.attention
        tokens, seconds = 0, 0.0
        for request in taken:
            length = world.length[request]
            if world.place[request] <= world.stop[request]:
                tokens += length
                seconds += instance.layers * attention.prompt[length]
                instance.pairs += length * (length + 1)
                instance.prompt_tokens += length
            else:  # its KV cache is still here: one new token that looks at all others
                intercepts, slopes = attention.row(1)
                tokens += 1
                seconds += instance.layers * (intercepts[length >> BIN] + slopes[length >> BIN] * length)
                instance.context += length
        return tokens, seconds

    def _before_first_prompt(self, instance: Instance, since: float) -> int:
        """order=fifo: rows of the decoding requests that came before the first prompt, which came at `since`."""
        return min(sum(c.n for c in instance.cohorts if c.since <= since), instance.limit)

    def _front(self, cohort: Cohort, rows: int) -> Cohort:
        """Split the `rows` requests that came first off a cohort that is too large for a batch."""
        if cohort.shadow:
            return self.speculation.part_of_shadow(cohort, rows)
        # By number, not as they lie in the heap: that order knows whose answer will be short.
        oldest = nsmallest(rows, cohort.rows, key=_number)
        return take_out(cohort, oldest, self.world.prompt, self.world.output)

    def _leave(self, cohort: Cohort) -> None:
        """Requests whose answer is complete leave their cohort."""
        world = self.world
        rows, step = cohort.rows, cohort.step
        bound = (step + 1) << SHIFT
        while rows and rows[0] < bound:
            request = heappop(rows) & MASK
            held = world.prompt[request] + world.output[request] - 1
            cohort.n -= 1
            cohort.context -= held
            self._end(request, cohort.path, held)
        if rows:
            cohort.due = rows[0] >> SHIFT

    def _end(self, request: int, path: Path, held: int) -> None:
        """An answer is complete: its memory is free."""
        world = self.world
        app = world.app[request]
        world.finish[request] = world.now
        world.open -= 1
        world.left[app] += 1
        world.left_tokens[app] += world.output[request]
        for instance in path.instances:
            instance.used_at = world.now
            world.move_resident(request, instance, -1)
            if not instance.resident and instance.state != READY:
                self.residency.emptied(instance)
        for gpu, nbytes in path.grow:
            world.give_back(gpu, held * nbytes)


def _number(row: int) -> int:
    """A row's request; they are numbered as they come."""
    return row & MASK
