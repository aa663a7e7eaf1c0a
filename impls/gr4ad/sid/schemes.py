"""The seven tokenizers that are compared, by name, at one code space: the product of the three levels' sizes.

Plain RQ-Kmeans is the paper's baseline, and each scheme after it changes one thing, so that a table of them says what
each part of the paper's tokenizer buys: the falling sizes and the balance (mr), the hash, by the fields hashed, the
hash against a counter, and k-means against a trained quantiser. The last one, ids without content, is the negative
control: no other collides less, so what it cannot do is what content is for.
"""

from __future__ import annotations

from typing import Literal, get_args

from remeasure.errors import UserError

from .business import CounterLevel, Field, HashLevel
from .residual import ResidualKMeans
from .rq_vae import RQVAE
from .tokenizer import MGMRTokenizer

Scheme = Literal["rq", "mr", "mr+business", "mr+item", "mr+counter", "rqvae+counter", "random"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
TITLES: dict[Scheme, str] = {
    "rq": "RQ-Kmeans, three equal plain levels",
    "mr": "three balanced levels, the largest first",
    "mr+business": "two balanced levels, hash of account and conversion type",
    "mr+item": "two balanced levels, hash of the item id",
    "mr+counter": "two balanced levels, collision counter",
    "rqvae+counter": "RQ-VAE of three levels, collision counter (TIGER)",
    "random": "three hashes of the item id, no content",
}
HASHED: dict[Scheme, tuple[Field, ...]] = {
    "mr+business": ("account", "conversion"),
    "mr+item": ("item",),
}


def tokenizer(
    scheme: str, sizes: tuple[int, int, int] = (1024, 256, 64), slack: float = 1.25, iterations: int = 10
) -> MGMRTokenizer:
    """The tokenizer of a scheme. `sizes` falls; equal levels have their geometric mean, rounded.

    A counter has as many codes as the largest bucket needs, so its schemes do not keep to the space. Raises UserError
    for an unknown scheme.
    """
    equal = (round((sizes[0] * sizes[1] * sizes[2]) ** (1 / 3)),) * 3
    two_levels = ResidualKMeans(sizes[:2], slack, iterations)
    match scheme:
        case "rq":
            return MGMRTokenizer(ResidualKMeans(equal, None, iterations))
        case "mr":
            return MGMRTokenizer(ResidualKMeans(sizes, slack, iterations))
        case "mr+business" | "mr+item":
            return MGMRTokenizer(two_levels, (HashLevel(sizes[2], HASHED[scheme]),))
        case "mr+counter":
            return MGMRTokenizer(two_levels, (CounterLevel(),))
        case "rqvae+counter":
            return MGMRTokenizer(RQVAE(equal), (CounterLevel(),))
        case "random":
            return MGMRTokenizer(
                None, tuple(HashLevel(size, ("item",), f"level {level}") for level, size in enumerate(sizes))
            )
    raise UserError(f"the scheme {scheme} is not known; choose one of: {', '.join(SCHEMES)}.")
