"""Fixtures for pytest: `pytest_plugins = ["chat.pytest_plugin"]` in a project's conftest.py."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from chat.testing import Publications
    from chat.testserver import Serving


@pytest.fixture
def publications() -> "Iterator[Publications]":
    """What the test publishes, recorded (`chat/testing.py`)."""
    from chat.testing import recording  # needs Django's settings

    with recording() as publications:
        yield publications


@pytest.fixture
def chat_server(transactional_db: None) -> "Iterator[Serving]":
    """The project's server, with its `url` and `websocket_url` (`chat/testserver.py`)."""
    from chat.testserver import serving

    with serving() as server:
        yield server
