"""Lint of the device model: no number stands in its code unless it converts units or is a sourced constant of facts.py.

So no value of the paper enters past the calibration file, and none can be tuned unseen.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from remeasure.impls.flexserve.sim import facts

FOLDER = Path(facts.__file__).parent
FACTS = Path(facts.__file__).name
PLAIN = {0, 1, 2}
"""With the sign of a literal they include -1; nothing could be tuned with them."""
SECONDS = {60, 3600}
RECORDS = {"Fact": "source", "Assumption": "source", "Architecture": "source"}


def offences(source: str, name: str) -> list[str]:
    """`file:line number` of every literal that may not be there."""
    tree = ast.parse(source)
    allowed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            allowed |= {id(child) for child in ast.walk(node.slice) if _whole(child)}
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift):
            base = node.left.value if isinstance(node.left, ast.Constant) else None
            if base in ({2, 10} if isinstance(node.op, ast.Pow) else {1}) and _whole(node.right):
                allowed |= {id(node.left), id(node.right)}
    if name == FACTS:
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                allowed |= _sourced(node.value)
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and _number(node.value):
            if not (id(node) in allowed or node.value in PLAIN | SECONDS or _power_of_ten(node.value)):
                wrong.append(f"{name}:{node.lineno} {node.value}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            hidden = [a for a in node.args if isinstance(a, ast.Constant) and _digits(a.value)]
            if node.func.id in {"float", "int", "Decimal", "Fraction", "eval"} and hidden:
                wrong.append(f"{name}:{node.lineno} {hidden[0].value!r}")
    return wrong


def _number(value: object) -> bool:
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _digits(value: object) -> bool:
    return isinstance(value, str) and any(character.isdigit() for character in value)


def _whole(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _power_of_ten(value: object) -> bool:
    return isinstance(value, float) and f"{value:e}".startswith("1.000000e")


def _sourced(value: ast.expr) -> set[int]:
    """Literals inside records that name their source."""
    inside: set[int] = set()
    for call in ast.walk(value):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in RECORDS:
            source = next((k.value for k in call.keywords if k.arg == RECORDS[call.func.id]), None)
            source = source or (call.args[-1] if call.args else None)
            if source is not None and _text(source):
                inside |= {id(node) for node in ast.walk(call) if isinstance(node, ast.Constant)}
    if isinstance(value, ast.Dict):  # the keys of a table of records
        inside |= {id(key) for key in value.keys if key is not None}
    return inside


def _text(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(node.value.strip())
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Name) and node.id.isupper())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_other_number_enters_the_device_model(path: Path) -> None:
    assert offences(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "RATE = 2.63",
        "def f(x=8.0): ...",
        "y = 0.41 * x",
        "y = x[0] * 3",
        "y = 3 ** 0.5",
        "y = 2 ** 0.71",
        "y = float('0.41')",
        "y = {'a': 15}",
        "y = f(-5)",
    ],
)
def test_the_lint_catches(line: str) -> None:
    assert offences(line, "costs.py")


@pytest.mark.parametrize(
    "line",
    [
        "y = x * 1e-3",
        "GIB = 2**30",
        "y = 1 << 20",
        "y = x[3]",
        "y = x[-4:7]",
        "y = -1 + 2 * x",
        "h = 3600",
        "y = float('inf')",
    ],
)
def test_the_lint_allows(line: str) -> None:
    assert offences(line, "costs.py") == []


def test_constants_of_facts_need_a_source() -> None:
    assert offences("A = Fact(1.9, 'GB/s', 'TZ-LLM')", FACTS) == []
    assert offences("A = {4: Fact(3.8, 'GB/s', source=TZ)}", FACTS) == []
    assert offences("A = Fact(1.9, 'GB/s', '')", FACTS)
    assert offences("A = 1.9", FACTS)
    assert offences("def f(): return Fact(1.9, 'GB/s', 'TZ-LLM')", FACTS)
    assert offences("A = Fact(1.9, 'GB/s', 'TZ-LLM')", "costs.py")


def test_every_constant_of_facts_says_where_it_is_from() -> None:
    records = [v for v in vars(facts).values() if isinstance(v, facts.Fact)]
    records += [*facts.CMA_THREADS.values(), *facts.MODELS.values(), *facts.ASSUMPTIONS.values()]
    assert len(records) > 10
    assert all(record.source.strip() for record in records)


def test_no_file_but_the_calibration_file_is_read() -> None:
    """Data files that the device model opens are the calibration and our own declared assumptions."""
    suffixes = (".json", ".toml", ".csv", ".npz")
    named = {
        node.value
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(suffixes)
    }
    assert named <= {"calibration.json", "assumptions.toml"}
