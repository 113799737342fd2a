"""One connection's state: who it is, what it is subscribed to, what it may do.

Decides; never acts. No Django, no I/O, no clock here. Each `may_…` answers what the act needs to
know, or raises the ProtocolError that its sender is told (protocol.md sections 5, 7 to 9).
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from typing import Final

from tokens.claims import Claims
from tokens.names import is_presence
from tokens.permissions import Grants, MessageRights, grants

from . import events, ids
from .commands import Subscribe
from .errors import ErrorCode, ProtocolError
from .publication import Source
from .restrictions import IsBanned, banned, nobody_is_banned

NOTHING: Final = "null"  # an absent umd, as JSON text
MAX_REMEMBERED: Final = 1024
MAX_SUBSCRIPTIONS: Final = 2000  # of one connection (P6); `autoSubscribe` cannot exceed it


@dataclass(slots=True, eq=False)
class Sender:
    """Who a message is from, and what it may do: a subscription where there is one, else the
    connection. `umd` is JSON text."""

    grants: Grants
    uid: str | None
    umd: str
    meta: bytes

    def set_umd(self, umd: str) -> None:
        self.umd = umd
        self.meta = events.meta(self.uid, umd)


@dataclass(slots=True, eq=False)
class Subscription(Sender):
    """A subscription as granted; `head_id` is the channel's last message id when it began."""

    channel: str
    alias: str | None
    claims: Claims | None  # of its subscribe token
    head_id: str = ""

    def observes(self, key: str) -> bool:
        """Whether changes under this storage key are sent to it."""
        return self.grants.storage(self.channel, key).observe

    def rights(self, event: str) -> MessageRights:
        return self.grants.message(self.channel, event)

    def may_read(self, message_id: str) -> bool:
        """Whether a message of the channel is in its history, or has come live."""
        return message_id > min(self.window_start(), self.head_id)

    def may_react(self, event: str, reaction: str) -> bool:
        """Whether this reaction is allowed on messages of this event."""
        allowed = self.grants.reactions(self.channel, event)
        return allowed is True or reaction in allowed

    def reacting_uid(self) -> str:
        """Raises REACT_PERMISSION_DENIED where there is none."""
        if not self.uid:
            raise ProtocolError(
                ErrorCode.REACT_PERMISSION_DENIED, "Reacting needs a token with a uid."
            )
        return self.uid

    @property
    def reaches_back(self) -> bool:
        """Whether history may hold what is older than this subscription."""
        return self.grants.channel(self.channel).history_start is not None

    def window_start(self) -> str:
        """History reaches back to the ids above this one (protocol.md section 8)."""
        start = self.grants.channel(self.channel).history_start
        return self.head_id if start is None else ids.before_instant(start)


@dataclass(slots=True, eq=False)
class Route:
    """Where a connection's messages of one event in one channel go: found once, and kept for as
    long as its subscriptions stay the same."""

    channel: str  # by its real name
    event: str
    rights: MessageRights
    sender: Sender
    template: events.Template
    # What actions.publishing has decided of its messages; both False: it decides of each.
    is_ephemeral: bool = False
    is_stored: bool = False


NO_NUMBERS: Final[dict[str, int]] = {}
NO_ROUTES: Final[dict[str | None, dict[str, Route]]] = {}  # most connections never publish


class Session(Sender):
    __slots__ = (
        *("claims", "connection_id", "is_banned", "last_numbers", "routes", "source"),
        "subscriptions",
    )

    def __init__(
        self, connection_id: str, claims: Claims, is_banned: IsBanned = nobody_is_banned
    ) -> None:
        uid, umd = claims.uid, claims.umd
        super().__init__(grants(claims), uid, umd, events.meta(uid, umd))
        self.connection_id = connection_id
        self.source = Source("client.websocket", connection_id)
        self.claims = claims
        self.is_banned = is_banned
        self.subscriptions: dict[str, Subscription] = {}
        # By channel: the number that its next ephemeral message must follow (promise P4).
        self.last_numbers = NO_NUMBERS
        self.routes = NO_ROUTES  # by channel, as the client names it, and there by event

    def seen_from(self, source: Source) -> "Session":
        """The same, with the same subscriptions, where its client asks in another way."""
        if self.last_numbers is NO_NUMBERS:
            self.last_numbers = {}  # which both have then
        other = copy(self)
        other.source = source
        other.routes = NO_ROUTES  # the ones of a copy would have its metadata, as it is now
        return other

    def take_on(self, umd: str, channels: Iterable[str], *, own: bool) -> None:
        """Metadata of its subscriptions to these channels and, with `own`, of later ones."""
        if own:
            self.set_umd(umd)
        for channel in channels:
            if channel in self.subscriptions:
                self.subscriptions[channel].set_umd(umd)

    # --- names ------------------------------------------------------------------------------

    def real_name(self, name: str, granted: Grants | None = None) -> str:
        """The channel that a name sent by the client means: itself, or what it is an alias of.

        `granted` is what counts instead of the connect token alone.
        """
        granted = granted or self.grants
        if name in self.subscriptions or granted.names(name):
            return name
        for subscription in self.subscriptions.values():
            if subscription.alias == name:
                return subscription.channel
        return granted.real_name(name)

    def subscription(self, name: str) -> Subscription:
        """The live subscription to a channel, by its name or an alias; raises NOT_SUBSCRIBED."""
        held = self.subscriptions
        subscription = held.get(name) or held.get(self.real_name(name))
        if subscription is None:
            raise ProtocolError(ErrorCode.NOT_SUBSCRIBED, "You are not subscribed to this channel.")
        return subscription

    def sender(self, channel: str) -> Sender:
        """The subscription to this channel where there is one, by its real name; else itself."""
        return self.subscriptions.get(channel, self)

    def writer(self, channel: str, refusal: ErrorCode) -> Sender:
        """As `sender`, for one that writes there; raises where it is banned (section 19)."""
        sender = self.sender(channel)
        if self.is_banned(sender.uid, channel):
            raise banned(refusal)
        return sender

    # --- subscribing ------------------------------------------------------------------------

    def add(self, subscription: Subscription) -> None:
        self.subscriptions[subscription.channel] = subscription
        self.routes = NO_ROUTES

    def remove(self, channel: str) -> None:
        del self.subscriptions[channel]
        self.routes = NO_ROUTES

    def is_bound(self, claims: Claims) -> bool:
        """Whether a subscribe token was made for this connection (protocol.md section 7)."""
        if claims.connection_id is not None:
            return claims.connection_id == self.connection_id
        return bool(claims.uid) and claims.uid == self.uid

    def may_subscribe(self, command: Subscribe, claims: Claims | None) -> Subscription:
        """What subscribing would grant; `claims` are those of the subscribe token, verified."""
        if claims is not None and not self.is_bound(claims):
            raise ProtocolError(
                ErrorCode.INVALID_SUBSCRIBE_TOKEN,
                "data.token must carry this connection's connectionId or its uid.",
            )
        granted = grants(self.claims, claims)
        channel = self.real_name(command.channel, granted)
        if channel in self.subscriptions:
            raise ProtocolError(
                ErrorCode.ALREADY_SUBSCRIBED,
                "You are subscribed to this channel already.",
                channel=channel,
            )
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ProtocolError(
                ErrorCode.RATE_LIMITED,
                f"A connection has at most {MAX_SUBSCRIPTIONS} subscriptions; end another first.",
            )
        subscription = self._granted(channel, granted, claims)
        if is_presence(channel) and not subscription.uid:
            raise ProtocolError(
                ErrorCode.PRESENCE_CHANNEL_USER_ID_REQUIRED,
                "A presence channel needs a token with a uid.",
            )
        if command.occupancy and not granted.channel(channel).get_info:
            raise ProtocolError(
                ErrorCode.INFO_PERMISSION_DENIED, "You may not ask for data.occupancy: no getInfo."
            )
        return subscription

    def _granted(self, channel: str, granted: Grants, claims: Claims | None) -> Subscription:
        rights = granted.channel(channel)
        if not rights.subscribe:
            raise ProtocolError(
                ErrorCode.SUBSCRIBE_PERMISSION_DENIED, "You may not subscribe to this channel."
            )
        uid, umd = self.uid, self.umd
        if claims is not None:
            uid = uid if claims.uid is None else claims.uid
            umd = umd if claims.umd == NOTHING else claims.umd
        if self.is_banned(uid, channel):
            raise banned(ErrorCode.SUBSCRIBE_PERMISSION_DENIED)
        same = uid == self.uid and umd == self.umd
        meta = self.meta if same else events.meta(uid, umd)
        return Subscription(granted, uid, umd, meta, channel, rights.alias, claims)

    def resume(self, channel: str, claims: Claims | None, head_id: str, umd: str) -> None:
        """Takes up a subscription that was granted before, as its row tells."""
        subscription = self._granted(channel, grants(self.claims, claims), claims)
        subscription.head_id = head_id
        subscription.set_umd(umd)
        self.add(subscription)

    # --- publishing -------------------------------------------------------------------------

    def follow(self, channel: str, number: int) -> None:
        """Its ephemeral messages from now on stay behind this change (promise P4)."""
        numbers = self.last_numbers
        if number <= numbers.get(channel, 0):
            return
        if numbers is NO_NUMBERS:
            numbers = self.last_numbers = {}
        elif len(numbers) >= MAX_REMEMBERED and channel not in numbers:
            del numbers[next(iter(numbers))]
        numbers[channel] = number

    def route(self, name: str, event: str) -> Route:
        """By valid names; raises where the event may not be published."""
        route = self.routes.get(name, {}).get(event)
        if route is None:
            channel = self.real_name(name)
            rights, sender = self.may_publish(channel, event)
            template = events.Template(event, channel)
            route = Route(channel, event, rights, sender, template)
            if not self.routes or sum(map(len, self.routes.values())) >= MAX_REMEMBERED:
                self.routes = {}
            self.routes.setdefault(name, {})[event] = route
        return route

    def may_publish(self, channel: str, event: str) -> tuple[MessageRights, Sender]:
        """The rights under which a message is published, and as whose."""
        sender = self.writer(channel, ErrorCode.PUBLISH_PERMISSION_DENIED)
        rights = sender.grants.message(channel, event)
        if rights.broadcast or (rights.publish and sender is not self):
            return rights, sender
        if rights.publish and not self.grants.channel(channel).refused:
            raise ProtocolError(
                ErrorCode.NOT_SUBSCRIBED, "Subscribe to this channel before publishing to it."
            )
        raise ProtocolError(
            ErrorCode.PUBLISH_PERMISSION_DENIED, "You may not publish this event on this channel."
        )
