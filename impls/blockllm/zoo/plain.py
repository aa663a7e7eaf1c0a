"""The strawman of the zoo's speed: objects named by their content too, but everything done one thing after the other.

A thread hashes an object, then writes it if it is new, by plain files and the safetensors package; it reads a file,
then hashes it.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load, save

from remeasure.errors import UserError
from remeasure.impls.common.llama import Weights

from ..chain import Model
from .assemble import parts
from .objects import SUFFIX
from .writing import wait_for_disk


@dataclass(frozen=True)
class Took:
    """How long an insertion took, in seconds, without and in waiting for the disk."""

    seconds: float
    fsync_s: float


class Plain:
    """A folder of objects; it keeps no chains."""

    def __init__(self, root: Path) -> None:
        self.objects = root / "objects"
        self.objects.mkdir(parents=True)

    def insert(self, model: Model) -> Took:
        """Store a model's groups and delta, each once."""
        begun = time.perf_counter()
        new = []
        for _, weights, _ in parts(model):
            content = save(weights)
            path = self.objects / (hashlib.sha256(content).hexdigest() + SUFFIX)
            if not path.exists():
                path.write_bytes(content)
                new.append(path)
        written = time.perf_counter()
        wait_for_disk(new)
        return Took(written - begun, time.perf_counter() - written)

    def fetch(self) -> list[Weights]:
        """All objects, hashed. Raises UserError for a damaged one."""
        found = []
        for path in sorted(self.objects.iterdir()):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != path.name.removesuffix(SUFFIX):
                raise UserError(f"{path} is damaged; insert its model again.")
            found.append(load(content))
        return found
