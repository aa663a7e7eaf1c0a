"""What GR4AD can do beside being measured: make semantic ids, train on files of one's own, and recommend."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from remeasure.contracts import Command, Workspace
from remeasure.datasets.common.interactions import Interactions

from .questions import Generating
from .use.asked import NOT_TRAINED, Running, Serving, Source, Tokenizing, check_trainable
from .use.settings import read


def _load(space: Workspace, source: Source) -> Interactions:
    """The data set, and its notes told."""
    request = import_module(f"remeasure.datasets.{source.dataset}.request").Request()
    data: Interactions = space.load(source.dataset, request)
    for note in data.notes:
        space.report(note)
    return data


def _tokenize(space: Workspace) -> Sequence[Path]:
    source, asked = read(space.settings, Source(), Tokenizing())
    from .use.tokens import tokenize

    return tokenize(_load(space, source).test, asked, space.out, space.report)


def _train(space: Workspace) -> Sequence[Path]:
    source, running, asked = read(space.settings, Source(), Running(), Generating(), without=NOT_TRAINED)
    check_trainable(asked)
    from .generator import Training
    from .use.tokens import read_tokens
    from .use.training import CHECKPOINT, asked_of, train

    split = _load(space, source).test
    tokens = read_tokens(split.items, space.out)
    training = Training(split, asked, running.seed, tokens)
    told = asked_of(asked, running, source.dataset, split, tokens)
    path = space.out / CHECKPOINT
    train(training, told, path, running.every, space.report)
    return [path]


def _recommend(space: Workspace) -> Sequence[Path]:
    source, asked = read(space.settings, Source(), Serving())
    from .learning.checkpoint import read as read_checkpoint
    from .use.recommending import recommend, served
    from .use.tokens import read_tokens
    from .use.training import CHECKPOINT

    found = read_checkpoint(space.out / CHECKPOINT)
    data = _load(space, source)
    items = data.test.items
    generator = served(found, items, read_tokens(items, space.out), asked)
    return [recommend(data, generator, asked, space.out, space.report)]


COMMANDS = (
    Command(
        "tokenize",
        "Write every item's semantic id (sids.index.json, as MiniOneRec has it) and content vector (vectors.npy) to "
        "--out: --set data=DIR for a folder in MiniOneRec's layout, else dataset=NAME; scheme=, sizes=, encoder=, "
        "dims=, seed=. scheme=data takes the ids that the data bring.",
        _tokenize,
    ),
    Command(
        "train",
        "Train on those ids, from the same data: checkpoint.safetensors in --out, written each --set every=SECONDS; "
        "the same command goes on where it was stopped. Every field of the model can be set: steps=, d=, layers=, "
        "parallel=, bins=, weights=, rate=, seed= ….",
        _train,
    ),
    Command(
        "recommend",
        "Write recommendations.tsv (row, user, rank, item, score) from --out's checkpoint: for every user after all "
        "that is known of him, or rows=test, users=A12,A13, or histories=FILE with lines "
        '{"user": "A12", "items": ["17", "3"]}; k=, new=true (nothing twice), widths=, order=.',
        _recommend,
    ),
)
