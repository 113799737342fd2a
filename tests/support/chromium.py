"""The browser of the tests: Chromium without its windows where it is there, at half the work of one
that draws tabs and menus for nobody."""

import shutil
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
]


def launching() -> dict[str, Any]:
    """The arguments of Playwright's `launch`."""
    program = next(filter(None, map(shutil.which, NAMES)))
    return {"executable_path": program, "args": ARGUMENTS}
