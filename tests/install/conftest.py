"""The wheel, and environments that have it: once for all projects."""

from pathlib import Path

import pytest

from tests.install.projects import build, environment
from tests.support.shared import once


@pytest.fixture(scope="session")
def wheel() -> Path:
    [wheel] = once("wheel", build).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def python(wheel: Path) -> Path:
    made = once("environment", lambda directory: environment(directory / "venv", wheel))
    return made / "venv" / "bin" / "python"
