"""Waiting for what the test cannot be told of."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_SECONDS = 90.0  # for what is waited for; what is promised within a time is measured


async def until(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Returns when it holds; fails, and says `what` did not happen, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.005)
