"""Between models (groups and a delta), objects (named by their content) and chains of blocks, without any disk.

Two blocks have the same id exactly when their kind, signature and objects are the same. Their tensors are then the
same too, and they are made one object, which is what lets requests of different models run in one batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache

import torch

from remeasure.errors import UserError
from remeasure.impls.common.llama import LlamaConfig, Weights

from ..chain import Block, Chain, Delta, Link, Model, Settings
from ..groups import Kind, Place, places, signature, tensors_of
from .chains import Hash, Step, Stored, checked_name
from .objects import NAMES, Content, described

Contents = Mapping[Hash, Content]


def parts(model: Model) -> Iterator[tuple[Place, Weights, Settings]]:
    """What a model is stored as: its groups, then what its delta has at each place it acts at.

    Raises UserError for a model whose tensors are not those that its configuration and places promise.
    """
    at = places(model.config)
    name = checked_name(model.name)
    if len(model.groups) != len(at):
        raise UserError(f"{name} has {len(model.groups)} groups, a model of its shape has {len(at)}.")
    for place, weights in zip(at, model.groups, strict=True):
        if problem := _misfit(model.config, place, weights) or _unstorable(weights):
            raise UserError(f"{name} cannot be stored: {place} {problem}.")
        yield place, weights, {}
    if model.delta is None:
        return
    if not model.delta.tensors or not model.delta.kind.startswith("delta_"):
        raise UserError(
            f"{name} cannot be stored: its delta is empty or of no delta's kind ({model.delta.kind})."
        )
    for place, weights in model.delta.tensors.items():
        if place not in at or place.kind not in ("attn", "ffn") or not weights:
            raise UserError(f"{name} cannot be stored: its delta has nothing to act with or on at {place}.")
        if problem := _unstorable(weights):
            raise UserError(f"{name} cannot be stored: its delta at {place} {problem}.")
        yield place, weights, model.delta.settings


def to_stored(model: Model, names: Sequence[Hash]) -> Stored:
    """A model's chain, from the names of its `parts`, in their order."""
    at = places(model.config)
    acting = model.delta.tensors if model.delta else {}
    deltas = dict(zip(acting, names[len(at) :], strict=True))
    steps = tuple(Step(place, name, deltas.get(place)) for place, name in zip(at, names, strict=False))
    return Stored(model.name, model.parent, model.delta.kind if model.delta else None, model.config, steps)


def to_model(stored: Stored, contents: Contents) -> Model:
    """The model that was stored; UserError where an object is not what its place in the chain needs."""
    groups = [_group(stored, step, contents) for step in stored.steps]
    delta = None
    if stored.delta:
        acting = {step.place: contents[step.delta] for step in stored.steps if step.delta}
        settings = next(iter(acting.values())).settings
        delta = Delta(stored.delta, {place: content.tensors for place, content in acting.items()}, settings)
    return Model(stored.model, stored.config, groups, delta, stored.parent)


def to_chain(stored: Stored, contents: Contents, blocks: dict[str, Block]) -> Chain:
    """The chain that executes a stored model. `contents` are fp32; `blocks` by id holds, and gets, what is shared.

    Raises UserError where an object is not what its place in the chain needs, or the chain cannot be executed.
    """
    links, embedding = [], stored.steps[0].object
    for step in stored.steps:
        kind = step.place.kind
        config, tensors, names = signature(stored.config, kind), _group(stored, step, contents), [step.object]
        if kind == "head" and stored.config.tied:  # one object, two roles
            tensors = {**tensors, **contents[embedding].tensors}
            names.append(embedding)
        block = Block(block_id(kind, config, names), kind, tensors, config)
        delta = None
        if stored.delta and step.delta:
            acting, own_id = contents[step.delta], block_id(stored.delta, config, [step.delta])
            delta = Block(own_id, stored.delta, acting.tensors, config, acting.settings)
            delta = blocks.setdefault(own_id, delta)
        links.append(Link(step.place, blocks.setdefault(block.id, block), delta))
    return Chain(stored.model, stored.config, tuple(links)).validate()


def chain_of(model: Model, blocks: dict[str, Block] | None = None) -> Chain:
    """The chain of a model that is in memory: the same ids, and tensors of the same bits, as a zoo would give.

    Chains made with one `blocks` share their equal blocks. Raises UserError for a model that no zoo would store.
    """
    contents = [described(weights, settings) for _, weights, settings in parts(model)]
    stored = to_stored(model, [content.name for content in contents])
    return to_chain(
        stored,
        {content.name: widened(content) for content in contents},
        {} if blocks is None else blocks,
    )


def widened(content: Content) -> Content:
    """The same in fp32, in memory of its own."""
    tensors = {name: tensor.to(torch.float32, copy=True) for name, tensor in content.tensors.items()}
    return replace(content, tensors=tensors)


def block_id(kind: Kind, config: LlamaConfig, names: Sequence[Hash]) -> str:
    """The id of a block: sha256, in hex, over its kind, its signature and the names of its objects."""
    return hashlib.sha256(json.dumps([kind, asdict(config), list(names)]).encode()).hexdigest()


def block(kind: Kind, tensors: Weights, config: LlamaConfig, settings: Settings | None = None) -> Block:
    """A block that no zoo holds, such as a stitch or a surrogate, with its id; `config` is the signature it runs by.

    Its tensors, fp32, are hashed and kept.
    """
    settings = settings or {}
    return Block(block_id(kind, config, [described(tensors, settings).name]), kind, tensors, config, settings)


def _group(stored: Stored, step: Step, contents: Contents) -> Weights:
    """The tensors at a place in the order of `tensors_of`."""
    tensors = contents[step.object].tensors
    if problem := _misfit(stored.config, step.place, tensors):
        raise UserError(
            f"the chain of {stored.model} does not fit its objects: {step.place}, {step.object[:12]}…, {problem}; "
            f"delete it and insert {stored.model} again."
        )
    return {name: tensors[name] for name in _shapes(stored.config, step.place.kind)}


@lru_cache(maxsize=64)
def _shapes(config: LlamaConfig, kind: Kind) -> Mapping[str, tuple[int, ...]]:
    """Of the tensors of a group, in their order; a zoo asks for the same few again and again."""
    return {spec.name: spec.shape for spec in tensors_of(config, kind)}


def _unstorable(tensors: Weights) -> str:
    """A tensor of a type that no object holds, as a clause without its subject; empty if there is none."""
    others = (
        f"has {name} as {tensor.dtype}" for name, tensor in tensors.items() if tensor.dtype not in NAMES
    )
    return next((f"{other}, a zoo holds fp16 and fp32" for other in others), "")


def _misfit(config: LlamaConfig, place: Place, tensors: Weights) -> str:
    """What is wrong with the tensors at a place, as a clause without its subject; empty if nothing."""
    held = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wanted = _shapes(config, place.kind)
    other = [name for name in {**wanted, **held} if held.get(name) != wanted.get(name)]
    if not other:
        return ""
    name = other[0]
    return f"has {name} {held.get(name, 'missing')}, its model's shape says {wanted.get(name, 'nothing')}"
