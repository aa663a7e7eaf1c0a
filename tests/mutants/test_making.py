"""What becomes a mutant and what does not, on lines short enough to see it."""

from __future__ import annotations

import pytest

pytest.importorskip("cosmic_ray")

from mutants.making import mutants


def changed(line: str) -> set[str]:
    """What may stand instead of a line of a function."""
    text = f"def f(a, b):\n    {line}\n    return None\n"
    return {mutant.after for mutant in mutants(text) if mutant.function == "f"}


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("return a <= b", {"return a < b", "return a >= b", "return None"}),
        ("return a in b", {"return a not in b", "return None"}),
        ("return a not in b", {"return a in b", "return None"}),
        ("a = min(a, b)", {"a = max(a, b)"}),
        ("a = all(b)", {"a = any(b)"}),
        ("a = b * 0.02", {"a = b / 0.02", "a = b * 0.022", "a = b * 1.02"}),
        ("a += b", {"a -= b"}),
        ("a.append(b)", {"pass"}),
        ("a = 'reproduced'", {"a = 'XXreproduced'"}),
        ("assert a == b", {"assert a != b"}),
    ],
)
def test_numbers_comparisons_words_and_directions_change(line: str, instead: set[str]) -> None:
    assert changed(line) == instead


@pytest.mark.parametrize(
    "line",
    [
        "a: int | None = b",
        "a = 'a sentence for people'",
        "a = f'{b} is said'",
        "'a-docstring'",
        "from x import min",
        "return None",
        "a: Literal['word'] = b",
    ],
)
def test_types_and_sentences_do_not(line: str) -> None:
    assert changed(line) == set()


def test_an_exception_is_not_caught_one_at_a_time() -> None:
    text = "try:\n    f()\nexcept (OSError, x.Other):\n    g()\n"
    caught = {mutant.after for mutant in mutants(text) if mutant.operator == "CatchAnother"}
    assert caught == {"except ( StopAsyncIteration, x.Other):", "except (OSError, StopAsyncIteration):"}


def test_a_mutant_knows_its_function_and_the_lines_that_a_test_has_to_run() -> None:
    text = "LIMIT = 3\n\n\nclass A:\n    def f(self, x=7):\n        if (x\n            > 1):\n            return 5\n"
    found = {(one.before, one.function, one.lines) for one in mutants(text)}
    assert ("LIMIT = 3", "", None) in found
    assert ("> 1):", "A.f", range(6, 8)) in found
    assert ("return 5", "A.f", range(8, 9)) in found
    assert ("def f(self, x=7):", "A.f", range(6, 9)) in found


def test_every_mutant_is_python_and_none_comes_twice() -> None:
    text = (
        "def f(a, *b, c=1, **d):\n    if not a == 1 and c >= 2:\n        return [*b, -c]\n    return a or d\n"
    )
    made = [mutant.text for mutant in mutants(text)]
    assert len(made) == len(set(made)) > 10
    for one in made:
        compile(one, "mutant", "exec")
