"""Every number of the simulated world that no request sets. They are ours, chosen for tests to be telling."""

from __future__ import annotations

from dataclasses import dataclass

CONVERSIONS = ("visit", "lead", "install", "purchase")
"""Types of conversion, the rarest last."""


@dataclass(frozen=True)
class Constants:
    """The world's laws; the defaults are the world that is studied."""

    topics: int = 24
    dim: int = 16
    """Latent dimensions of ads and users."""
    ad_topics: float = 0.03
    """Dirichlet concentration of an ad's mixture of topics, small: mostly one topic."""
    ad_spread: float = 0.1
    """Standard deviation of what is an ad's own in its latent vector, in each dimension."""
    click_base: float = -4.0
    click_gain: float = 5.0
    """pCTR = logistic(base + gain · ⟨user, ad⟩ + the ad's popularity); both vectors have length 1."""
    popularity: float = 0.5
    """Standard deviation of popularity, in logits."""
    bid_spread: float = 0.5
    """Standard deviation of an ad's own part of the log bid."""
    account_spread: float = 0.6
    """Standard deviation of an account's part of the log bid."""
    account_skew: float = 0.7
    """Accounts have ads in proportion to 1 / rank to this power."""
    type_bid: tuple[float, ...] = (0.0, 0.7, 1.4, 2.1)
    """A conversion type's part of the log bid."""
    type_pcvr: tuple[float, ...] = (0.30, 0.15, 0.08, 0.03)
    """Probability that a click converts, by type; it is known when an ad is served, as the bid is."""
    user_value: float = 0.5
    """Standard deviation of a user's log value, which multiplies the eCPM of every ad."""
    ecpm_scale: float = 0.05
    """Unit of eCPM: it is 1000 · bid · pCTR · pCVR · user value times this."""
    content_dim: int = 24
    content_noise: float = 0.3
    """Standard deviation of the noise on every part of an ad's content vector."""
    candidates: int = 60
    """Random ads that the logging cascade ranks for a request."""
    slate: int = 8
    """Ads it shows."""
    logging_noise: float = 0.78
    """Scale of the Gumbel noise on the cascade's log eCPM (its standard deviation is 1.28 times that). It sets how much
    there is left to learn from the log; it is chosen on worlds of seeds from 100 on, never on those that are shown."""
    ecpm_noise: float = 0.2
    """Standard deviation of the log of the logged eCPM over the true one; the mean is right."""
    days: float = 30.0
    """Days over which the log's requests are spread."""
    day_requests: int = 5_000
    """Requests of a day of the online loop."""
    drift: float = 0.1
    """Share of a user's mixture that a day replaces by a draw from the flat Dirichlet law."""
    replaced: float = 0.05
    """Share of the ads on offer that a day replaces."""
