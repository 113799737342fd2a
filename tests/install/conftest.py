"""The wheel, and an environment that has it: once for all projects; and a browser."""

from pathlib import Path

import pytest

from tests.install.projects import build, environment
from tests.support.browser import browser, open_page
from tests.support.shared import once

__all__ = ["browser", "open_page"]


@pytest.fixture(scope="session")
def wheel() -> Path:
    [wheel] = once("wheel", build).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def python(wheel: Path) -> Path:
    made = once("environment", lambda directory: environment(directory / "venv", wheel))
    return made / "venv" / "bin" / "python"
