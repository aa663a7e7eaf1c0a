"""The truth of the simulated world: rates, eCPM, the best lists, and what a list earns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from remeasure.datasets.common.interactions import Items

from .constants import CONVERSIONS, Constants

BLOCK = 4_000_000
"""User-ad pairs that are looked at together, so that memory stays small."""


@dataclass(frozen=True, eq=False)
class Ads:
    """All ads there ever were, N; a place never means another ad later."""

    latent: np.ndarray
    """float64 [N, dim], of length 1. Hidden."""
    popularity: np.ndarray
    """float64 [N], in logits. Hidden."""
    content: np.ndarray
    """float32 [N, content_dim], a noisy linear image of `latent`; neither account nor conversion type is in it."""
    account: np.ndarray
    """int64 [N]."""
    conversion: np.ndarray
    """int64 [N], places in CONVERSIONS."""
    bid: np.ndarray
    """float64 [N], above 0; known when an ad is served."""

    def __len__(self) -> int:
        return len(self.bid)

    def followed_by(self, more: Ads) -> Ads:
        """These ads, then `more`."""
        return Ads(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in vars(self)))


@dataclass(frozen=True, eq=False)
class World:
    """What is true on one day."""

    constants: Constants
    topics: np.ndarray
    """float64 [topics, dim], of length 1."""
    image: np.ndarray
    """float64 [dim, content_dim], from latent vectors to content."""
    account_bid: np.ndarray
    """float64 [accounts], an account's part of the log bid."""
    ads: Ads
    live: np.ndarray
    """int64 [L], places of the ads on offer, ascending."""
    mixture: np.ndarray
    """float64 [U, topics], the users' tastes; rows sum to 1. Hidden."""
    user_value: np.ndarray
    """float64 [U], above 0."""

    @cached_property
    def taste(self) -> np.ndarray:
        """float64 [U, dim], the users' latent vectors, of length 1."""
        return unit(self.mixture @ self.topics)

    @cached_property
    def pcvr(self) -> np.ndarray:
        """float64 [N], probability that a click on the ad converts; known when it is served."""
        rates: np.ndarray = np.asarray(self.constants.type_pcvr)[self.ads.conversion]
        return rates

    def pctr(self, users: np.ndarray, ads: np.ndarray) -> np.ndarray:
        """float64 [Q, k], for users int64 [Q] and ads int64 [Q, k]."""
        affinity = np.einsum("qd,qkd->qk", self.taste[users], self.ads.latent[ads])
        return self._clicks(affinity, ads)

    def pctr_of_live(self, users: np.ndarray) -> np.ndarray:
        """float64 [Q, L], for all ads on offer."""
        return self._clicks(self.taste[users] @ self.ads.latent[self.live].T, self.live)

    def ecpm(self, users: np.ndarray, ads: np.ndarray) -> np.ndarray:
        """float64 [Q, k], the true eCPM."""
        ecpm: np.ndarray = self.pctr(users, ads) * self.worth(ads) * self.user_value[users][:, None]
        return ecpm

    def ecpm_of_live(self, users: np.ndarray) -> np.ndarray:
        """float64 [Q, L], the true eCPM of all ads on offer."""
        ecpm: np.ndarray = self.pctr_of_live(users) * self.worth(self.live) * self.user_value[users][:, None]
        return ecpm

    def worth(self, ads: np.ndarray) -> np.ndarray:
        """float64 like `ads`: eCPM over pCTR and user value, known when an ad is served."""
        worth: np.ndarray = 1000.0 * self.constants.ecpm_scale * self.ads.bid[ads] * self.pcvr[ads]
        return worth

    def oracle(self, users: np.ndarray, size: int = 10) -> np.ndarray:
        """int64 [Q, size], the ads on offer of the highest true eCPM, best first: no list earns more."""
        found = [np.zeros((0, size), dtype=np.int64)]
        for some in np.array_split(users, max(1, len(users) * len(self.live) // BLOCK)):
            ecpm = self.ecpm_of_live(some)
            top = np.argpartition(-ecpm, size - 1, axis=1)[:, :size]
            order = np.argsort(-np.take_along_axis(ecpm, top, axis=1), axis=1, kind="stable")
            found.append(self.live[np.take_along_axis(top, order, axis=1)])
        return np.concatenate(found)

    def revenue(self, users: np.ndarray, lists: np.ndarray) -> np.ndarray:
        """float64 [Q], the true eCPM of lists int64 [Q, k], each divided by log2(1 + rank) and added up.

        Places of -1 and of ads no longer on offer earn nothing; an ad stands once in a list.
        """
        offered = np.append(np.zeros(len(self.ads), dtype=bool), False)
        offered[self.live] = True
        earned = np.where(offered[lists], self.ecpm(users, lists), 0.0)
        total: np.ndarray = (earned / np.log2(np.arange(2, lists.shape[1] + 2))).sum(axis=1)
        return total

    def items(self) -> Items:
        """The ads as models see them; all there ever were."""
        return Items(
            ids=np.char.add("ad", np.arange(len(self.ads)).astype(str)),
            text=np.full(len(self.ads), "", dtype=object),
            account=self.ads.account,
            accounts=np.char.add("account", np.arange(len(self.account_bid)).astype(str)),
            conversion=self.ads.conversion,
            conversions=CONVERSIONS,
            vectors=self.ads.content,
        )

    def _clicks(self, affinity: np.ndarray, ads: np.ndarray) -> np.ndarray:
        laws = self.constants
        logit = laws.click_base + laws.click_gain * affinity + self.ads.popularity[ads]
        rate: np.ndarray = 1.0 / (1.0 + np.exp(-logit))
        return rate


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
