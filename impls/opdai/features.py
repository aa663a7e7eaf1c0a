"""From a system's configuration to the ranker's rows: fit the pieces, score the lists, name the columns.

Every number is computed from interaction tables and the row's own (user, item); nothing is read from other lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from remeasure.datasets.xmrec.loader import XmrecData
from remeasure.errors import UserError

from .basics import basics
from .cache import Made, made
from .config import TwoStage
from .corpus import Corpus, Purpose, build_corpus, leaky_corpus
from .pieces import Piece, others, pieces
from .prerank.itemcf import ItemCF
from .prerank.similarity import STATISTICS
from .ranker import Rows

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class FirstStage:
    """The ranker's rows and what each piece cost when it was computed (CPU seconds)."""

    rows: Rows
    cpu_s: dict[str, float]


class Workbench:
    """Scores of pieces on one data set; each merge is built once, each score kept on disk if `keep`."""

    def __init__(
        self,
        data: XmrecData,
        tables: tuple[str, ...],
        seed: int = 0,
        purpose: Purpose = Purpose.JUDGED,
        keep: bool = True,
    ) -> None:
        self.data, self.tables, self.seed, self.purpose, self.keep = data, tables, seed, purpose, keep
        judged = purpose is Purpose.JUDGED
        users = data.users if judged else data.test_users
        candidates = data.candidates if judged else data.test_candidates
        if users is None or candidates is None:
            raise UserError(
                f"market {data.target} has no test lists (test_run.tsv); only its validation rows can be scored."
            )
        self.users, self.candidates = users, candidates
        self._corpora: dict[tuple[str, ...], Corpus] = {}
        joined = "\n".join([*users.tolist(), *candidates.ravel().tolist()])
        self._lists = hashlib.sha256(joined.encode()).hexdigest()

    def corpus(self, markets: tuple[str, ...]) -> Corpus:
        """The merge of these markets, for the rows of this workbench."""
        key = tuple(sorted(markets))
        if key not in self._corpora:
            self._corpora[key] = build_corpus(self.data, markets, purpose=self.purpose, tables=self.tables)  # type: ignore[call-overload]
        return self._corpora[key]

    def score(self, piece: Piece) -> Made:
        """The piece's column(s), float32 [U, C] or [U, C, 5]."""
        return self.score_on(self.corpus(piece.markets), piece)

    def score_on(self, corpus: Corpus, piece: Piece) -> Made:
        """As `score`, on a given corpus (the negative control has its own)."""

        def compute() -> np.ndarray:
            scorer = piece.model.fit(corpus, self.seed)
            users, candidates = corpus.rows(self.users), corpus.columns(self.candidates)
            if piece.part == "score":
                return scorer.score(users, candidates)
            return np.asarray(scorer.sequence_statistics(users, candidates))  # type: ignore[attr-defined]

        key = (corpus.fingerprint, self._lists, repr(piece.model), piece.part, str(self.seed))
        return made(compute, *key, keep=self.keep)


def first_stage(bench: Workbench, system: TwoStage, progress: Progress | None = None) -> FirstStage:
    """Every piece of the system on the workbench's rows, with the basics in front."""
    data = bench.data
    co_targets, sources = others(data, system.others)
    markets = (data.target, *co_targets, *sources)
    plain, values = basics(data, markets, system.tables, bench.users, bench.candidates)
    names, columns, cpu_s = list(plain), [values], {}
    wanted = pieces(data, system)
    for done, piece in enumerate(wanted):
        if progress:
            progress(piece.name, done, len(wanted))
        score = bench.score(piece)
        cpu_s[piece.name] = score.cpu_s
        if piece.part == "score":
            names.append(piece.name)
            columns.append(score.values[:, :, None])
        else:
            names += [f"{piece.name}: {statistic}" for statistic in STATISTICS]
            columns.append(score.values)
    return FirstStage(rows_of(bench, names, np.concatenate(columns, axis=-1)), cpu_s)


def leaking_column(bench: Workbench) -> np.ndarray:
    """Negative control: ItemCF-IUF on all markets fitted **with** the judged labels (`bsl_v2`), float32 [U, C]."""
    markets = (bench.data.target, *bench.data.co_targets, *bench.data.sources)
    corpus = leaky_corpus(bench.data, markets, tables=bench.tables)
    return bench.score_on(corpus, Piece("leak", markets, ItemCF("iuf"))).values


def rows_of(bench: Workbench, names: list[str], features: np.ndarray) -> Rows:
    """Rows with the positives' columns; a feature that is not finite is refused by name."""
    finite = np.isfinite(features).all(axis=(0, 1))
    if not finite.all():
        raise UserError(
            f"feature {names[int(np.argmin(finite))]!r} has values that are not finite; check the ratings."
        )
    if bench.purpose is Purpose.JUDGED:
        positive = np.argmax(bench.candidates == bench.data.positives[:, None], axis=1)
    else:
        positive = np.full(len(bench.users), -1)
    # LightGBM refuses punctuation of JSON in names; a column's name is also its label in reports.
    return Rows(
        np.ascontiguousarray(features, np.float32), positive, tuple(n.replace(":", " -") for n in names)
    )
