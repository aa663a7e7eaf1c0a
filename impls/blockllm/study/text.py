"""Documents as equally long blocks of tokens, so that every figure can be said document by document.

Intervals are over documents: tokens of one document are too alike to be counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from remeasure.errors import UserError
from remeasure.impls.common.llama import LlamaConfig

from ..models.corpus import encode

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Text:
    """Blocks of some documents, each computed with from its own first token."""

    blocks: torch.Tensor
    """int64 [blocks, length + 1]; the first `length` tokens of a block predict its last `length`."""
    document: npt.NDArray[np.int64]
    """[blocks]: whose they are; documents count from 0."""

    @property
    def documents(self) -> int:
        return int(self.document.max()) + 1

    @property
    def length(self) -> int:
        return self.blocks.shape[1] - 1

    @property
    def tokens(self) -> int:
        """That are computed with."""
        return len(self.blocks) * self.length

    def halves(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The blocks of every other document, and those of the others. Raises ValueError for a single document."""
        if self.documents < 2:
            raise ValueError("a text of one document has no halves")
        odd = torch.from_numpy(self.document % 2 == 1)
        return self.blocks[~odd], self.blocks[odd]

    def means(self, values: torch.Tensor) -> Floats:
        """Mean of each document, float64 [documents], of one value a token, [tokens]."""
        by_block = values.double().view(len(self.blocks), -1).mean(1).numpy()
        blocks = np.bincount(self.document)
        found: Floats = np.bincount(self.document, by_block) / blocks
        return found


def cut(
    config: LlamaConfig, documents: Sequence[str], length: int, each: int = 1, most: int | None = None
) -> Text:
    """The first `each` blocks of the first `most` documents that are long enough to have them.

    Raises UserError where no document is.
    """
    found: list[torch.Tensor] = []
    for document in documents:
        # A token is at least a character, so this is enough of it for most texts, and the rest need not be read.
        for characters in (16 * length * each, len(document)):
            tokens = encode(config, document[:characters])
            if len(tokens) > length * each:
                found.append(tokens[: length * each + 1].unfold(0, length + 1, length))
                break
        if len(found) == most:
            break
    if not found:
        raise UserError(
            f"none of {len(documents)} documents has {length * each + 1} tokens; give longer ones or ask for fewer "
            "or shorter blocks."
        )
    return Text(torch.cat(found), np.repeat(np.arange(len(found)), each))


def joined(texts: Sequence[Text]) -> Text:
    """Several texts as one, of blocks of one length; their documents stay apart."""
    starts = np.cumsum([0, *(text.documents for text in texts)])
    document = [text.document + start for text, start in zip(texts, starts, strict=False)]
    return Text(torch.cat([text.blocks for text in texts]), np.concatenate(document))
