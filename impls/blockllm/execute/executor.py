"""Serves many tenants' chains by blocks: the rows of all sequences that stand at the same block form one batch.

Sequences join and leave at any time, also while others are half-way through their chains; prefill and decode may share
a batch; who is computed with whom, and in which order the blocks are taken, does not change a result (in tile mode not
by a bit). It executes; when to run what is the caller's policy. (Specification §2.2 to 2.4; the paper's agents.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Literal
from weakref import WeakValueDictionary

import torch

from remeasure.errors import UserError

from ..chain import Chain, Link
from ..groups import Place
from .batch import Batch, together
from .kv import SequenceKV
from .monolith import recompute
from .running import Path, Running, Station
from .steps import Step, Steps, embedded, judged, prepare
from .tiles import Mode

KVReuse = Literal["recompute", "refuse", "cross_variant"]
"""What becomes of a layer's old keys and values when its block is substituted in the middle of a sequence."""


class Executor:
    """Runs sequences over the blocks of some chains. Models are named as in `chains`, sequences as the caller likes."""

    def __init__(self, chains: Mapping[str, Chain], mode: Mode = "fast") -> None:
        """Raises UserError for a chain that is not valid."""
        self.mode = mode
        self._stations: WeakValueDictionary[tuple[Place, str], Station] = WeakValueDictionary()
        self._paths = {model: self._path(chain) for model, chain in chains.items()}
        self._running: dict[str, Running] = {}
        self._standing: dict[Station, list[Running]] = {}
        self._results: dict[str, torch.Tensor] = {}
        self._added = 0

    def add(self, sequence: str, model: str, max_tokens: int) -> None:
        """A new sequence of a model, with memory for `max_tokens` tokens. Raises ValueError for a name in use."""
        if sequence in self._running:
            raise ValueError(f"there is a sequence {sequence} already")
        path = self._paths[model]
        self._running[sequence] = Running(sequence, model, self._added, path, path.steps.new_kv(max_tokens))
        self._added += 1

    def feed(self, sequence: str, tokens: Sequence[int], wanted: int = 1) -> None:
        """Let a sequence's next tokens start from the beginning of its chain; `wanted`: see `collect`.

        A prompt may be fed in pieces, those before the last with wanted = 0. Raises ValueError where the sequence is
        still on its way with earlier tokens, where the tokens do not fit, or where more logits are wanted than tokens.
        """
        one = self._idle(sequence)
        if not tokens or not 0 <= wanted <= len(tokens):
            raise ValueError(f"{sequence} was fed {len(tokens)} tokens, and {wanted} logits are wanted")
        if len(one.tokens) + len(tokens) > one.kv.max_tokens:
            raise ValueError(
                f"{sequence} has room for {one.kv.max_tokens} tokens, not {len(one.tokens) + len(tokens)}"
            )
        one.tokens += tokens
        one.fed, one.wanted = len(tokens), wanted
        one.move()
        if one.station:
            self._stand(one.station, [one])

    def remove(self, sequence: str) -> None:
        """Forget a sequence, wherever it stands; the others are not disturbed."""
        one = self._running.pop(sequence)
        self._results.pop(sequence, None)
        if one.station:
            here = self._standing[one.station]
            here.remove(one)
            if not here:
                del self._standing[one.station]

    @property
    def standing(self) -> dict[Station, tuple[str, ...]]:
        """Where sequences stand that are on their way, in the order of arrival."""
        return {at: tuple(one.name for one in here) for at, here in self._standing.items()}

    def length(self, sequence: str) -> int:
        """How many tokens a sequence was fed and has not been rolled back by."""
        return len(self._running[sequence].tokens)

    def kv(self, sequence: str) -> SequenceKV:
        """A sequence's keys and values."""
        return self._running[sequence].kv

    def approximations(self, sequence: str) -> tuple[Place, ...]:
        """Places where a sequence reads keys and values that another block made; empty for an exact one."""
        return tuple(self._running[sequence].approximations)

    @torch.inference_mode()
    def step(self) -> dict[str, torch.Tensor]:
        """Bring every sequence that is on its way to the end of its chain, and `collect`.

        The station that is earliest along the chains is always next, so sequences that part meet again.
        """
        while self._standing:
            station = min(self._standing, key=attrgetter("rank"))
            members = self._standing.pop(station)
            following = self._visit(station, members)
            # With nobody else on the way there is no need to stand at every block, which a lone sequence would feel.
            while following and not self._standing:
                following = self._visit(following, members)
            if following:
                self._stand(following, members)
        return self.collect()

    @torch.inference_mode()
    def run(self, station: Station, sequences: Collection[str] | None = None) -> None:
        """One batch through one block: all that stand there, or some, who move on to their next stations."""
        here = self._standing.pop(station)
        if sequences is not None:
            stay = [one for one in here if one.name not in sequences]
            here = [one for one in here if one.name in sequences]
            if stay:
                self._standing[station] = stay
        following = self._visit(station, here)
        if following:
            self._stand(following, here)

    def collect(self) -> dict[str, torch.Tensor]:
        """The logits that were asked for, [wanted, vocab], of sequences that reached their end since the last call."""
        results, self._results = self._results, {}
        return results

    def truncate(self, sequence: str, tokens: int) -> None:
        """Roll back to the first `tokens` tokens, in every layer. Raises ValueError for a sequence on its way."""
        one = self._idle(sequence)
        one.kv.truncate(tokens)
        del one.tokens[tokens:]

    @torch.inference_mode()
    def substitute(self, sequence: str, link: Link, kv_reuse: KVReuse = "recompute") -> None:
        """Put another block (and delta) at a place of one sequence's chain, from its next tokens on.

        At an attn place the keys and values of earlier tokens are another block's. recompute: the chain is run again
        up to this place for all earlier tokens, and the new block makes its own; later layers keep theirs, which
        their blocks made. refuse: UserError if there are any. cross_variant: the new block reads the old ones, an
        approximation that `approximations` reports. Raises ValueError for a sequence on its way, UserError for a block
        that does not fit the chain, or whose keys and values do not fit where the old ones are to be reused.
        """
        one = self._idle(sequence)
        old = one.path.steps
        number = next((n for n, step in enumerate(old.all) if step.link.place == link.place), None)
        if number is None:
            raise UserError(f"the chain of {one.model} has no {link.place} whose block could be substituted.")
        links = (*old.chain.links[:number], link, *old.chain.links[number + 1 :])
        path = self._path(replace(old.chain, links=links))
        before, after = old.all[number], path.steps.all[number]
        if before.layer >= 0 and before.producer != after.producer:
            self._reuse(one, before, path.steps, number, kv_reuse)
        one.path = path

    def _reuse(self, one: Running, before: Step, steps: Steps, number: int, kv_reuse: KVReuse) -> None:
        """Deal with a layer's old keys and values before another block at step `number` reads them."""
        after = steps.all[number]
        tokens, said = len(one.tokens), f"{before.block.id[:12]} at {before.link.place}"
        if kv_reuse == "refuse" and tokens:
            raise UserError(
                f"{one.name} has keys and values of {tokens} tokens from block {said}; "
                "recompute them, or substitute the block before the first token."
            )
        if kv_reuse == "cross_variant" and tokens:
            if not after.kv_shape().fits(before.kv_shape()):
                raise UserError(
                    f"block {after.block.id[:12]} cannot read the keys and values of block {said}."
                )
            one.kv.tolerate(before.layer)
            one.approximations.append(before.link.place)
            return
        one.kv.adopt(after.layer, recompute(steps, number, one.tokens, one.kv.max_tokens))

    def _visit(self, station: Station, members: list[Running]) -> Station | None:
        """Compute a block for its members; returns where all of them stand next if that is one station.

        If it is not, each stands already where it goes next, or has come to its end.
        """
        kind = station.place.kind
        if kind == "head":
            self._judge(self._gathered(members))
            return None
        if kind == "embed":
            self._embed(members)
        else:
            batch = self._gathered(members)
            batch.x = members[0].step.run(batch.x, batch, batch.acts())
        for one in members:
            one.move()
        common = members[0].station
        for one in members:  # no generator here: of a lone sequence each visit's time counts
            if one.station is not common:
                break
        else:
            return common
        for one in members:
            if one.station:
                self._stand(one.station, [one])
        return None

    def _stand(self, station: Station, members: list[Running]) -> None:
        self._standing.setdefault(station, []).extend(members)

    def _embed(self, members: list[Running]) -> None:
        fed = [token for one in members for token in one.tokens[len(one.tokens) - one.fed :]]
        hidden = torch.split(embedded(members[0].step, fed), [one.fed for one in members])
        together(members, hidden, self.mode)

    def _gathered(self, members: list[Running]) -> Batch:
        """Their batch as it is where they come from the same block and nobody else did, else a new one."""
        batch = members[0].batch
        if isinstance(batch, Batch) and len(batch.members) == len(members):
            for one in members:
                if one.batch is not batch:
                    break
            else:
                return batch
        return together(members, [one.batch.rows(one) for one in members if one.batch], self.mode)

    def _judge(self, batch: Batch) -> None:
        logits = judged(batch.members[0].step, batch.last_rows(), self.mode)
        own = torch.split(logits, [one.wanted for one in batch.members])
        for one, rows in zip(batch.members, own, strict=True):
            self._results[one.name] = rows
            one.rest()

    def _idle(self, sequence: str) -> Running:
        one = self._running[sequence]
        if one.on_its_way:
            raise ValueError(f"the sequence {sequence} is on its way")
        return one

    def _path(self, chain: Chain) -> Path:
        steps = prepare(chain, self.mode)
        return Path(steps, tuple(self._station(step.link) for step in steps.all))

    def _station(self, link: Link) -> Station:
        """The same one for all chains that have the block at this place."""
        place = link.place
        rank = {"embed": -1, "head": 1 << 30, "stitch": 3 * place.layer, "attn": 3 * place.layer + 1}
        made = Station(rank.get(place.kind, 3 * place.layer + 2), place, link.block)
        return self._stations.setdefault((place, link.block.id), made)
