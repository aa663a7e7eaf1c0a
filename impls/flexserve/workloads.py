"""The declared workloads as the device model takes them: requests to a group, runs of an agent, an application between.

Where the paper's figures are predicted everything comes as soon as what came before has ended, so no arrival times are
assumed; a pause is an application that wants no memory. An hour of all agents has declared arrivals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .sim.apps import App, AppRun
from .sim.arrivals import Request, Step, Steps, merged, poisson, workflow
from .sim.costs import GIB

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Hour, Stream, Workflow, Workloads

PAUSE = App("pause", working_set=1 / GIB, file_share=0.0, full_miss_slowdown=1.0, shape=1.0)
"""Nobody runs: it wants one byte."""


def dispatched(stream: Stream, pause_s: float) -> Iterator[Request | AppRun]:
    """Requests of a stream, each model as likely as the other (June §7.4), with `pause_s` seconds between them."""
    for model, tokens in zip(stream.model.tolist(), stream.prompt_tokens().tolist(), strict=True):
        yield Request(0.0, stream.group.models[model], tokens, stream.lengths.new_tokens)
        yield AppRun(0.0, PAUSE, pause_s)


def runs(
    workflow: Workflow, count: int, pause_s: float, *, reuse: bool, longer: float = 1.0
) -> Iterator[Request | AppRun]:
    """`count` runs of an agent (June §7.4), `pause_s` seconds apart.

    `reuse`: each step's fixed text is what its model's prompt began with before, so that a KV cache may serve again.
    `longer`: factor on the tokens of all prompts and answers.
    """

    def tokens(declared: int) -> int:
        return max(1, round(longer * declared))

    for run in range(count):
        for place, step in enumerate(workflow.steps, start=1):
            yield Request(
                0.0,
                step.model,
                tokens(step.prompt),
                tokens(step.new),
                f"{workflow.name}#{run}",
                place == len(workflow.steps),
                min(tokens(step.fixed), tokens(step.prompt)) if reuse and step.fixed else 0,
            )
        yield AppRun(0.0, PAUSE, pause_s)


@dataclass(frozen=True)
class Resident(App):
    """The part of an application that comes and goes while its own data stay in memory between its runs."""

    whole: App

    def relative(self, missing: float) -> float:
        """Throughput of the whole application with `missing` GiB of it out of memory."""
        return self.whole.relative(missing)


def own_data_gib(app: App) -> float:
    """GiB of an application that are no file cache, and so are there for as long as it is not ended."""
    return app.working_set * (1 - app.file_share)


def alternating(
    app: App, request: Request, count: int, run_s: float, pause_s: float
) -> Iterator[Request | AppRun]:
    """`count` rounds: an application runs, idles, and one prompt follows after a pause (June §7.5).

    Its file cache is asked for while it runs; its own data belong to the background of the whole simulation.
    """
    files = max(PAUSE.working_set, app.working_set - own_data_gib(app))
    running = Resident(app.name, files, 1.0, app.full_miss_slowdown, app.shape, app)
    for _ in range(count):
        yield AppRun(0.0, running, run_s)
        yield AppRun(0.0, PAUSE, pause_s)
        yield request


def started(data: Workloads, hours: float, seed: int) -> Iterator[Request]:
    """Calls of all agents in order of time; each agent is started at random, as often as declared."""
    return merged(
        *(
            workflow(
                poisson(data.hour.runs_per_hour, hours, [seed, place]),
                agent.name,
                [
                    Step(step.model, step.prompt, step.new, min(step.fixed, step.prompt))
                    for step in agent.steps
                ],
            )
            for place, agent in enumerate(data.workflows)
        )
    )


def pressure(hour: Hour, seconds: float) -> Steps:
    """Memory of other applications over `seconds`, GB: the declared levels again and again."""
    count = max(1, int(-(-seconds // hour.pressure_s)))
    levels = [hour.pressure_gb[at % len(hour.pressure_gb)] for at in range(count)]
    return Steps(tuple(at * hour.pressure_s for at in range(count)), tuple(levels))
