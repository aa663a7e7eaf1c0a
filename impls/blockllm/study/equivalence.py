"""May one block stand in for another? Every directed swap of a family's blocks, and what it does to the whole chain.

The paper evaluates the equivalence of blocks offline, in the zoo. It is positional and directed: the key is (place,
original, substitute), since the same two blocks do more harm at one depth than at another, and more one way round than
the other. (Specification §1.4.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..chain import Chain, Link
from ..groups import Place
from .compare import AT_ONCE, Divergences, compare
from .likeness import Likeness, likeness
from .states import number_of, same
from .text import Floats, Text

Chains = Mapping[str, Chain]
"""By the name of the model."""
Texts = Mapping[str, Text]
"""By the name of the original: the text that its tenant's users would send."""


@dataclass(frozen=True)
class Swap:
    """Another link in the place of an original chain's own."""

    place: Place
    original: str
    """Model whose chain it is done to."""
    substitute: str
    """Model that the link comes from."""
    source: Place
    """Where in the substitute it stands; another layer is a negative control."""

    @property
    def same_layer(self) -> bool:
        return self.place == self.source

    def __str__(self) -> str:
        of = "" if self.same_layer else f" {self.source}"
        return f"{self.original} {self.place} ← {self.substitute}{of}"


@dataclass(frozen=True, eq=False)
class Row:
    """What two of the tests say of a swap; the third is `probe.probe_kl`."""

    swap: Swap
    likeness: Likeness
    apart: Divergences
    """Of the swapped chain from the original one."""
    own: Floats
    """Surprise of the original chain itself, nat a token, [documents]."""

    @property
    def kl(self) -> float:
        """Mean over documents, nat."""
        return float(self.apart.kl.mean())

    @property
    def agree(self) -> float:
        """Mean over documents."""
        return float(self.apart.agree.mean())


def same_place(chains: Chains, layers: Collection[int] | None = None) -> list[Swap]:
    """Every directed swap between two models at one place where they differ.

    layers: only these, and neither embedding nor head; None is everywhere.
    """
    return [
        Swap(link.place, original, substitute, link.place)
        for original, chain in chains.items()
        for substitute, other in chains.items()
        for link, others in zip(chain.links, other.links, strict=True)
        if not same(link, others) and (layers is None or link.place.layer in layers)
    ]


def cross_layer(chains: Chains, count: int, seed: int, layers: Collection[int] | None = None) -> list[Swap]:
    """`count` drawn swaps of a model's halves of a layer with the same half of another of its own layers.

    layers: where the link is put, as in `same_place`; it comes from anywhere. Fewer where there are no more.
    """
    every = [
        Swap(link.place, model, model, other.place)
        for model, chain in chains.items()
        for link, other in _halves(chain)
        if layers is None or link.place.layer in layers
    ]
    drawn = np.random.default_rng(seed).permutation(len(every))[:count]
    return [every[number] for number in sorted(drawn)]


def swapped(chains: Chains, swaps: Sequence[Swap]) -> Chain:
    """An original's chain with these swaps, all of that original, made at once."""
    chain = chains[swaps[0].original]
    links = list(chain.links)
    for swap in swaps:
        links[number_of(chain, swap.place)] = substitute_link(chains, swap)
    return replace(chain, links=tuple(links))


def substitute_link(chains: Chains, swap: Swap) -> Link:
    """What is put in the original's place: block and delta together."""
    other = chains[swap.substitute]
    return replace(other.links[number_of(other, swap.source)], place=swap.place)


def measure(chains: Chains, swaps: Sequence[Swap], texts: Texts, at_once: int = AT_ONCE) -> list[Row]:
    """One row for each swap, judged on the text of its original; `at_once`: see `compare`.

    Raises UserError for a swap that gives no valid chain, such as one between unlike widths.
    """
    found: dict[Swap, Row] = {}
    for name, chain in chains.items():
        own = [swap for swap in swaps if swap.original == name]
        if own:
            before, apart = compare(chain, [swapped(chains, [swap]) for swap in own], texts[name], at_once)
            for swap, divergences in zip(own, apart, strict=True):
                original = chain.links[number_of(chain, swap.place)]
                alike = likeness(original, substitute_link(chains, swap))
                found[swap] = Row(swap, alike, divergences, before)
    return [found[swap] for swap in swaps]


def _halves(chain: Chain) -> Iterator[tuple[Link, Link]]:
    """Pairs of links of one kind at two layers of a chain."""
    links = [link for link in chain.links if link.place.kind in ("attn", "ffn")]
    return (
        (link, other)
        for link in links
        for other in links
        if link.place.kind == other.place.kind and link.place != other.place
    )
