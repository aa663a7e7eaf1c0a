"""Write the golden files anew: `python tests/report/regenerate.py`. Read the diff before it is committed."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def golden() -> dict[str, str]:
    """Name of a golden file → what the code writes today."""
    from remeasure.report.html import page
    from remeasure.report.markdown import markdown
    from report.sample import sample, small

    return {"report.md": markdown(sample()), "index.html": page(small())}


def main() -> None:
    for name, text in golden().items():
        (HERE / "golden" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parent)]
    main()
