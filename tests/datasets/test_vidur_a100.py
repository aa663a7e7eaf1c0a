"""Vidur's A100 tables, real or simulated: read by size, told apart by machine; what cannot be read is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from remeasure.datasets.vidur_a100.loader import BOXES, LAYER, Request, load
from remeasure.datasets.vidur_a100.tables import OPERATORS, Tables
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "vidur_a100"
MEDIANS = [f"time_stats.{name}.median" for name in OPERATORS.values()]
LAYER_HEAD = ",".join([*MEDIANS, "num_tokens", "num_tensor_parallel_workers"])
SENDS_HEAD = ",time_stats.send_recv.median,size,devices_per_node"


def layer(*lines: tuple[float, int, int]) -> str:
    """Lines of (ms of the first operator, tokens, GPUs); the other operators take 1, 2, … ms more."""
    rows = [[ms + at for at in range(len(MEDIANS))] + [tokens, among] for ms, tokens, among in lines]
    return "\n".join([LAYER_HEAD, *(",".join(map(str, row)) for row in rows)]) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / LAYER).write_text(layer((0.5, 64, 1), (0.1, 1, 1), (0.7, 64, 1), (0.3, 64, 2)))
    for at, name in enumerate(BOXES.values()):
        sends = f"{SENDS_HEAD}\n0,0.02,2048,1\n1,0.{at + 1},4096,1\n2,0.008,2048,2\n"
        (tmp_path / name).write_text(sends)
    return tmp_path


def test_times_are_sorted_by_size_and_a_size_that_stands_twice_has_the_mean(folder: Path) -> None:
    data = load(Request(), folder)
    assert not data.simulated and data.tokens.tolist() == [1, 64]
    assert data.ms["norm"].tolist() == pytest.approx([0.1, 0.6])
    assert data.ms["add"].tolist() == pytest.approx([7.1, 7.6])


def test_a_divided_layer_is_told_apart(folder: Path) -> None:
    assert load(Request(tensor_parallel=2), folder).ms["norm"].tolist() == [0.3]


def test_sends_are_told_apart_by_box_and_by_whether_they_leave_the_server(folder: Path) -> None:
    sends = {(sent.box, sent.in_node): sent for sent in load(Request(), folder).sends}
    assert sends["dgx", True].ms.tolist() == [0.008]
    assert sends["dgx", False].nbytes.tolist() == [2048, 4096]
    assert (sends["dgx", False].ms[1], sends["pairwise", False].ms[1]) == (0.1, 0.2)


def check(data: Tables) -> None:
    assert list(data.ms) == list(OPERATORS)
    assert data.tokens.dtype == np.int64 and (np.diff(data.tokens) > 0).all()
    for ms in data.ms.values():
        assert ms.shape == data.tokens.shape and (ms > 0).all()
    assert [(sent.box, sent.in_node) for sent in data.sends] == [
        (box, inside) for box in BOXES for inside in (True, False)
    ]
    for sent in data.sends:
        assert (np.diff(sent.nbytes) > 0).all() and (sent.ms > 0).all()
        # NVLink passes 300 GB/s each way: sizes in bytes fit that, but for outliers; two-byte elements do not.
        assert (sent.nbytes / (sent.ms / 1000) < 350e9).all()


@pytest.mark.parametrize("among", [1, 2, 4, 8])
def test_simulated_tables_have_the_form_of_the_real_ones_and_say_what_they_are(among: int) -> None:
    data = load(Request(among), None)
    check(data)
    assert data.simulated and "simulated" in data.label and "roofline" in data.notes[0]


def test_simulated_tables_are_the_same_each_time_and_quicker_among_more() -> None:
    first, again, divided = load(Request(), None), load(Request(), None), load(Request(8), None)
    for name in OPERATORS:
        assert first.ms[name].tobytes() == again.ms[name].tobytes()
        assert (divided.ms[name] <= first.ms[name]).all()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / LAYER).unlink(), "mlp_a100_llama2-7b.csv does not exist; put it there"),
        (lambda folder: (folder / LAYER).write_text(""), "has no column num_tensor_parallel_workers"),
        (
            lambda folder: (folder / LAYER).write_text(
                layer((1, 64, 1)).replace("mlp_act", "mlp_activation")
            ),
            "has no column time_stats.mlp_act.median",
        ),
        (lambda folder: (folder / LAYER).write_text(layer((1, 64, 4))), "lacks the rows that were asked for"),
        (
            lambda folder: (folder / LAYER).write_text(layer((1, 64, 1), (0, 8, 1))),
            r"line 3: time_stats.input_layernorm.median is '0', not a number above 0",
        ),
        (
            lambda folder: (folder / BOXES["dgx"]).write_text(f"{SENDS_HEAD}\n0,nan,2048,1\n"),
            "line 2: time_stats.send_recv.median is 'nan'",
        ),
        (
            lambda folder: (folder / BOXES["pairwise"]).write_text(f"{SENDS_HEAD}\n0,0.1\n"),
            "line 2: devices_per_node is None",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(
    folder: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=sentence) as refusal:
        load(Request(), folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("root", [None, "real"])
def test_a_division_that_was_not_measured_is_refused(folder: Path, root: str | None) -> None:
    with pytest.raises(UserError, match="not measured divided among 3 GPUs; ask for one of 1, 2, 4, 8"):
        load(Request(tensor_parallel=3), folder if root else None)


def test_asking_for_the_tables_loads_nothing_heavy() -> None:
    code = (
        "import sys; from remeasure.datasets.vidur_a100.loader import Request; Request(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pandas"} & set(done.stdout.split())


@pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ, reason="no real vidur_a100 in $REMEASURE_DATA"
)
@pytest.mark.parametrize("among", [1, 8])
def test_the_published_files_hold_259_token_counts_and_993_sizes(among: int) -> None:
    data = load(Request(among), REAL)
    check(data)
    assert len(data.tokens) == 259 and data.tokens[[0, -1]].tolist() == [1, 4096]
    assert all(len(sent.nbytes) == 993 for sent in data.sends)
