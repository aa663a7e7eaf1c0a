"""Weights on the host's disk, as they lie on a phone's flash: encrypted or plain, written once and kept in the cache.

A folder is named by what it was made from, and by the code that made it. It is written under another name and renamed,
so a killed run leaves none that looks whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import platformdirs
import psutil

from remeasure.errors import UserError

from ..policy.plan import CHUNK_BYTES
from ..secure.cipher import Name
from ..secure.reader import Shards, open_model
from ..secure.shards import write_model
from .models import HostRun, Model
from .plain import PlainShards, write_plain

DEVICE_KEY = hashlib.sha256(b"remeasure: a host has no fused key, so its device key is public").digest()
"""A phone's key never leaves its chip. This one keeps nobody out of the files; it makes the host do the same work."""
VERSION = 1
TAGGED_BYTES = 1 << 20
"""Of plaintext under one tag, or less where one operation reads less."""


def encrypted(run: HostRun) -> bool:
    """Whether this host decrypts: with an inline engine, which it lacks, decryption would cost nothing."""
    return run.system.crypto == "software"


def open_shards(run: HostRun, model: Model, buffers: int, root: Path | None = None) -> Shards | PlainShards:
    """The model's weights as the run reads them, prepared first where the cache (or `root`) lacks them.

    Raises UserError where the cache cannot be written, or holds a damaged folder.
    """
    chunk = min(TAGGED_BYTES, CHUNK_BYTES[run.system.granularity] or TAGGED_BYTES)
    cipher: Name = "gcm" if run.system.authenticated else "ctr"
    kind = (cipher, str(chunk)) if encrypted(run) else ("plain",)
    made_from = hashlib.sha256(model.fingerprint.encode()).hexdigest()[:12]
    folder = (root or cache_folder()) / "-".join((model.name, *kind, made_from, _code()[:12]))

    def write(into: Path, parts: Sequence[bytearray]) -> None:
        if encrypted(run):
            write_model(into, model.name, VERSION, parts, DEVICE_KEY, chunk, cipher)
        else:
            write_plain(into, parts)

    if not folder.exists():
        _make(folder, model, write)
    direct = run.read == "direct"
    try:
        if encrypted(run):
            return open_model(folder, model.name, DEVICE_KEY, VERSION, direct, buffers)
        return PlainShards(folder, direct)
    except UserError as error:
        raise UserError(f"{error} The next run makes it anew if you delete {folder}.") from None


def cache_folder() -> Path:
    """Where prepared weights are kept; `remeasure clean` lists it with the other caches."""
    return Path(os.environ.get("REMEASURE_CACHE") or platformdirs.user_cache_dir("remeasure")) / "flexserve"


def _make(folder: Path, model: Model, write: Callable[[Path, Sequence[bytearray]], None]) -> None:
    from remeasure.impls.common.layout import pack
    from remeasure.impls.common.llama import parts

    for left in folder.parent.glob(f".{folder.name}.*"):
        if not psutil.pid_exists(int(left.suffix[1:])):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
    temporary = folder.parent / f".{folder.name}.{os.getpid()}"
    packed = [
        pack(specs, weights) for specs, weights in zip(parts(model.config), model.weights(), strict=True)
    ]
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        write(temporary, packed)
        temporary.rename(folder)
        for stale in folder.parent.glob(folder.name.removesuffix(_code()[:12]) + "*"):
            if stale != folder:  # of code that is no longer used
                shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        if not folder.exists():  # else another process was first, with the same bytes
            raise UserError(
                f"{folder} cannot be written ({error.strerror}); make room or set REMEASURE_CACHE to another folder."
            ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@cache
def _code() -> str:
    """Hash of the code that lays out and writes weights, so that changed code never meets files of another layout."""
    here = Path(__file__).parent
    common = here.parents[1] / "common"
    secure = [here.parent / "secure" / f"{name}.py" for name in ("cipher", "keys", "manifest", "shards")]
    files = [*secure, *(common / f"{name}.py" for name in ("layout", "llama", "smollm")), here / "plain.py"]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
