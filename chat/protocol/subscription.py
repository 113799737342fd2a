"""A subscription as it was granted, and the way of what is published. Only shapes here."""

from dataclasses import dataclass
from typing import Protocol

from tokens.claims import Claims
from tokens.permissions import Grants, MessageRights

from . import events


class Sender(Protocol):
    """Who a message is from: a subscription where there is one, else the connection."""

    uid: str | None
    umd: str
    meta: bytes


@dataclass(slots=True, eq=False)
class Subscription:
    """A subscription as granted; `head_id` is the channel's last message id when it began."""

    channel: str
    grants: Grants
    uid: str | None
    umd: str
    alias: str | None
    claims: Claims | None  # of its subscribe token
    meta: bytes
    head_id: str = ""

    def observes(self, key: str) -> bool:
        """Whether it is told of what changes under this storage key."""
        return self.grants.storage(self.channel, key).observe

    def set_umd(self, umd: str) -> None:
        """`umd` is JSON text."""
        self.umd = umd
        self.meta = events.meta(self.uid, umd)


@dataclass(slots=True, eq=False)
class Route:
    """What publishing an event under a name for a channel comes to: found once, and then known
    for as long as the subscriptions stay the same."""

    channel: str  # by its real name
    event: str
    rights: MessageRights
    sender: Sender
    template: events.Template
    stores: bool
    passes: bool  # it is told to those who listen now, and to nobody else
