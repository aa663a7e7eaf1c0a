"""Serves one model on the host: from encrypted weights on disk to logits, as the planned pipeline (June §4, §5.1).

Weights and KV cache live in the run's memory (secret pages where it is protected); the tensors that torch computes
with are views of it. Activations, logits and Python's key bytes are outside it. The policy's ledger has every page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from remeasure.impls.common import layout, llama

from ..policy.pages import Ledger
from ..policy.plan import Kind, Op, Part, plan
from .bounds import Schedule, schedule
from .engine import Timeline, execute
from .loading import Loader
from .memory import LABELS, SCATTERED, Collapsed, kind
from .models import HostRun, model
from .pages import KV_OWNER, LedgerPages, Pages, part_owner
from .prepared import open_shards
from .resident import Filled, ResidentParts
from .sequence import SequenceKV

STAGING_BYTES = 16 << 20
"""Of ciphertext that may wait for decryption, or two operations' where that is more: so that reading goes on."""


@dataclass(frozen=True, eq=False)
class Prefill:
    """What one prefill gave and took."""

    logits: torch.Tensor
    """fp32 [vocab], after the last token of the prompt."""
    token: int
    """The likeliest next one."""
    ttft_s: float
    """From the call to that token."""
    peak_plaintext_bytes: int
    """Of weights and KV that lay decrypted in the run's memory."""
    schedule: Schedule
    timeline: Timeline

    @property
    def busy(self) -> dict[Kind, float]:
        """Seconds spent on each kind of operation."""
        return self.schedule.busy

    @property
    def lower_bound_s(self) -> float:
        """Of the TTFT, from the busy times of this run."""
        return self.schedule.lower_bound_s


@dataclass(frozen=True, eq=False)
class Decode:
    """Tokens after the first one."""

    tokens: list[int]
    logits: torch.Tensor
    """fp32 [tokens, vocab]."""
    seconds: list[float]
    """Of each token (TPOT)."""


class HostServer:
    """One model, one sequence at a time. Close it, or use it as a context."""

    def __init__(self, run: HostRun, root: Path | None = None) -> None:
        """`root`: where prepared weights are kept instead of the user's cache.

        Raises UserError for an unknown model, missing or damaged weights, no secret memory, or too low a limit on it.
        """
        made = model(run)
        self.run = run
        self.config = made.config
        specs = llama.parts(self.config)
        self.parts = len(specs)
        self._kind = kind(run)
        self._collapsed = Collapsed()
        sizes = {part_owner(part): layout.offsets(tensors)[1] for part, tensors in enumerate(specs)}
        kv_tokens = run.prompt_tokens + run.new_tokens
        sizes[KV_OWNER] = llama.KV.nbytes(self.config, kv_tokens)
        self._pages = LedgerPages(sizes) if run.system.protected else Pages()
        self._memory = ResidentParts(specs, self._kind, self._collapsed, self._pages)
        self._kv = SequenceKV(self.config, kv_tokens, self._kind, self._collapsed, self._pages)
        self._next: int | None = None
        self._plans: dict[frozenset[int], list[Op]] = {}
        loads = [op.nbytes for op in self._plan(frozenset()) if op.kind == "load"]
        # Without overlap the whole model is loaded before any of it is decrypted.
        self._staging_bytes = max(STAGING_BYTES, 2 * max(loads)) if run.system.overlap else sum(loads)
        shards = open_shards(run, made, len(loads), root)
        self._loader = Loader(shards, Filled(self._memory), self._kind in SCATTERED, run.throttle_read * 1e6)
        try:
            if run.pool == "warm":
                self._kv.own()
                for part in range(self.parts):
                    self._memory.claim(part)
                self._memory.owned(range(self.parts))
        except BaseException:
            self.close()
            raise

    @property
    def label(self) -> str:
        """How this host stands in for the system's memory and storage."""
        said = [LABELS[self._kind], f"{self._loader.io} reads"]
        if self._collapsed.refused:
            blocks = f"{self._collapsed.refused} of {self._collapsed.blocks} blocks"
            said.append(f"the kernel refused to move {blocks} together ({self._collapsed.why})")
        if self.run.system.crypto == "inline":
            said.append("plain weights stand for an inline cipher")
        return ", ".join(said)

    @property
    def pages(self) -> Ledger | None:
        """State and owner ("part 3", "kv") of every page of weights and KV; None where nothing is protected.

        For reading, and while no prefill or reclaim runs.
        """
        return self._pages.ledger

    @property
    def resident(self) -> frozenset[int]:
        """Parts whose weights are in memory, decrypted."""
        return frozenset(self._memory.resident)

    @property
    def plaintext_bytes(self) -> int:
        """Weights and KV that lie decrypted in the run's memory."""
        held = sum(self._memory.nbytes[part] for part in self._memory.resident)
        return held + self._kv.plaintext_bytes

    def prefill(self, tokens: Sequence[int]) -> Prefill:
        """Logits after a prompt, loading what is missing. A sequence that was there before is forgotten.

        Raises ValueError for a prompt that is empty or does not fit; UserError for weights that are not what was
        written: nothing is computed from them then, and the memory of all that was loaded is zeroed.
        """
        if not 0 < len(tokens) <= self.run.prompt_tokens:
            raise ValueError(f"a prompt has 1 to {self.run.prompt_tokens} tokens, not {len(tokens)}")
        start = time.perf_counter()
        self._next = None
        kv = self._kv.begin()
        hidden = torch.tensor(tokens)

        def compute(op: Op) -> None:
            nonlocal hidden
            hidden = self._compute(op.part, hidden, kv)

        actions: dict[Kind, Callable[[Op], None]] = {
            "alloc": self._alloc,
            "load": self._loader.load,
            "decrypt": self._loader.decrypt,
            "compute": compute,
        }
        try:
            with self._threads():
                timeline = execute(self._plan(self.resident), actions, staging_bytes=self._staging_bytes)
        except BaseException:
            self._loader.abandon()
            self._end(self.resident)
            raise
        self._memory.owned(range(self.parts))
        self._memory.resident.update(range(self.parts))
        self._next = int(hidden.argmax())
        ttft_s = time.perf_counter() - start
        return Prefill(hidden, self._next, ttft_s, self.plaintext_bytes, schedule(timeline), timeline)

    def decode(self, count: int) -> Decode:
        """The likeliest `count` tokens after the prefill's.

        ValueError before a prefill, while the sequence is swapped out, or where the KV is full.
        """
        if self._kv.swapped:
            raise ValueError("swap_in comes before decode")
        if self._next is None or self._kv.kv is None:
            raise ValueError("prefill comes before decode")
        tokens, logits, seconds = [], [], []
        with self._threads():
            for _ in range(count):
                start = time.perf_counter()
                hidden = torch.tensor([self._next])
                for part in range(self.parts):
                    hidden = self._compute(part, hidden, self._kv.kv)
                self._next = int(hidden.argmax())
                seconds.append(time.perf_counter() - start)
                tokens.append(self._next)
                logits.append(hidden)
        return Decode(tokens, torch.stack(logits), seconds)

    def release(self) -> None:
        """End the request: zero its KV and the parts that are not kept; with a cold pool, give their pages back."""
        whole = self.run.system.cache in ("always", "timeout")
        kept = self.parts if whole else self.run.cached_parts if self.run.system.cache == "cooperative" else 0
        self._end(range(kept))

    def swap_out(self) -> None:
        """Write the KV of the idle sequence back, encrypted, and give its pages to the kernel, zeroed.

        Raises ValueError where no sequence is in memory; UserError, and changes nothing, where it cannot be written.
        """
        if self._next is None or self._kv.swapped:
            raise ValueError("only a sequence that is in memory is swapped out")
        self._kv.swap_out()

    def swap_in(self) -> None:
        """Bring the sequence back, so that decoding goes on as if it had stayed.

        Raises ValueError where none is swapped out; UserError where the file does not hold what was written: the
        sequence has ended then, and its memory is zeroed.
        """
        if not self._kv.swapped:
            raise ValueError("no sequence is swapped out")
        self._kv.own()  # where that fails, the sequence is still outside
        try:
            self._kv.swap_in()
        except BaseException:
            self._end_sequence()
            raise

    def reclaim(self, parts: Collection[int]) -> Future[None]:
        """Give parts' pages to the kernel: returns at once; done when they are zeroed and given back.

        A prefill that needs one of them waits for that, and claims fresh pages. Ends the sequence.
        """
        self._next = None
        self._kv.forget()
        return self._memory.reclaim(parts)

    def close(self) -> None:
        """Zero and give back everything."""
        self._end(())
        self._memory.close()
        self._kv.close()
        self._loader.close()

    def __enter__(self) -> HostServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _end(self, kept: Collection[int]) -> None:
        self._end_sequence()
        self._memory.drop(kept, give_back=self.run.pool == "cold")

    def _end_sequence(self) -> None:
        self._next = None
        self._kv.end(give_back=self.run.pool == "cold")

    def _plan(self, cached: frozenset[int]) -> list[Op]:
        if cached not in self._plans:
            parts = [Part(nbytes, part in cached) for part, nbytes in enumerate(self._memory.nbytes)]
            self._plans[cached] = plan(parts, self.run.system)
        return self._plans[cached]

    def _alloc(self, op: Op) -> None:
        if self.run.system.alloc != "cma":
            return self._memory.claim(op.part, op.offset, op.nbytes)
        for part in set(range(self.parts)) - self._memory.resident:  # the whole region at once
            self._memory.claim(part)

    @torch.inference_mode()
    def _compute(self, part: int, x: torch.Tensor, kv: llama.KV) -> torch.Tensor:
        """The embedding of tokens, a layer, or the logits."""
        weights = self._memory.weights(part)
        if part == 0:
            return llama.embed(x, weights)
        if part < self.parts - 1:
            return llama.layer(self.config, part - 1, x, weights, kv)
        embedding = self._memory.weights(0)["embedding"] if self.config.tied else None
        return llama.head(self.config, x, weights, embedding)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Torch's number of threads is the process's, so it is set for as long as this server computes."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.run.compute_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
