"""The committed cost table: small, with its provenance, read or refused whole, and it gives the specified times."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from blockllm.cost_steps import whole

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.cost import closed_form
from remeasure.impls.blockllm.sim.cost.costs import Costs
from remeasure.impls.blockllm.sim.cost.model import HALVES
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B, SHAPES
from remeasure.impls.blockllm.sim.cost.tables import COLUMNS, STACKS, TABLES, Stack, read

BATCHES, CONTEXTS, PROMPTS = (1, 8, 32, 64), (512, 1280), (1024, 4096)
SPECIFIED: dict[Stack, dict[str, tuple[float, ...]]] = {
    "vllm": {"prefill": (61.1, 242), "512": (12.2, 12.4, 18.2, 23.3), "1280": (14.2, 15.2, 28.1, 38.9)},
    "trtllm": {"prefill": (62.2, 251), "512": (10.1, 11.0, 15.4, 20.5), "1280": (10.3, 13.5, 22.9, 35.2)},
    "sglang": {"prefill": (63.1, 256), "512": (10.7, 13.1, 19.3, 27.6), "1280": (11.1, 16.2, 29.6, 47.2)},
}
"""ms of a whole 7B model, as its specification has them with three digits."""
TOLERANCE = 0.006


def step(costs: Costs, batch: int, context: int, prefills: list[tuple[int, int]]) -> float:
    return costs.of(LLAMA_7B).step_ms(whole(batch, context, prefills))


def check(costs: Costs, specified: dict[str, tuple[float, ...]]) -> None:
    for tokens, ms in zip(PROMPTS, specified["prefill"], strict=True):
        assert step(costs, 0, 0, [(tokens, 0)]) == pytest.approx(ms, rel=TOLERANCE)
    for context in CONTEXTS:
        for batch, ms in zip(BATCHES, specified[str(context)], strict=True):
            # The token that is computed belongs to what it looks at.
            assert step(costs, batch, context + 1, []) == pytest.approx(ms, rel=TOLERANCE)


@pytest.mark.parametrize("stack", STACKS)
def test_steps_of_a_whole_model_take_the_specified_times(stack: Stack) -> None:
    check(Costs(stack), SPECIFIED[stack])


@pytest.mark.parametrize(
    "wrong", [Costs("vllm", band=1.02), Costs("trtllm")], ids=["2 % longer", "another stack"]
)
def test_the_check_finds_other_times(wrong: Costs) -> None:
    with pytest.raises(AssertionError):
        check(wrong, SPECIFIED["vllm"])


def test_closed_forms_stay_near_the_table() -> None:
    costs = Costs("vllm")
    for batch in BATCHES:
        assert closed_form.decode_ms(LLAMA_7B, batch * 513) == pytest.approx(
            step(costs, batch, 513, []), rel=0.07
        )
        assert closed_form.decode_ms(LLAMA_7B, batch * 1281) == pytest.approx(
            step(costs, batch, 1281, []), rel=0.14
        )
    for tokens in (512, 1024, 2048, 4096):
        ms = step(costs, 0, 0, [(tokens, 0)])
        assert closed_form.prefill_ms(LLAMA_7B, tokens) == pytest.approx(ms, rel=0.07)
        larger = costs.of(LLAMA_13B).step_ms(whole(prefills=[(tokens, 0)], layers=40))
        assert closed_form.prefill_ms(LLAMA_13B, tokens) == pytest.approx(larger, rel=0.12)
    assert closed_form.prefill_ms(LLAMA_7B, 128) == 12
    assert closed_form.decode_ms(LLAMA_13B, 1000) == pytest.approx(11.8 * 1.93 + 0.34 * 1.5625)


def test_the_table_is_small_and_whole() -> None:
    assert TABLES.stat().st_size <= 60_000
    parts = {part for half in HALVES.values() for part in half} | {
        "embed",
        "head",
        "prefill",
        "prefill_fixed",
        "decode",
    }
    for stack in STACKS:
        assert set(read(stack)) == {(shape.name, part) for shape in SHAPES for part in parts}


def test_the_table_names_its_source() -> None:
    card = tomllib.loads(TABLES.with_suffix(".toml").read_text(encoding="utf-8"))
    assert (card["package"], card["version"]) == ("aiconfigurator-core", "0.12.0")
    assert card["licence"] == "Apache-2.0" and "A100-SXM4-80GB" in card["device"]
    assert card["sha256"] == hashlib.sha256(TABLES.read_bytes()).hexdigest()
    assert len(card["source"]) == 10 and all(len(source["sha256"]) == 64 for source in card["source"])


def test_it_is_told_which_stack_was_not_measured_with_as_many_heads_as_these_models_have() -> None:
    measured = tomllib.loads(TABLES.with_suffix(".toml").read_text(encoding="utf-8"))["decode_heads_measured"]
    assert {stack for stack in STACKS if measured[stack] < LLAMA_7B.heads} == {"vllm"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the columns must be stack, shape"),
        ("a,b\n", "line 1: the columns must be stack, shape"),
        (
            f"{','.join(COLUMNS)}\nvllm,7b,qkv,1,,2\nvllm,7b,qkv,one,,2\n",
            "line 3: 'vllm,7b,qkv,one,,2' is no time",
        ),
        (f"{','.join(COLUMNS)}\nvllm,7b,qkv,1\n", "line 2: 'vllm,7b,qkv,1' is no time"),
    ],
)
def test_a_damaged_table_is_refused_by_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "tables.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence) as refusal:
        read("vllm", path)
    assert "\n" not in str(refusal.value)


def test_an_unknown_stack_is_refused() -> None:
    with pytest.raises(UserError, match="no serving stack 'tgi'; choose one of vllm, trtllm, sglang"):
        Costs("tgi")  # type: ignore[arg-type]


def test_sizes_and_links_load_nothing_heavy() -> None:
    code = (
        "import sys; from remeasure.impls.blockllm.sim.cost "
        "import closed_form, gpu, network, shapes, step, tables, work; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pandas"} & set(done.stdout.split())
