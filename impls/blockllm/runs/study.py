"""What the cases about real blocks share: texts of tenants as documents, and means over chains by document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from remeasure.impls.common.llama import LlamaConfig

from ..family import tenant_of
from ..study.compare import Divergences
from ..study.text import Floats, Text, cut, joined

Part = Literal["train", "valid", "test"]


def by_tenant(config: LlamaConfig, data: Any, part: Part, length: int, most: int) -> dict[str, Text]:
    """The first tokens of up to `most` documents of each tenant."""
    torch.set_num_threads(1)
    return {
        tenant: cut(config, getattr(texts, part), length, most=most) for tenant, texts in data.texts.items()
    }


def mixed(config: LlamaConfig, data: Any, part: Part, length: int, most: int) -> Text:
    """The same of all tenants together, up to `most` documents in all."""
    tenants = list(data.texts)
    return joined(list(by_tenant(config, data, part, length, max(2, most // len(tenants))).values()))


def documents(of: Mapping[str, Text]) -> dict[str, object]:
    """For a round to return: ids of the documents of all tenants, one tenant after the other, and whose they are.

    Tenants are clusters: a tenant's documents are of one kind and language, and judged with that tenant's models where
    there are any, so they say less of other texts than as many documents of different tenants would.
    """
    whose = [tenant for tenant, text in of.items() for _ in range(text.documents)]
    numbers = [number for text in of.values() for number in range(text.documents)]
    return {
        "units": [f"{tenant} {number}" for tenant, number in zip(whose, numbers, strict=True)],
        "clusters": whose,
    }


def change(own: Floats, other: Floats) -> Floats:
    """Change of perplexity in percent, by document, from surprises in nats a token."""
    return 100 * np.expm1(other - own)


def over_chains(
    apart: Mapping[str, Divergences],
    own: Mapping[str, Floats],
    originals: Sequence[str],
    texts: Mapping[str, Text],
) -> dict[str, Floats]:
    """KL divergence, agreement and change of perplexity, [documents of all tenants]: means over the chains of a tenant.

    A chain that is not in `apart` is as it was.
    """
    found: dict[str, list[Floats]] = {"KL": [], "agreement": [], "perplexity change": []}
    for tenant, text in texts.items():
        same = np.zeros(text.documents)
        rows: dict[str, list[Floats]] = {name: [same] for name in found}
        names = [name for name in originals if tenant_of(name, list(texts)) == tenant]
        for name in names:
            of = apart.get(name)
            rows["KL"].append(of.kl if of else same)
            rows["agreement"].append(of.agree - 1 if of else same)
            rows["perplexity change"].append(change(own[name], of.surprise) if of else same)
        for name, values in rows.items():
            # The row of zeros in front is for a tenant without a chain; it counts only there.
            found[name].append(np.mean(values[1:] or values, axis=0))
    whole = {name: np.concatenate(values) for name, values in found.items()}
    return {**whole, "agreement": 100 * (1 + whole["agreement"])}
