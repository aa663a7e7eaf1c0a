"""Papers claim; remeasure measures again and says, claim by claim, what held."""

from typing import TYPE_CHECKING, Any

from .package import PACKAGE as PACKAGE

if TYPE_CHECKING:
    from .api import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`remeasure.load` brings pandas with it, so it is imported when it is asked for."""
    if name == "load":
        from .api import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
