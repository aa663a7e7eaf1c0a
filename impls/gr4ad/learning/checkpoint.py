"""A training that can be stopped: one safetensors file, written whole or not at all, from which it goes on.

The file holds the numbers that training changes, what was asked, and digests of what it was asked of, so that it is
never continued or served on something else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from remeasure.errors import UserError

from .updates import Updates

VERSION = 1
"""Of what a file holds; one of another version is refused."""
KEY = "gr4ad"
"""Of safetensors' metadata, under which all that is no tensor stands as JSON."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training after some updates."""

    settings: Mapping[str, Any]
    """What was asked, by field: values that JSON has."""
    sids: str
    """Digest of the items and their semantic ids."""
    data: str
    """Digest of all else that is learned from."""
    done: int
    """Updates so far."""
    numbers: Mapping[str, float]
    """State that is no tensor."""
    tensors: Mapping[str, Tensor]
    """Weights, moments of the optimizer, and constants that serving needs."""

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `name.`, by the rest of their names."""
        return {
            key.removeprefix(f"{name}."): value
            for key, value in self.tensors.items()
            if key.startswith(f"{name}.")
        }


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Put the checkpoint in its place, over an older one.

    Raises UserError for a tensor that holds no number: the older one then stays.
    """
    for name, tensor in checkpoint.tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{name} holds no number after step {checkpoint.done} of seed {checkpoint.settings.get('seed')}; "
                "lower the rate."
            )
    told = {
        "version": VERSION,
        "settings": dict(checkpoint.settings),
        "sids": checkpoint.sids,
        "data": checkpoint.data,
        "done": checkpoint.done,
        "numbers": dict(checkpoint.numbers),
    }
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    write_whole(path, save(tensors, {KEY: json.dumps(told, sort_keys=True)}))


def read(path: Path) -> Checkpoint:
    """The checkpoint of a file; raises UserError for one that is missing, cut short, foreign or of another version."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; say `remeasure do gr4ad train` first.")
    try:
        with safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {}).get(KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is cut short or no checkpoint ({error}); take it away and train again."
        ) from None
    if told.get("version") != VERSION:
        raise UserError(
            f"{path} is a checkpoint of version {told.get('version')}, not {VERSION}; "
            "take it away and train again."
        )
    return Checkpoint(told["settings"], told["sids"], told["data"], told["done"], told["numbers"], tensors)


def check_catalogue(found: Checkpoint, sids: str) -> None:
    """Refuse a checkpoint of other items or ids than those with the digest `sids`."""
    if found.sids != sids:
        raise UserError(
            f"checkpoint was trained on SIDs {found.sids[:4]}…, the folder has {sids[:4]}…; "
            "tokenize again or choose the other folder."
        )


def check_same_training(found: Checkpoint, settings: Mapping[str, Any], data: str) -> None:
    """Refuse to go on with a training that was asked otherwise, or that learned from other data."""
    for field, asked in settings.items():
        if found.settings.get(field) != asked:
            raise UserError(
                f"checkpoint was trained with {field} = {found.settings.get(field)}, and {asked} is asked; "
                "ask the same or choose another folder with --out."
            )
    if found.data != data:
        raise UserError(
            f"checkpoint was trained on data {found.data[:4]}…, these are {data[:4]}…; "
            "give the same data or choose another folder with --out."
        )


def moments(updates: Updates) -> dict[str, Tensor]:
    """The optimizer's state, by `parameter.name`; a parameter that nothing was learned of has none."""
    state = updates.optimizer.state_dict()["state"]
    return {f"{place}.{name}": tensor for place, held in state.items() for name, tensor in held.items()}


def put_back(updates: Updates, held: Mapping[str, Tensor], done: int) -> None:
    """Give updates the state that `moments` took after `done` of them."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in held.items():
        place, _, name = key.partition(".")
        state.setdefault(int(place), {})[name] = tensor
    groups = updates.optimizer.state_dict()["param_groups"]
    updates.optimizer.load_state_dict({"state": state, "param_groups": groups})
    updates.done = done


def digest(*arrays: np.ndarray | None) -> str:
    """Hex digits that change with any value, shape or kind of the arrays; objects count as text."""
    found = blake2b(digest_size=16)
    for array in arrays:
        if array is None:
            found.update(b"none")
            continue
        values = array if array.dtype.kind not in "OU" else _text(array)
        found.update(f"{array.dtype.kind}{array.shape}{values.dtype.str}".encode())
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader meets all of it or what was there before, whenever this process ends."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(
            f"{path} could not be written ({error.strerror}); make room or choose another --out."
        ) from None


def _text(array: np.ndarray) -> np.ndarray:
    """uint8, the strings with their lengths before them."""
    encoded = [str(value).encode() for value in array.ravel().tolist()]
    lengths = np.array([len(value) for value in encoded], dtype="<i8")
    return np.frombuffer(lengths.tobytes() + b"".join(encoded), dtype=np.uint8)
