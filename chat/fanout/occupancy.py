"""Who in this process is told how many subscribe to a channel (protocol.md section 19). On the
event loop; whoever counts is above."""

from dataclasses import dataclass, field
from typing import Final

from chat.fanout.send_queue import SendQueue
from chat.protocol import events

LARGE: Final = 1000  # subscriptions; of more it is told more seldom
LARGE_SECONDS: Final = 10.0


@dataclass(slots=True, eq=False)
class Follower:
    """A connection, and what it was told last."""

    send_queue: SendQueue
    told: int


@dataclass(slots=True, eq=False)
class Followed:
    """A channel's followers by connection. `due_at`: when to count again, by the loop's clock."""

    followers: dict[str, Follower] = field(default_factory=dict)
    due_at: float = 0.0


class Followers:
    """Those of all channels."""

    def __init__(self) -> None:
        self._channels: dict[str, Followed] = {}

    def __bool__(self) -> bool:
        return bool(self._channels)

    def add(self, channel: str, connection_id: str, follower: Follower) -> None:
        followed = self._channels.setdefault(channel, Followed())
        followed.followers[connection_id] = follower

    def remove(self, channel: str, connection_id: str) -> None:
        followed = self._channels.get(channel)
        if followed is None:
            return
        followed.followers.pop(connection_id, None)
        if not followed.followers:
            del self._channels[channel]

    def due(self, now: float) -> list[str]:
        """The channels to be counted."""
        return [name for name, followed in self._channels.items() if followed.due_at <= now]

    def tell(self, channel: str, count: int, now: float) -> None:
        """Those who were told something else."""
        followed = self._channels.get(channel, Followed())
        followed.due_at = now + LARGE_SECONDS if count > LARGE else now
        event = events.channel_updated(channel, count)
        for follower in followed.followers.values():
            if follower.told != count:
                follower.told = count
                follower.send_queue.push(event)
