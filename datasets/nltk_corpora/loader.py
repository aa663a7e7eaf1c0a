"""Texts of tenants, split by document: corpora of NLTK's data where their files are, else the declared simulator.

numpy is imported where it is needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remeasure.errors import UserError

Part = Literal["train", "valid", "test"]
TENANTS = (
    "movie reviews",
    "speeches",
    "genesis english",
    "genesis german",
    "genesis french",
    "genesis swedish",
)
SIMULATED_DOCUMENTS = 60
"""Documents of a simulated tenant, where the request does not say how many."""
LEAST = 3
"""Documents of a tenant: one for each part."""


@dataclass(frozen=True)
class Request:
    """Whose texts."""

    tenants: tuple[str, ...] = TENANTS
    """Names of tenants."""
    documents: int = 0
    """Documents of each tenant, drawn by the seed; 0 is all there are (60 where they are simulated)."""
    seed: int = 0
    """Seed of the draw and of the split, and of simulated texts."""


@dataclass(frozen=True)
class Texts:
    """One tenant's documents; none is in two parts."""

    label: str
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]

    def joined(self, part: Part) -> str:
        """The documents of a part as one text, an empty line between them."""
        documents: tuple[str, ...] = getattr(self, part)
        return "\n\n".join(documents)


@dataclass(frozen=True)
class Corpora:
    """What a case gets. `label` names it in reports; `texts` by tenant, in the order of the request."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    texts: Mapping[str, Texts]


def load(request: Request, root: Path | None) -> Corpora:
    """The tenants' texts from the zip files in `root`; None is the simulator.

    Raises UserError for a tenant that nobody knows, for fewer documents than parts or more than there are, and for a
    zip file that is missing, damaged or without the texts looked for.
    """
    for tenant in request.tenants:
        if tenant not in TENANTS:
            raise UserError(f"there is no tenant {tenant!r} in nltk_corpora; it has {', '.join(TENANTS)}.")
    if not request.tenants or request.documents < 0 or 0 < request.documents < LEAST:
        raise UserError(f"nltk_corpora: ask for at least one tenant and {LEAST} documents (0: all).")
    if root is None:
        from .generator import simulate

        count = request.documents or SIMULATED_DOCUMENTS
        found = {tenant: simulate(tenant, count, request.seed) for tenant in request.tenants}
        notes: tuple[str, ...] = ("no real data: the texts are made-up words after Zipf's law",)
        label = f"{len(found)} tenants' texts, simulated"
    else:
        from .corpora import documents

        found = {tenant: documents(tenant, root) for tenant in request.tenants}
        notes = tuple(f"{tenant}: {len(texts):,} documents" for tenant, texts in found.items())
        label = f"{len(found)} tenants' texts of NLTK's corpora"
    texts = {tenant: split(tenant, whole, request) for tenant, whole in found.items()}
    return Corpora(label, root is None, notes, texts)


def split(tenant: str, whole: list[str], request: Request) -> Texts:
    """Documents in three parts: a tenth, but at least one, to validate and to test on, the others to train on."""
    import numpy as np

    count = request.documents or len(whole)
    if not LEAST <= count <= len(whole):
        raise UserError(
            f"nltk_corpora: {tenant} has {len(whole)} documents, {max(count, LEAST)} are needed; ask for fewer."
        )
    # Seeded by the tenant's name, so that its split does not depend on who else is asked for.
    order = np.random.default_rng([request.seed, *tenant.encode()]).permutation(len(whole))[:count]
    drawn = [whole[place] for place in order]
    held = max(1, round(count / 10))
    return Texts(tenant, tuple(drawn[2 * held :]), tuple(drawn[:held]), tuple(drawn[held : 2 * held]))
