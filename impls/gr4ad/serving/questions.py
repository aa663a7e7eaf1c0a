"""What the cases of serving ask, as data. Importing this loads no torch, so listing cases stays quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..questions import Decoding

SMALL = Decoding(parallel=6, widths=(128, 256, 512), d=64, heads=4)
"""LazyAR with L = 9 and K = 6 at the paper's widths, its d small enough that a day can be measured."""
SMALLEST = Decoding(parallel=2, widths=(32, 64, 128), d=64, heads=4, layers=3, history=31)
"""Requests of a few milliseconds, where many of them are answered."""


@dataclass(frozen=True)
class OneDay:
    """A day of requests, simulated with service times that were measured a moment before."""

    policy: Literal["narrow", "wide", "adaptive"] = "adaptive"
    """narrow, wide: the first or the last widths all day; adaptive: TABS chooses (§5)."""
    load: float = 1.0
    """Work that arrives in the busiest hour, at the narrowest widths, over what the threads can do."""
    decoding: Decoding = SMALL
    """The decoder, with weights drawn, and its narrowest widths."""
    factors: tuple[float, ...] = (1.0, 1.2, 1.4, 1.6)
    """Widths that can be chosen, as multiples of the narrowest, ascending from 1. The paper's limit is 1.6."""
    threads: int = 2
    """Requests served at the same time."""
    slo: float = 10.0
    """Longest time from arrival to answer, in mean service times at the narrowest widths."""
    hour: float = 4000.0
    """How long an hour lasts, in the same unit: the day keeps its shape and is shortened, so that it is simulated in a
    second. What waits in line is forgotten within a few of these times."""
    ample: float = 0.8
    """C_avail of TABS, as a share of what the threads can do at the narrowest widths."""
    samples: int = 24
    """Requests whose service time is measured at each of the widths."""
    judged: float = 4.0
    """The value of an answer is its recall against beams this many times as wide as the narrowest."""
    k: int = 50
    """Ids of an answer, as many as its value looks at."""


@dataclass(frozen=True)
class Cached:
    """Visits of users, answered by a decoder with drawn weights behind a result cache."""

    ttl: float = 60.0
    """s that an answer is given again; 0: never, so there is no cache."""
    decoding: Decoding = SMALLEST
    visits: int = 100
    """Visits of the trace, each of another user."""
    again: float = 0.3055
    """Share of requests after which the same visit asks once more. With `gap` and 60 s it makes 27.8 % of the requests
    hits, the share that the paper says (§5)."""
    gap: float = 20.0
    """Mean s between two requests of a visit."""


@dataclass(frozen=True)
class Updating:
    """New ads, from their text to an index from which they can be had."""

    index: Literal["sid", "ivf"] = "sid"
    """sid: ids, trie and catalogue of a snapshot (§5); ivf: vectors in lists by their nearest centre, as a two-tower
    model is searched."""
    how: Literal["put in", "built anew"] = "put in"
    """built anew: the index of all ads, from their ids or vectors, which are kept; the centres of `ivf` are fitted."""
    encoder: Literal["light", "minilm"] = "light"
    """What reads the texts."""
    ads: int = 1000
    """New ads."""
    singles: int = 20
    """Updates of one ad each, whose median is taken."""
    before: int = 0
    """Products of the catalogue before them, drawn; 0: all others."""
    sizes: tuple[int, int, int] = (1024, 256, 64)
    """Codes of the ids' levels; the last one is a hash."""
    iterations: int = 2
    """Times that the tokenizer's centres move: few, since where they end changes no cost."""
    lists: int = 304
    """Lists of `ivf`, about the root of the number of products."""
    decoding: Decoding = SMALLEST
    """The decoder that is served meanwhile; its codes are those of the ids."""


@dataclass(frozen=True)
class UnderWay:
    """Requests, one after another, while ads come in."""

    where: Literal["nowhere", "thread", "process"] = "process"
    """What reads the new texts: nothing, a thread beside the server's, or another process, whose vectors and ids a
    thread then puts in."""
    every: float = 0.25
    """s from the begin of one update to that of the next, if that is over by then; 0: without a pause."""
    requests: int = 100
    """Requests of a round, whose latencies are its sample."""
    updating: Updating = Updating()
    """The catalogue and the ads of each update."""
