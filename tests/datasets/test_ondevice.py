"""Declared on-device workloads: complete, plausible, and the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.ondevice.loader import Request, Workloads, load
from remeasure.errors import UserError

MODELS = {"Llama3.2-3B", "Llama3.1-8B", "Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-8B"}


@pytest.fixture(scope="module")
def data() -> Workloads:
    return load(Request(), None)


def test_all_names_of_the_figures_are_declared(data: Workloads) -> None:
    assert {w.name for w in data.workflows} == {
        "Fact-Checking", "Privacy-Guard", "Notification-Clear", "Voice-Routing", "GUI-Agent", "Smart-Alarm",
        "Home-Assistant", "Logic-Critique", "Email-Polisher", "Meeting-Assistant",
    }  # fmt: skip
    assert [g.name for g in data.groups] == ["1.7B+8B", "0.6B+1.7B", "0.6B+Qwen3-8B", "1.7B+3B"]
    assert [law.name for law in data.lengths] == ["UltraChat", "OpenAssistant", "Dolly", "Alpaca"]
    assert data.prompt_grid == (64, 128, 256, 512)
    assert data.background_grid == tuple(range(11))


def test_workflows_are_chains_of_known_models_with_a_reason_each(data: Workloads) -> None:
    for workflow in data.workflows:
        assert 2 <= len(workflow.steps) <= 4 and workflow.what
        for step in workflow.steps:
            assert step.model in MODELS and step.why
            assert 0 < step.fixed < step.prompt <= max(data.prompt_grid) and step.new >= 1
    assert {step.model for workflow in data.workflows for step in workflow.steps} == MODELS


def test_every_length_law_says_where_it_comes_from(data: Workloads) -> None:
    for law in data.lengths:
        low, high = law.median_range
        assert 0 < low <= 1 <= high
        assert "assumption" in law.source


def test_data_are_called_simulated(data: Workloads) -> None:
    assert data.simulated and data.notes and data.label


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), requests=st.integers(1, 50), factor=st.floats(0.2, 5))
def test_same_seed_gives_same_requests_within_the_bounds(seed: int, requests: int, factor: float) -> None:
    one, other = (load(Request(requests, seed), None) for _ in range(2))
    for stream, again in zip(one.streams, other.streams, strict=True):
        tokens = stream.prompt_tokens(factor)
        assert tokens.shape == stream.model.shape == (requests,)
        assert np.array_equal(tokens, again.prompt_tokens(factor))
        assert np.array_equal(stream.model, again.model)
        assert tokens.min() >= stream.shortest_tokens and tokens.max() <= stream.longest_tokens


def test_another_seed_gives_other_requests(data: Workloads) -> None:
    other = load(Request(seed=1), None)
    assert not np.array_equal(data.streams[0].model, other.streams[0].model)
    assert not np.array_equal(data.streams[0].prompt_tokens(), other.streams[0].prompt_tokens())


def test_streams_come_in_orders_of_their_own(data: Workloads) -> None:
    orders = {tuple(stream.model.tolist()) for stream in data.streams}
    assert len(orders) == len(data.groups) * len(data.lengths)


def test_each_model_gets_its_share_and_the_declared_lengths(data: Workloads) -> None:
    for stream in data.streams:
        assert np.bincount(stream.model).tolist() == [32, 32]
        for model in (0, 1):
            tokens = stream.prompt_tokens()[stream.model == model]
            median = stream.template_tokens + stream.lengths.median
            assert np.median(tokens) == pytest.approx(median, rel=0.03)


def test_a_longer_median_never_shortens_a_prompt(data: Workloads) -> None:
    for stream in data.streams:
        assert (stream.prompt_tokens(2.0) >= stream.prompt_tokens(1.0)).all()


def test_a_folder_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no files to read"):
        load(Request(), tmp_path)


def test_nothing_can_be_drawn_from_no_requests() -> None:
    with pytest.raises(UserError, match="at least one"):
        load(Request(requests=0), None)
