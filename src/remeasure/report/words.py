"""The words of the report: verdicts, evidence, roles, each with one line that explains it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """How a verdict word is shown."""

    word: str
    glyph: str
    """Stands beside the colour, so that the verdict never rests on colour alone."""
    tone: str
    """CSS class suffix: which colour."""
    means: str
    counted: bool = True
    """False: the claim was not judged, and stays outside the counts."""
    held: bool = False


_MEANINGS = (
    Meaning("reproduced", "✓", "held", "The effect is there, and of the claimed size.", held=True),
    Meaning("reproduced, stronger", "✓+", "stronger", "There, and larger than claimed.", held=True),
    Meaning("direction only", "↗", "partly", "There, but smaller than claimed, or its size is not resolved."),
    Meaning("inconclusive", "?", "open", "The interval is too wide to say."),
    Meaning("not reproduced", "✕", "not", "No clear effect, and the claimed size is excluded."),
    Meaning("contradicted", "↙", "against", "The effect clearly goes the other way."),
    Meaning(
        "below resolution",
        "≈",
        "open",
        "The claimed effect is smaller than this machine can tell from noise.",
    ),
    Meaning(
        "invalid run",
        "!",
        "invalid",
        "A guard failed, so the number may not be used. It is shown, struck out.",
    ),
    Meaning(
        "calibrated", "=", "outside", "The claim is an input of the model that computes it.", counted=False
    ),
    Meaning(
        "not testable here",
        "–",
        "outside",
        "It cannot be tested here, for the reason that is given.",
        counted=False,
    ),
    Meaning(
        "shown, not judged", "○", "outside", "A claim about data, and the data are simulated.", counted=False
    ),
    Meaning("not run", "·", "outside", "Nothing was recorded for it in this run.", counted=False),
)
MEANINGS = {meaning.word: meaning for meaning in _MEANINGS}

EVIDENCE = {
    "measured": "ran here, at the paper's setting or at the one that is stated",
    "scaled": "ran here, smaller than the paper's setting",
    "modelled": "a calibrated model of a device or cluster computed it; nothing of that size ran here",
}
DATA = {
    "real": "published data, checked by hash",
    "simulated": "made by a declared generator",
}
ROLES = {
    "strawman": "what the paper argues against, done honestly",
    "optimized": "the strongest alternative without the paper's idea, tuned",
    "reference": "the paper's system",
    "ablation": "the paper's system with one part taken out",
    "control": "deliberately wrong; shows what a mistake would look like",
}
SOURCES = {
    "paper": ("the papers", "claims of the papers"),
    "remeasure": ("ours", "findings of ours"),
    "other": ("others", "claims of other sources"),
}


def meaning(word: str) -> Meaning:
    """The meaning of a verdict word; an unknown word (an older release) is shown plainly, uncounted."""
    return MEANINGS.get(word) or Meaning(
        word, "·", "outside", "A word this version does not know.", counted=False
    )
