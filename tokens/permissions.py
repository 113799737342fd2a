"""`resolve()`, the single place where directives are combined, and `Grants` on top of it.

Pure. protocol.md section 5: an explicit false wins; a value comes from the most specific entry
that states it; reactions are the union of the lists.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

from tokens.claims import Claims, Entry
from tokens.patterns import Kind

# Names remembered by one `Grants` for each of its three questions; then it starts afresh.
MAX_REMEMBERED = 1024


def _allowed(stated: Sequence[bool]) -> bool | None:
    """Whether all who speak allow it: None when nobody speaks."""
    return all(stated) if stated else None


def _most_specific(stated: Sequence[object]) -> object:
    return stated[0] if stated else None


def _reactions(stated: Sequence[bool | frozenset[str]]) -> Literal[True] | frozenset[str]:
    if False in stated:
        return frozenset()
    if True in stated:
        return True
    return frozenset().union(*(listed for listed in stated if isinstance(listed, frozenset)))


# What is not named here is a boolean.
_COMBINE: dict[str, Callable[..., object]] = {
    "alias": _most_specific,
    "historyStart": _most_specific,
    "react": _reactions,
    "scheduleBefore": _most_specific,
    "store": _most_specific,
}


def resolve(directive: str, entries: Iterable[Entry]) -> Any:
    """What the entries say together; `entries` match, the most specific first.

    Booleans give None where no entry states them, values too; `react` gives True or a frozenset.
    """
    stated = [entry.directives[directive] for entry in entries if directive in entry.directives]
    return _COMBINE.get(directive, _allowed)(stated)


@dataclass(frozen=True, slots=True)
class ChannelRights:
    """What the tokens allow on one channel; `history_start` is in unix seconds.

    `subscribe` already includes the leave that autoSubscribe implies; `refused` is whether it is
    an explicit false, which no other token can overrule.
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

    `publish` is None where nothing is stated: unlike False, that leaves `broadcast` its force.
    `store` is in seconds, 0 for not stored, -1 for ever; `schedule_before` is in unix seconds;
    `react` is True for any reaction.
    """

    publish: bool | None
    broadcast: bool
    echo: bool
    store: int
    react: Literal[True] | frozenset[str]
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

    Names are expected to be valid (`tokens.names`) and channel names real (`real_name`).
    """

    __slots__ = (
        "_aliases",
        "_auto_channels",
        "_channels",
        "_messages",
        "_named",
        "_patterns",
        "_storage",
    )

    def __init__(self, connect: Claims, subscribe: Claims | None = None) -> None:
        # Sorting is stable: at equal rank the subscribe token comes first, then the token's order.
        entries = [*(subscribe.channels if subscribe else ()), *connect.channels]
        entries.sort(key=lambda entry: entry.pattern.rank)
        self._named: dict[str, list[Entry]] = {}
        self._patterns: list[Entry] = []
        self._aliases: dict[str, str] = {}
        for entry in entries:
            if entry.pattern.kind is Kind.EXACT:
                name = entry.pattern.key
                self._named.setdefault(name, []).append(entry)
                if "alias" in entry.directives:
                    self._aliases.setdefault(entry.directives["alias"], name)
            else:
                self._patterns.append(entry)
        self._auto_channels = tuple(
            entry.pattern.key for entry in connect.channels if entry.directives.get("autoSubscribe")
        )
        self._channels: dict[str, ChannelRights] = {}
        self._messages: dict[tuple[str, str], MessageRights] = {}
        self._storage: dict[tuple[str, str], StorageRights] = {}

    def names(self, name: str) -> bool:
        """Whether an entry has exactly this channel name as its key."""
        return name in self._named

    def real_name(self, name: str) -> str:
        """The channel that a client means: a channel named in the token first, then an alias."""
        return name if name in self._named else self._aliases.get(name, name)

    def auto_channels(self) -> tuple[str, ...]:
        """Channels to subscribe to as soon as connected, in the order of the connect token."""
        return self._auto_channels

    def channel(self, name: str) -> ChannelRights:
        rights = self._channels.get(name)
        if rights is None:
            rights = _remember(self._channels, name, _channel_rights(self._matching(name)))
        return rights

    def message(self, channel: str, event: str) -> MessageRights:
        rights = self._messages.get((channel, event))
        if rights is None:
            entries = _nested(self._matching(channel), "messages", event)
            rights = _remember(self._messages, (channel, event), _message_rights(entries))
        return rights

    def storage(self, channel: str, key: str) -> StorageRights:
        rights = self._storage.get((channel, key))
        if rights is None:
            entries = _nested(self._matching(channel), "storage", key)
            rights = _remember(self._storage, (channel, key), _storage_rights(entries))
        return rights

    def may_observe(self, channel: str) -> bool:
        """Whether there can be a storage key of this channel that is observed at all."""
        return any(
            entry.directives.get("observe")
            for matching in self._matching(channel)
            for entry in matching.storage
        )

    def _matching(self, name: str) -> list[Entry]:
        patterns = [entry for entry in self._patterns if entry.pattern.matches(name)]
        return [*self._named.get(name, ()), *patterns]


# Connect claims -> last claims in use -> theirs. As long as the claims live and no longer: what a
# large token says may take half a megabyte.
_shared: WeakKeyDictionary[Claims, WeakKeyDictionary[Claims, Grants]] = WeakKeyDictionary()


def grants(connect: Claims, subscribe: Claims | None = None) -> Grants:
    """The same `Grants` for the same claims, so that connections with one token share one."""
    with_it = _shared.setdefault(connect, WeakKeyDictionary())
    found = with_it.get(subscribe or connect)
    if found is None:
        found = with_it[subscribe or connect] = Grants(connect, subscribe)
    return found


def _remember[K, R](remembered: dict[K, R], name: K, rights: R) -> R:
    if len(remembered) >= MAX_REMEMBERED:
        remembered.clear()
    remembered[name] = rights
    return rights


def _nested(
    channels: Iterable[Entry], kind: Literal["messages", "storage"], name: str
) -> list[Entry]:
    """Entries under `channels` that match `name`: by the channel's rank, then by their own."""
    found = [
        (channel.pattern.rank, entry.pattern.rank, entry)
        for channel in channels
        for entry in (channel.messages if kind == "messages" else channel.storage)
        if entry.pattern.matches(name)
    ]
    found.sort(key=lambda ranked: ranked[:2])
    return [entry for _, _, entry in found]


def _channel_rights(entries: list[Entry]) -> ChannelRights:
    subscribe = resolve("subscribe", entries)
    auto_subscribe = bool(resolve("autoSubscribe", entries))
    return ChannelRights(
        subscribe=auto_subscribe if subscribe is None else subscribe,
        refused=subscribe is False,
        auto_subscribe=auto_subscribe,
        alias=resolve("alias", entries),
        get_info=bool(resolve("getInfo", entries)),
        history_start=resolve("historyStart", entries),
        omit_from_sub_count=bool(resolve("omitFromSubCount", entries)),
        umd_update=bool(resolve("umdUpdate", entries)),
    )


def _message_rights(entries: list[Entry]) -> MessageRights:
    publish = resolve("publish", entries)
    refused = publish is False
    return MessageRights(
        publish=publish,
        broadcast=bool(resolve("broadcast", entries)) and not refused,
        echo=bool(resolve("echo", entries)) and not refused,
        store=resolve("store", entries) or 0,
        react=resolve("react", entries),
        schedule_before=resolve("scheduleBefore", entries),
        emit_pubsub_event=bool(resolve("emitPubSubEvent", entries)) and not refused,
    )


def _storage_rights(entries: list[Entry]) -> StorageRights:
    return StorageRights(
        get=bool(resolve("get", entries)),
        set=bool(resolve("set", entries)),
        observe=bool(resolve("observe", entries)),
        store=resolve("store", entries) or -1,
        schedule_before=resolve("scheduleBefore", entries),
        emit_pubsub_event=bool(resolve("emitPubSubEvent", entries)),
    )
