"""`recommend`: a checkpoint → ranked items with scores, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from remeasure.datasets.common.interactions import Interactions, Items
from remeasure.errors import UserError

from ..config import Inputs
from ..decoder.decoder import Decoder
from ..generator import Generator, Tokens, assembled, shape_of
from ..learning.checkpoint import Checkpoint, check_catalogue, write_whole
from ..learning.value import ValueBins
from ..questions import Generating
from .asked import NOT_TRAINED, Serving
from .latest import Questions, given, latest, of_users
from .tokens import sids_digest

TABLE = "recommendations.tsv"
BATCH = 1024
"""Questions between two lines of progress."""


def recommend(
    data: Interactions, generator: Generator, asked: Serving, out: Path, report: Callable[[str], None]
) -> Path:
    """Write `row user rank item score`, tab separated with a header: row numbers the lists from 1, best items first."""
    questions = _questions(data, asked, report)
    lists, scores = [], []
    for begin in range(0, len(questions.users), BATCH):
        rows = questions.rows.select(np.arange(begin, min(begin + BATCH, len(questions.users))))
        items, found = generator.top(rows, asked.k, exclude_seen=asked.new)
        lists.append(items)
        scores.append(found)
        report(f"{begin + len(rows):,} of {len(questions.users):,} lists")
    item, score = np.concatenate(lists), np.concatenate(scores)
    row, place = np.nonzero(item >= 0)
    table = pd.DataFrame(
        {
            "row": row + 1,
            "user": questions.users[row],
            "rank": place + 1,
            "item": data.test.items.ids[item[row, place]],
            "score": score[row, place],
        }
    )
    write_whole(out / TABLE, table.to_csv(sep="\t", index=False, float_format="%.6f").encode())
    return out / TABLE


def served(found: Checkpoint, items: Items, tokens: Tokens, asked: Serving) -> Generator:
    """The generator of a checkpoint; raises UserError for one of another catalogue, and for an order it cannot give."""
    check_catalogue(found, sids_digest(items, tokens.sids))
    names = {field.name for field in fields(Generating)} - set(NOT_TRAINED)
    if wrong := names.symmetric_difference(set(found.settings) - {"dataset", "seed"}):
        raise UserError(f"the checkpoint is of another version, by its field {min(wrong)}; train again.")
    widths: Any = asked.widths  # as many as there are levels, which is checked where beams are searched
    trained = Generating(**{name: found.settings[name] for name in names}, widths=widths, order=asked.order)
    if asked.order == "token" and not trained.bins:
        raise UserError("the order token needs a value token; train with --set bins=16, or choose log p.")
    if asked.order == "known" and items.price is None:
        raise UserError("the order known needs prices, which the data do not have; choose log p.")
    held = found.part("constant")
    tokens = tokens._replace(vectors=held["vectors"].numpy())  # those that the decoder was trained on
    inputs = Inputs(tokens.vectors.shape[1], len(items.accounts), len(items.conversions))
    decoder = Decoder(shape_of(trained, tokens.codes), inputs)
    decoder.load_state_dict(found.part("decoder"))
    bins = ValueBins(held["edges"].numpy(), held["means"].numpy()) if trained.bins else None
    return assembled(items, tokens, trained, decoder, found.numbers["mean_spent"], bins, items.price)


def _questions(data: Interactions, asked: Serving, report: Callable[[str], None]) -> Questions:
    if asked.histories:
        questions = given(Path(asked.histories).expanduser(), data.test.items, data.clock)
    elif asked.rows == "test":
        questions = Questions(data.users[data.test.rows.user], data.test.rows)
    else:
        questions = latest(data)
        if left := len(data.users) - len(questions.users):
            report(f"{left:,} users without a history are left out")
    return of_users(questions, asked.users) if asked.users else questions
