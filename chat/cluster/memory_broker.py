"""The broker of a site of a single process, and what a node's broker is."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from chat.fanout.announcements import Announcement
from chat.fanout.hub import BrokerStatus, Hub

if TYPE_CHECKING:
    from chat.cluster.redis_broker import RedisBroker

Handlers = Mapping[str, Callable[..., object]]
"""What is called for a notification of each kind, with its fields."""

type NodeBroker = MemoryBroker | RedisBroker


class MemoryBroker:
    """There are no other processes: it does nothing."""

    status: BrokerStatus = BrokerStatus.SINGLE_PROCESS

    def announce(self, announcement: Announcement) -> None: ...
    async def subscribe(self, channel: str) -> None: ...
    def unsubscribe(self, channel: str) -> None: ...
    async def start(self, hub: Hub, check: Callable[[], object], handlers: Handlers) -> None: ...
    async def stop(self) -> None: ...
    def notify(self, kind: str, *fields: object) -> None: ...
