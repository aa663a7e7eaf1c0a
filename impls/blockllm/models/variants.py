"""Variants of a foundation, made once by their recipes and kept.

What training changed lies in the user's cache under the recipe's digest, never in the project: the bytes differ from
one kind of CPU to another, so only the recipe can be shared.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from remeasure.impls.common import smollm
from remeasure.impls.common.llama import TensorSpec

from ..chain import Delta, Model
from ..groups import Place, places
from .corpus import Texts, blocks, digest, encode
from .recipes import Recipe, family, fingerprint, learned
from .training import Learned, Observe, train

SEAL = "sha256 of the tensors"
"""What a kept file says about itself, so that a damaged one is found."""


def cache_folder() -> Path:
    """Where variants are kept; `remeasure clean` lists it with the other caches."""
    return smollm.cache_folder() / "variants"


def variant(
    recipe: Recipe,
    foundation: Model,
    text: str,
    name: str,
    *,
    root: Path | None = None,
    threads: int | None = None,
    observe: Observe | None = None,
) -> Model:
    """The model that `recipe` makes of its foundation and its text; what it leaves alone is the foundation's tensors.

    root: where it is kept instead of the user's cache. threads, observe: of the training, where there has to be one.
    Raises ValueError for a foundation or a text that is not the recipe's, UserError for a text that is too short or a
    training that fails. A file that is damaged, or cannot be written, costs time and nothing else.
    """
    if (fingerprint(foundation), digest(text)) != (recipe.foundation, recipe.text):
        raise ValueError(f"the recipe of {name} is for another foundation or another text")
    kept = (root or cache_folder()) / f"{recipe.digest}.safetensors"
    found = _read(kept, learned(recipe, foundation.config))
    if found is None:
        tokens = encode(foundation.config, text)
        found = train(recipe, foundation, blocks(tokens, recipe.length), observe, threads)
        _keep(kept, found)
    if recipe.kind:
        return Model(
            name, foundation.config, foundation.groups, Delta(recipe.kind, found), parent=foundation.name
        )
    groups = [
        found.get(place, group)
        for place, group in zip(places(foundation.config), foundation.groups, strict=True)
    ]
    return Model(name, foundation.config, groups, parent=foundation.name)


def variants(
    foundation: Model,
    texts: Texts,
    *,
    seed: int = 0,
    steps: int | None = None,
    root: Path | None = None,
    threads: int | None = None,
) -> list[Model]:
    """The foundation and its whole family on these tenants' texts; see `recipes.family`."""
    made = family(foundation, texts, seed, steps).items()
    return [
        foundation,
        *(variant(r, foundation, text, name, root=root, threads=threads) for name, (r, text) in made),
    ]


def _flat(tensors: Learned) -> dict[str, torch.Tensor]:
    """By one name each, such as `attn 3/q.inner`."""
    return {f"{place}/{name}": tensor for place, group in tensors.items() for name, tensor in group.items()}


def _seal(tensors: Mapping[str, torch.Tensor]) -> str:
    found = sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].contiguous().numpy().reshape(-1).view("u1").data)
    return found.hexdigest()


def _read(kept: Path, wanted: Mapping[Place, list[TensorSpec]]) -> Learned | None:
    """What a kept file holds, if that is all that is wanted and nothing was changed since it was written."""
    shapes = {f"{place}/{spec.name}": spec.shape for place, specs in wanted.items() for spec in specs}
    with suppress(OSError, SafetensorError), safe_open(kept, "pt") as file:
        # A copy, for the file is mapped and may change; and it has keys without being a mapping.
        held = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        said = {name: tuple(tensor.shape) for name, tensor in held.items() if tensor.dtype == torch.float16}
        if said == shapes and (file.metadata() or {}).get(SEAL) == _seal(held):
            return {
                place: {spec.name: held[f"{place}/{spec.name}"] for spec in specs}
                for place, specs in wanted.items()
            }
    return None


def _keep(kept: Path, tensors: Learned) -> None:
    """Write it whole or not at all; a full disk costs time later, not the result."""
    flat = _flat(tensors)
    temporary = kept.with_suffix(f".{os.getpid()}.tmp")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(save(flat, {SEAL: _seal(flat)}))
        temporary.replace(kept)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
