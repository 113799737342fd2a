"""tests/wire/test_reactions.py, through nginx."""

from tests.wire.test_reactions import *  # noqa: F403
