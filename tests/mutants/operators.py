"""What is changed in a mutant: one or two replacements of every number, comparison, word and direction."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.operators.provider import OperatorProvider
from parso.python.tree import Keyword, Name, Number, PythonNode, ReturnStmt, String
from parso.tree import NodeOrLeaf

Span = tuple[tuple[int, int], tuple[int, int]]

OF_COSMIC_RAY = (
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in (
            *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
            *("Lt_LtE", "Lt_Gt", "LtE_Lt", "LtE_GtE", "Gt_GtE", "Gt_Lt", "GtE_Gt", "GtE_LtE"),
        )
    ),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in (
            *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul"),
            *("BitOr_BitAnd", "BitAnd_BitOr", "RShift_LShift", "LShift_RShift"),
        )
    ),
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)


class _Own(Operator):
    """One change a place; `changed` gives the node that stands there instead, or None where there is nothing to do."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Span]:
        if self.changed(node) is not None:
            yield node.start_pos, node.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf | None:
        return self.changed(node)

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        raise NotImplementedError

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return ()


class SwapExtremes(_Own):
    """min for max, any for all, and back."""

    OTHER = {"min": "max", "max": "min", "any": "all", "all": "any"}

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        if not isinstance(node, Name) or node.value not in self.OTHER or node.is_definition():
            return None
        if node.parent.type == "argument" and node.parent.children[0] is node:
            return None  # the name of a keyword argument
        return Name(self.OTHER[node.value], node.start_pos, node.prefix)


class ReplaceWord(_Own):
    """Another word for a string without a space: a verdict, a kind, a direction, a key. Sentences are for people."""

    WORD = re.compile(r"""([rRbB]*['"])(?=\S*[^\W\d_])(\S+)""")

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        found = self.WORD.fullmatch(node.value) if isinstance(node, String) else None
        return String(f"{found[1]}XX{found[2]}", node.start_pos, node.prefix) if found else None


class TenthMore(_Own):
    """A number with a point becomes a tenth larger; cosmic-ray's one more is not near a limit of 0.02."""

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        if not isinstance(node, Number) or not re.fullmatch(r"\d*\.\d*[1-9]\d*|[1-9]\d*\.\d*", node.value):
            return None
        return Number(repr(round(float(node.value) * 1.1, 12)), node.start_pos, node.prefix)


class DropCall(_Own):
    """A call whose value nobody takes does not happen."""

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        if not isinstance(node, PythonNode) or node.type != "atom_expr" or node.parent.type != "simple_stmt":
            return None
        if node.children[-1].type != "trailer" or node.children[-1].children[0].value != "(":
            return None
        return Keyword("pass", node.start_pos, node.get_first_leaf().prefix)


class ReturnNothing(_Own):
    """None is returned instead of something."""

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        if not isinstance(node, ReturnStmt) or node.children[1].get_code().strip() in ("None", "False"):
            return None
        keyword = node.children[0]
        return Keyword("return None", keyword.start_pos, keyword.prefix)


class SwapIn(_Own):
    """`in` for `not in`, and back."""

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        of = node.parent
        if of is None or of.type != "comparison" or node not in of.children[1::2]:
            return None
        other = {"in": "not in", "not in": "in"}.get(" ".join(node.get_code(include_prefix=False).split()))
        return Name(other, node.start_pos, " ") if other else None


class SwapStep(_Own):
    """`+=` for `-=`, `*=` for `/=`, and back."""

    OTHER = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|="}

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        other = self.OTHER.get(getattr(node, "value", ""))
        return Name(other, node.start_pos, node.prefix) if other and node.type == "operator" else None


class CatchAnother(_Own):
    """An exception is not caught; cosmic-ray's own operator stumbles over names with a point."""

    def changed(self, node: NodeOrLeaf) -> NodeOrLeaf | None:
        of = node.parent
        if of is not None and of.type == "testlist_comp" and of.parent.parent.type == "except_clause":
            caught = node in of.children[::2]
        else:
            caught = of is not None and of.type == "except_clause" and node is of.children[1]
            caught = caught and node.type != "atom"
        return Name("StopAsyncIteration", node.start_pos, " ") if caught else None


OWN = (SwapExtremes, ReplaceWord, TenthMore, DropCall, ReturnNothing, SwapIn, SwapStep, CatchAnother)


def operators() -> Iterator[Operator]:
    """Those of cosmic-ray that are used, then our own."""
    provided = OperatorProvider()
    for name in OF_COSMIC_RAY:
        yield provided[name]()
    for own in OWN:
        yield own()
