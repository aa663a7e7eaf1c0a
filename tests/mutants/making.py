"""The mutants of a module's text: where the operators apply, without types, docstrings and what is said twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

from .operators import Span, operators

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SAID_ELSEWHERE = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Comparisons whose opposite is a mutant already, so that a `not` before them would be the same again."""


@dataclass(frozen=True)
class Mutant:
    """One change of one place."""

    operator: str
    occurrence: int
    span: Span
    function: str
    """Where it is, as `Class.method`; empty outside of every function and class."""
    lines: range | None
    """The lines of its statement, one of which a test has to run; None: they run when the module is imported."""
    before: str
    after: str
    """The lines that differ, on one line each."""
    text: str
    """The whole module, mutated."""


def mutants(text: str) -> Iterator[Mutant]:
    """All mutants of a module; of those that come out the same only one."""
    tree = ast.parse(text)
    places = _Places(text, tree)
    seen = {ast.dump(tree)}
    for operator in operators():
        name = type(operator).__name__
        for occurrence, span in enumerate(_spans(text, operator)):
            if places.leave_out(name, occurrence, span):
                continue
            mutated = mutate_code(text, operator, occurrence)
            try:
                dumped = ast.dump(ast.parse(mutated))
            except SyntaxError:
                continue
            if dumped not in seen:
                seen.add(dumped)
                before, after = _differing(text, mutated)
                yield Mutant(name, occurrence, span, *places.of(span), before, after, mutated)


def _spans(text: str, operator: Operator) -> list[Span]:
    return [span for node in ast_nodes(get_ast(text)) for span in operator.mutation_positions(node)]


def _differing(text: str, mutated: str) -> tuple[str, str]:
    before, after = text.splitlines(), mutated.splitlines()
    while before and after and before[0] == after[0]:
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    return tuple(" ".join(" ".join(lines).split()) for lines in (before, after))


class _Places:
    """What Python's own syntax tree knows of a place."""

    def __init__(self, text: str, tree: ast.Module) -> None:
        self._lines = text.splitlines()
        self._tree = tree
        self._skipped = [self._span(node) for node in _skipped(tree)]
        self._between = [
            (self._span(node.left)[1], self._span(node.right)[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.BinOp)
        ]
        self._plain_tests = {
            self._span(node.test)[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert) and _is_opposed(node.test)
        }

    def leave_out(self, operator: str, occurrence: int, span: Span) -> bool:
        if any(_within(span, skipped) for skipped in self._skipped):
            return True
        if operator.startswith("ReplaceBinaryOperator"):
            return not any(_within(span, between) for between in self._between)
        if operator == "NumberReplacer":
            return self._said_twice(occurrence, span)
        return operator == "AddNot" and span[0] in self._plain_tests

    def _said_twice(self, occurrence: int, span: Span) -> bool:
        """One less than a number with a point is further away than a tenth more."""
        (line, start), (_, end) = span
        return occurrence % 2 == 1 and "." in self._lines[line - 1][start:end]

    def of(self, span: Span) -> tuple[str, range | None]:
        """The name of the function, and the lines that a test has to run."""
        names, inside, node = [], None, self._tree
        while True:
            child = next((one for one in _statements(node) if _within(span, self._whole(one))), None)
            if child is None:
                break
            node = child
            if isinstance(node, SCOPES):
                names.append(node.name)
                body = self._span(node.body[0])[0], self._span(node.body[-1])[1]
                in_body = _within(span, body)
                if isinstance(node, FUNCTIONS):
                    inside = node
                if not in_body:  # a decorator or a default: what it changes is what the function does
                    break
        if inside is None:
            return ".".join(names), None
        if node is inside:
            return ".".join(names), range(node.lineno + 1, node.end_lineno + 1)
        body = getattr(node, "body", None) or getattr(node, "cases", None)
        first = getattr(body[0], "lineno", None) or body[0].pattern.lineno if body else 0
        return ".".join(names), range(
            node.lineno, max(first, node.lineno + 1) if first else node.end_lineno + 1
        )

    def _whole(self, node: ast.stmt) -> Span:
        start, end = self._span(node)
        decorators = [self._span(one)[0] for one in getattr(node, "decorator_list", ())]
        return min([start, *((line, 0) for line, _ in decorators)]), end

    def _span(self, node: ast.AST) -> Span:
        """Columns in characters; Python counts bytes."""
        return (
            (node.lineno, self._column(node.lineno, node.col_offset)),
            (node.end_lineno, self._column(node.end_lineno, node.end_col_offset)),
        )

    def _column(self, line: int, byte: int) -> int:
        return len(self._lines[line - 1].encode()[:byte].decode())


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from child.body


def _within(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _is_opposed(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(test.ops[0], SAID_ELSEWHERE)
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)


def _skipped(tree: ast.Module) -> Iterator[ast.AST]:
    """What mypy checks, what people read, and what only keeps a careless hand off."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.AST() as annotation) | ast.AnnAssign(annotation=annotation):
                yield annotation
            case (
                ast.FunctionDef(returns=ast.AST() as returns)
                | ast.AsyncFunctionDef(returns=ast.AST() as returns)
            ):
                yield returns
            case ast.Expr(value=ast.Constant()) | ast.Subscript(value=ast.Name(id="Literal")):
                yield node
            case ast.Import() | ast.ImportFrom() | ast.keyword(arg="frozen"):
                yield node
            case ast.If() if ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
                yield node
