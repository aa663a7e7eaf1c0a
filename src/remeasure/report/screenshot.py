"""A picture of the report for the README, for developers: needs playwright and a Chromium on the PATH.

`python -m remeasure.report.screenshot site/index.html docs/report.png`
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from ..errors import UserError

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def take(
    page: Path, image: Path, *, width: int = 1360, height: int = 900, dark: bool = False, whole: bool = False
) -> None:
    """Photograph a page in a headless Chromium."""
    chromium = shutil.which("chromium")
    if not chromium:
        raise UserError("No chromium is on the PATH; install it (Debian: apt install chromium).")
    from playwright.sync_api import sync_playwright

    image.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        try:
            tab = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                device_scale_factor=1,
            )
            tab.goto(page.resolve().as_uri())
            tab.screenshot(path=str(image), full_page=whole)
        finally:
            browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Photograph the first screen of a report.")
    parser.add_argument("page", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--width", type=int, default=1360)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="the whole page, not the first screen")
    given = parser.parse_args()
    take(given.page, given.image, width=given.width, height=given.height, dark=given.dark, whole=given.whole)


if __name__ == "__main__":
    main()
