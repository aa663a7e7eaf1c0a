"""Data sets: which copy of one serves, whether it is what its card says, how it is fetched."""

from .sources import open_data, resolve, simulator

__all__ = ["open_data", "resolve", "simulator"]
