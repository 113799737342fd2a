"""Finds what other processes committed without an announcement that arrived here (P3).

On SQLite after each change of its count of commits, which costs 3 µs to read; on PostgreSQL by
reading every so often the numbers of the channels with subscribers here (design.md section 4).
"""

from typing import Final

from django.db import connection

from chat.fanout.hub import BrokerStatus, Hub
from chat.models import Channel
from chat.store.reads import read

CHECK_SECONDS: Final = 2.0
CONNECTED_CHECK_SECONDS: Final = 25.0  # finds what the broker loses at the tail of a channel
MAX_NAMES: Final = 10_000  # in one query; databases take some 32 thousand parameters


async def check_heads(hub: Hub) -> float | None:
    """Returns the seconds until the next check is due, None where it is due once another process
    has committed something. Raises SERVICE_UNAVAILABLE."""
    channels = hub.channels()
    for start in range(0, len(channels), MAX_NAMES):
        hub.check(await read(heads, channels[start : start + MAX_NAMES]))
    status = hub.broker.status
    if status is BrokerStatus.CONNECTED:
        return CONNECTED_CHECK_SECONDS
    if status is BrokerStatus.SINGLE_PROCESS and connection.vendor == "sqlite":
        return None
    return CHECK_SECONDS


def heads(channels: list[str]) -> list[tuple[str, int]]:
    """The channels that hold something durable, each with its number."""
    return list(Channel.objects.filter(name__in=channels).values_list("name", "number"))
