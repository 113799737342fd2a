"""tests/wire/test_messages.py, through nginx."""

from tests.wire.test_messages import *  # noqa: F403
