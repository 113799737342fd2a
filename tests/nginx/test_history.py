"""tests/wire/test_history.py, through nginx."""

from tests.wire.test_history import *  # noqa: F403
