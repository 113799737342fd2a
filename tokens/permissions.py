"""What the directives of all matching entries allow together: `Grants` (protocol.md section 5).

Pure. The only place where directives are combined: an explicit false wins; a value comes from the
most specific entry that states it; reactions are the union of the lists.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from sys import getsizeof
from typing import Literal
from weakref import WeakValueDictionary

from tokens.claims import Claims, Entry
from tokens.names import is_channel_name
from tokens.patterns import Kind

# Bytes of memory that one `Grants` remembers of channels, events and storage keys; then it starts
# afresh. The rights of one take about so many beside its names.
MAX_REMEMBERED_BYTES = 256 * 1024
BYTES_OF_RIGHTS = 250
MAX_REMEMBERED_REACTIONS = 100


@dataclass(frozen=True, slots=True)
class ChannelRights:
    """What the tokens allow on one channel; `history_start` is in unix seconds.

    autoSubscribe implies `subscribe`. `refused`: an explicit false, which no other token overrules.
    """

    subscribe: bool
    refused: bool
    auto_subscribe: bool
    alias: str | None
    get_info: bool
    history_start: float | None
    omit_from_sub_count: bool
    umd_update: bool


@dataclass(frozen=True, slots=True)
class MessageRights:
    """What the tokens allow for one event on one channel.

    `publish` is None where no entry states it: `broadcast` then still counts; with False it does
    not. `store` is in seconds, 0: not stored, -1: for ever; `schedule_before` is in unix seconds.
    """

    publish: bool | None
    broadcast: bool
    echo: bool
    store: int
    schedule_before: float | None
    emit_pubsub_event: bool


@dataclass(frozen=True, slots=True)
class StorageRights:
    """What the tokens allow for one storage key of one channel; units as in `MessageRights`."""

    get: bool
    set: bool
    observe: bool
    store: int
    schedule_before: float | None
    emit_pubsub_event: bool


class Grants:
    """The permissions of a connect token or, with a subscribe token, of one subscription.

    Expects valid names (`tokens.names`), and channels by their real names (`real_name`).
    """

    __slots__ = (
        "__weakref__",
        "_aliases",
        "_auto_channels",
        "_channels",
        "_messages",
        "_named",
        "_patterns",
        "_reactions",
        "_remembered",
        "_storage",
    )

    def __init__(self, connect: Claims, subscribe: Claims | None = None) -> None:
        # At equal rank the subscribe token's entries come first, and those of one token keep their
        # order.
        tokens = [subscribe, connect] if subscribe else [connect]
        self._named: list[dict[str, Entry]] = [{} for _ in tokens]
        self._patterns: list[Entry] = []
        self._aliases: dict[str, str] = {}
        for token, named in zip(tokens, self._named, strict=True):
            for entry in token.channels:
                if entry.pattern.kind is not Kind.EXACT:
                    self._patterns.append(entry)
                    continue
                named[entry.pattern.key] = entry
                # No name leads to what is no channel's: one such is the server's own (chat.live).
                if "alias" in entry.directives and is_channel_name(entry.pattern.key):
                    self._aliases.setdefault(str(entry.directives["alias"]), entry.pattern.key)
        self._patterns.sort(key=lambda entry: entry.pattern.rank)
        self._auto_channels = tuple(
            entry.pattern.key for entry in connect.channels if entry.directives.get("autoSubscribe")
        )
        self._channels: dict[str, ChannelRights] = {}
        self._messages: dict[tuple[str, str], MessageRights] = {}
        self._reactions: dict[tuple[str, str], Literal[True] | frozenset[str]] = {}
        self._storage: dict[tuple[str, str], StorageRights] = {}
        self._remembered = 0  # bytes

    def names(self, name: str) -> bool:
        """Whether an entry has this channel name as its key."""
        return any(name in named for named in self._named)

    def real_name(self, name: str) -> str:
        """The channel of an alias; a channel that a token names takes precedence over an alias."""
        return name if self.names(name) else self._aliases.get(name, name)

    def auto_channels(self) -> tuple[str, ...]:
        """The channels to subscribe to on connecting, in the order of the connect token."""
        return self._auto_channels

    def channel(self, name: str) -> ChannelRights:
        rights = self._channels.get(name)
        if rights is None:
            rights = _channel_rights(self._matching(name))
            self._make_room(name)
            self._channels[name] = rights
        return rights

    def message(self, channel: str, event: str) -> MessageRights:
        rights = self._messages.get((channel, event))
        if rights is None:
            rights = _message_rights(self._nested("messages", channel, event))
            self._make_room(channel, event)
            self._messages[channel, event] = rights
        return rights

    def reactions(self, channel: str, event: str) -> Literal[True] | frozenset[str]:
        """The reactions allowed on messages of this event; True: any."""
        allowed = self._reactions.get((channel, event))
        if allowed is None:
            allowed = _reactions(self._nested("messages", channel, event))
            listed = () if allowed is True else allowed
            if len(listed) <= MAX_REMEMBERED_REACTIONS:  # of more a list may take half a megabyte
                self._make_room(channel, event, *listed)
                self._reactions[channel, event] = allowed
        return allowed

    def storage(self, channel: str, key: str) -> StorageRights:
        rights = self._storage.get((channel, key))
        if rights is None:
            rights = _storage_rights(self._nested("storage", channel, key))
            self._make_room(channel, key)
            self._storage[channel, key] = rights
        return rights

    def may_observe(self, channel: str) -> bool:
        """Whether some entry allows to observe storage keys of this channel."""
        return any(
            entry.directives.get("observe")
            for matching in self._matching(channel)
            for entry in matching.storage
        )

    def _matching(self, name: str) -> list[Entry]:
        named = [entries[name] for entries in self._named if name in entries]
        return named + [entry for entry in self._patterns if entry.pattern.matches(name)]

    def _nested(self, kind: Literal["messages", "storage"], channel: str, name: str) -> list[Entry]:
        """The entries in a channel's that match `name`, by their channel's rank, then their own."""
        found = [
            (matching.pattern.rank, entry.pattern.rank, entry)
            for matching in self._matching(channel)
            for entry in (matching.messages if kind == "messages" else matching.storage)
            if entry.pattern.matches(name)
        ]
        found.sort(key=lambda ranked: ranked[:2])
        return [entry for _, _, entry in found]

    def _make_room(self, *names: str) -> None:
        taken = sum(map(getsizeof, names)) + BYTES_OF_RIGHTS
        self._remembered += taken
        if self._remembered > MAX_REMEMBERED_BYTES:
            for remembered in (self._channels, self._messages, self._reactions, self._storage):
                remembered.clear()
            self._remembered = taken


# Those in use, by the claims of connect and subscribe token: what one remembers goes with the last
# connection that uses it.
_shared: WeakValueDictionary[tuple[Claims, Claims | None], Grants] = WeakValueDictionary()


def grants(connect: Claims, subscribe: Claims | None = None) -> Grants:
    """The same `Grants` for the same claims: connections with the same token share them."""
    found = _shared.get((connect, subscribe))
    if found is None:
        found = _shared[connect, subscribe] = Grants(connect, subscribe)
    return found


def _flag(directive: str, entries: Iterable[Entry]) -> bool | None:
    """False where any entry states false, else True where one states true; None: none states it."""
    stated = [entry.directives[directive] for entry in entries if directive in entry.directives]
    return all(stated) if stated else None


def _allowed(directive: str, entries: Iterable[Entry]) -> bool:
    return _flag(directive, entries) is True


def _value[T](directive: str, kind: type[T], entries: Iterable[Entry]) -> T | None:
    """The first value that is stated: `entries` have the most specific first."""
    for entry in entries:
        value = entry.directives.get(directive)
        if isinstance(value, kind):
            return value
    return None


def _reactions(entries: Iterable[Entry]) -> Literal[True] | frozenset[str]:
    stated = [entry.directives["react"] for entry in entries if "react" in entry.directives]
    if False in stated:
        return frozenset()
    if True in stated:
        return True
    return frozenset().union(*(listed for listed in stated if isinstance(listed, tuple)))


def _channel_rights(entries: list[Entry]) -> ChannelRights:
    subscribe = _flag("subscribe", entries)
    auto_subscribe = _allowed("autoSubscribe", entries)
    return ChannelRights(
        subscribe=auto_subscribe if subscribe is None else subscribe,
        refused=subscribe is False,
        auto_subscribe=auto_subscribe,
        alias=_value("alias", str, entries),
        get_info=_allowed("getInfo", entries),
        history_start=_value("historyStart", float, entries),
        omit_from_sub_count=_allowed("omitFromSubCount", entries),
        umd_update=_allowed("umdUpdate", entries),
    )


def _message_rights(entries: list[Entry]) -> MessageRights:
    publish = _flag("publish", entries)
    refused = publish is False
    return MessageRights(
        publish=publish,
        broadcast=not refused and _allowed("broadcast", entries),
        echo=not refused and _allowed("echo", entries),
        store=_value("store", int, entries) or 0,
        schedule_before=_value("scheduleBefore", float, entries),
        emit_pubsub_event=not refused and _allowed("emitPubSubEvent", entries),
    )


def _storage_rights(entries: list[Entry]) -> StorageRights:
    return StorageRights(
        get=_allowed("get", entries),
        set=_allowed("set", entries),
        observe=_allowed("observe", entries),
        store=_value("store", int, entries) or -1,
        schedule_before=_value("scheduleBefore", float, entries),
        emit_pubsub_event=_allowed("emitPubSubEvent", entries),
    )
