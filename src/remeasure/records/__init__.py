"""What is written: records, their store, where a number comes from."""

from .record import TWIN_SUFFIX

__all__ = ["TWIN_SUFFIX"]
