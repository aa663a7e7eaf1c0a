"""Speculation that never changes a token: a cheap chain proposes, the true chain verifies several tokens in one pass.

The paper speculates with a surrogate of a block to hide communication. Here the surrogate chain drafts some tokens;
the true chain's own choices decide, so the output is that of plain greedy decoding (in tile mode bit for bit; in fast
mode two nearly equal logits may change places, as they may in any other batch). (Specification §2.5, `exact`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..chain import Chain
from .executor import Executor
from .tiles import Mode

TRUE, DRAFT = "true", "draft"


@dataclass(frozen=True)
class Speculated:
    """What was generated, and how much of it was guessed."""

    tokens: list[int]
    proposed: int
    """Tokens that the draft chain proposed."""
    accepted: int
    """How many of them the true chain chose too."""
    passes: int
    """Of the true chain; plain decoding takes one a token."""

    @property
    def acceptance(self) -> float:
        """Share of proposals that were accepted; 0 where there was none."""
        return self.accepted / self.proposed if self.proposed else 0.0


def speculate(
    chain: Chain, draft: Chain, prompt: Sequence[int], new_tokens: int, at_once: int, mode: Mode = "fast"
) -> Speculated:
    """Greedy decoding of `new_tokens` tokens after a prompt, `at_once` proposals a pass (the paper's γ).

    Blocks that both chains have are the same objects. Raises UserError for chains that are not valid, ValueError for
    an empty prompt.
    """
    if not prompt:
        raise ValueError("there is no token to begin with")
    executor = Executor({TRUE: chain, DRAFT: draft}, mode)
    for model in (TRUE, DRAFT):
        executor.add(model, model, len(prompt) + new_tokens)
    context = list(prompt)
    proposed = accepted = passes = 0
    while (missing := len(prompt) + new_tokens - len(context)) > 0:
        guesses = _guess(executor, context, min(at_once, missing - 1))
        executor.feed(TRUE, context[executor.length(TRUE) :] + guesses, wanted=len(guesses) + 1)
        chosen = executor.step()[TRUE].argmax(-1).tolist()
        right = next((n for n, guess in enumerate(guesses) if guess != chosen[n]), len(guesses))
        context += chosen[: right + 1]
        proposed, accepted, passes = proposed + len(guesses), accepted + right, passes + 1
        for model in (TRUE, DRAFT):
            # The last token was chosen, not yet computed with; everything behind it in a KV was guessed wrongly.
            executor.truncate(model, len(context) - 1)
    return Speculated(context[len(prompt) :], proposed, accepted, passes)


def _guess(executor: Executor, context: Sequence[int], count: int) -> list[int]:
    """What the draft chain takes for the next `count` tokens."""
    guesses: list[int] = []
    fed = list(context[executor.length(DRAFT) :])
    while len(guesses) < count:
        executor.feed(DRAFT, fed)
        fed = [int(executor.step()[DRAFT][0].argmax())]
        guesses += fed
    return guesses
