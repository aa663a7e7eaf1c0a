"""Where this package lies: the one place from which every path inside it begins."""

from pathlib import Path

PACKAGE = Path(__file__).absolute().parent
