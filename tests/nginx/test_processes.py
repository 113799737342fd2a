"""tests/wire/test_processes.py, through nginx."""

from tests.wire.test_processes import *  # noqa: F403
