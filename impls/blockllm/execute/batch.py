"""The rows of several sequences at one block: whose they are, what each tenant's delta adds, and what each may see.

The paper mixes applications in a block's batch; after Punica and S-LoRA a delta acts on its tenant's run of rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from remeasure.impls.common.llama import Deltas

from ..models.deltas import Act
from .running import Running
from .tiles import Mode, padded


@dataclass(eq=False, slots=True)
class Batch:
    """Sequences side by side, each with the rows of its next tokens, one tenant's sequences next to each other.

    It is the `llama.Attention` of its rows.
    """

    members: list[Running]
    bounds: list[int]
    """Sequence n has the rows bounds[n] to bounds[n + 1] - 1; rows behind the last are padding."""
    tenants: list[tuple[Running, int, int]]
    """A sequence of each run of rows with the same chain, and the rows where the run begins and ends."""
    x: torch.Tensor
    """Hidden states [rows, width]."""

    def rows(self, sequence: Running) -> torch.Tensor:
        """A member's hidden states."""
        number = self.members.index(sequence)
        return self.x[self.bounds[number] : self.bounds[number + 1]]

    def last_rows(self) -> torch.Tensor:
        """Hidden states whose logits are wanted, [rows, width], one sequence's after the other's."""
        ends = self.bounds[1:]
        wanted = [self.x[end - member.wanted : end] for member, end in zip(self.members, ends, strict=True)]
        return wanted[0] if len(wanted) == 1 else torch.cat(wanted)

    def acts(self) -> Deltas | None:
        """What the tenants' deltas at their present steps add, each to its own rows."""
        if len(self.tenants) == 1:
            return self.tenants[0][0].step.acts
        pieces: dict[str, list[tuple[int, int, Act]]] = {}
        for member, start, end in self.tenants:
            for name, act in (member.step.acts or {}).items():
                pieces.setdefault(name, []).append((start, end, act))
        return {name: _by_rows(found) for name, found in pieces.items()}

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """See `llama.Attention`. Every sequence alone; rows of padding see zeros.

        The index is not used: where chains are stitched, the same block may fill different layers of their KVs.
        """
        if len(self.members) == 1 and self.bounds[1] == q.shape[0]:
            member = self.members[0]
            return member.kv.attend(member.step.layer, q, k, v, member.step.producer)
        seen = []
        start = 0
        for member, end in zip(self.members, self.bounds[1:], strict=True):
            step = member.step
            seen.append(member.kv.attend(step.layer, q[start:end], k[start:end], v[start:end], step.producer))
            start = end
        if start < q.shape[0]:
            seen.append(q.new_zeros(q.shape[0] - start, seen[0].shape[1]))
        return torch.cat(seen)


def together(members: Sequence[Running], hidden: Sequence[torch.Tensor], mode: Mode) -> Batch:
    """Seat sequences in a new batch, from the hidden states of each, [rows, width]."""
    numbered = sorted(range(len(members)), key=lambda n: (members[n].model, members[n].number))
    ordered = [members[n] for n in numbered]
    x = torch.cat([hidden[n] for n in numbered]) if len(hidden) > 1 else hidden[0]
    bounds = [0]
    tenants: list[tuple[Running, int, int]] = []
    for n in numbered:
        start, end = bounds[-1], bounds[-1] + len(hidden[n])
        bounds.append(end)
        if tenants and tenants[-1][0].path is members[n].path:
            tenants[-1] = (tenants[-1][0], tenants[-1][1], end)
        else:
            tenants.append((members[n], start, end))
    batch = Batch(ordered, bounds, tenants, padded(x, mode))
    for one in ordered:
        one.batch = batch
    return batch


def _by_rows(pieces: Sequence[tuple[int, int, Act]]) -> Act:
    """Some acts, each on its own rows."""

    def act(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        # -0.0 is what changes no number when it is added; 0.0 would make 0.0 of the other rows' -0.0.
        added = torch.full_like(outputs, -0.0)
        for start, end, piece in pieces:
            added[start:end] = piece(inputs[start:end], outputs[start:end])
        return added

    return act
