"""Fast inference of a bag of small trees: every tree is a table.

A tree of five leaves asks at most four questions. Asking all of them of every row is branch-free, and the answers
are the bits of an index into a table of leaf values. Feature values are first replaced by how many of the bag's
thresholds they exceed, so that a question is a comparison of small integers. Two trees share a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import lightgbm as lgb

BLOCK = 32768
"""Rows scored together: enough to pay for a numpy call, few enough for index and sum to stay in cache."""
BITS = 8
"""Questions a table may ask: 256 entries of 8 bytes stay in the first-level cache."""


@dataclass(frozen=True, eq=False)
class Table:
    """Questions (feature column, threshold rank) and the value of every combination of answers."""

    questions: tuple[tuple[int, int], ...]
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Bag:
    """The mean raw score of several boosted models, as tables."""

    thresholds: tuple[np.ndarray, ...]
    """Sorted distinct thresholds of every feature column, float64."""
    tables: tuple[Table, ...]
    models: int

    @classmethod
    def of(cls, boosters: list[lgb.Booster]) -> Bag:
        """Tables from LightGBM models over the same features; raises ValueError for trees they cannot hold."""
        trees = [tree["tree_structure"] for b in boosters for tree in b.dump_model()["tree_info"]]
        cuts: list[set[float]] = [set() for _ in range(boosters[0].num_feature())]
        for tree in trees:
            for node in _splits(tree):
                if node["decision_type"] != "<=" or node["missing_type"] != "None":
                    raise ValueError("only numeric splits without missing values can become tables")
                cuts[node["split_feature"]].add(node["threshold"])
        thresholds = tuple(np.array(sorted(c), dtype=np.float64) for c in cuts)
        return cls(thresholds, tuple(_pack(trees, thresholds)), len(boosters))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Mean raw score of the models, float64 [rows], for float32 features [rows, features]."""
        scores = np.empty(len(features))
        for start in range(0, len(features), BLOCK):
            scores[start : start + BLOCK] = self._block(features[start : start + BLOCK])
        return scores

    def _block(self, features: np.ndarray) -> np.ndarray:
        ranks = [
            np.searchsorted(cuts, column, side="left").astype(np.uint8 if len(cuts) < 256 else np.uint16)
            for cuts, column in zip(
                self.thresholds, np.ascontiguousarray(features.T, np.float64), strict=True
            )
        ]
        total = np.zeros(len(features))
        index = np.empty(len(features), dtype=np.uint8)
        answer = np.empty(len(features), dtype=bool)
        bit = answer.view(np.uint8)
        for table in self.tables:
            index.fill(0)
            for column, rank in table.questions:
                np.greater(ranks[column], rank, out=answer)
                np.add(index, index, out=index)  # numpy vectorises the doubling, not the shift
                np.bitwise_or(index, bit, out=index)
            total += table.values.take(index, mode="clip")
        return total / self.models


def _splits(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "split_feature" in node:
        yield node
        yield from _splits(node["left_child"])
        yield from _splits(node["right_child"])


def _pack(trees: list[dict[str, Any]], thresholds: tuple[np.ndarray, ...]) -> Iterator[Table]:
    """As many neighbouring trees into a table as its questions allow; equal questions are asked once."""
    questions: list[tuple[int, int]] = []
    held: list[dict[str, Any]] = []
    for tree in trees:
        asked = [_question(node, thresholds) for node in _splits(tree)]
        if len(set(asked)) > BITS:
            raise ValueError(f"a tree with {len(asked)} splits does not fit a table of {BITS} questions")
        together = list(dict.fromkeys([*questions, *asked]))
        if len(together) > BITS:
            yield _table(held, questions, thresholds)
            questions, held = list(dict.fromkeys(asked)), [tree]
        else:
            questions, held = together, [*held, tree]
    yield _table(held, questions, thresholds)


def _question(node: dict[str, Any], thresholds: tuple[np.ndarray, ...]) -> tuple[int, int]:
    column = node["split_feature"]
    return column, int(np.searchsorted(thresholds[column], node["threshold"]))


def _table(
    trees: list[dict[str, Any]], questions: list[tuple[int, int]], thresholds: tuple[np.ndarray, ...]
) -> Table:
    values = np.zeros(1 << len(questions))
    places = {question: place for place, question in enumerate(reversed(questions))}
    for code in range(len(values)):
        for tree in trees:
            node = tree
            while "split_feature" in node:
                goes_right = code >> places[_question(node, thresholds)] & 1
                node = node["right_child"] if goes_right else node["left_child"]
            values[code] += node["leaf_value"]
    return Table(tuple(questions), values)
