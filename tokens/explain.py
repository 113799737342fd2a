"""A token in plain words: one sentence for each claim and directive.

Pure. One table for each object of a token, like `tokens.directives`; a test compares the two, so
that no directive is left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from tokens import directives
from tokens.claims import Claims, Entry
from tokens.names import MAX_CHANNEL_NAME_LENGTH
from tokens.patterns import REGEX_PREFIX, Kind, Pattern
from tokens.strict_json import Json, dumps, loads, printable

type Words = Callable[..., str]
"""Makes a sentence of a value and of the names that it applies to, the innermost first."""

USES: Final = {
    "connect": "to open a connection",
    "subscribe": "to subscribe",
    "umd": "to change metadata",
}
UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def explain(claims: Claims) -> Iterator[str]:
    """A sentence for each claim, then for each directive in the token's order, then for each
    unknown name: the server ignores it, and it is probably misspelt."""
    for name, words in CLAIMS.items():
        value = getattr(claims, name)
        if value is not None and value is not False and value not in ((), "null"):
            yield words(value)
    for entry in claims.channels:
        place = _named("channel", entry.pattern)
        yield from _sentences(CHANNEL, entry, place)
        for message in entry.messages:
            yield from _sentences(MESSAGE, message, _named("event", message.pattern), place)
        for stored in entry.storage:
            yield from _sentences(STORAGE, stored, _named("storage key", stored.pattern), place)
    for name in _unknown(loads(claims.payload.encode()), directives.CLAIMS):
        yield f"{name} is not known here and has no effect."


def _sentences(table: Mapping[str, Words], entry: Entry, *names: str) -> Iterator[str]:
    for directive, value in entry.directives.items():
        yield table[directive](value, *names)


def _unknown(document: Json, known: directives.Rules, path: str = "") -> Iterator[str]:
    """The paths of names that are neither claims nor directives; first those of `document`."""
    if not isinstance(document, dict):  # null
        return
    yield from (f"{path}{name}" for name in document if name not in known)
    for name, rules in directives.ENTRIES.items():
        keyed = document.get(name)
        if name in known and isinstance(keyed, dict):
            for key, entry in keyed.items():
                yield from _unknown(entry, rules, f"{path}{name}[{_key(key)}].")


def _key(text: str) -> str:
    """A name stands in each sentence about its entries: of one that is too long, the beginning."""
    limit = MAX_CHANNEL_NAME_LENGTH
    return _quoted(text if len(text) <= limit else f"{text[:limit]}…")


def _named(noun: str, pattern: Pattern) -> str:
    if pattern.kind is Kind.EXACT:
        return f"the {noun} {_key(pattern.key)}"
    if pattern.kind is Kind.REGEX:
        expression = _key(pattern.key.removeprefix(REGEX_PREFIX))
        return f"{noun}s that match the regular expression {expression}"
    return f"{noun}s that fit {_key(pattern.key)}" if pattern.key.strip("*") else f"every {noun}"


# --- values -------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return printable(dumps(text))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(_quoted, sorted(values)))


def _instant(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: int) -> str:
    size, unit = next(unit for unit in UNITS if seconds % unit[0] == 0)
    count = seconds // size
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def _stored(seconds: int) -> str:
    return {0: "not stored", -1: "kept for ever"}.get(seconds) or f"kept for {_duration(seconds)}"


# --- sentences ----------------------------------------------------------------------------------


def _says(sentence: str, words: Callable[..., str] = str) -> Words:
    return lambda value, *names: sentence.format(*names, value=words(value))


def _flag(sentence: str) -> Words:
    return lambda value, *names: sentence.format(*names, never="" if value else "never ")


def _uses(scope: frozenset[str]) -> str:
    return " and ".join(words for name, words in USES.items() if name in scope)


def _history(start: float, channel: str) -> str:
    since = f"the history of {channel} since {_instant(start)}"
    return f"It may read {since if start else f'the whole history of {channel}'}."


def _omitted(omitted: bool, channel: str) -> str:
    return f"It is {'not ' if omitted else ''}counted among those who listen to {channel}."


def _publish(allowed: bool, event: str, channel: str) -> str:
    if not allowed:
        return f"It may never publish {event} on {channel}."
    return f"It may publish {event} on {channel} while it is subscribed."


def _react(reactions: bool | tuple[str, ...], event: str, channel: str) -> str:
    if not reactions:
        return f"It may not react to {event} on {channel}."
    what = _listed(set(reactions)) if isinstance(reactions, tuple) else "anything"
    return f"It may react to {event} on {channel} with {what}."


CLAIMS: Final[Mapping[str, Words]] = {
    "scope": _says("It may be used {value}.", _uses),
    "uid": _says("Its bearer is {value}.", _quoted),
    "umd": _says("Its bearer's metadata is {value}.", printable),
    "exp": _says("It may be used until {value}.", _instant),
    "nbf": _says("It may not be used before {value}.", _instant),
    "iat": _says("It was issued at {value}.", _instant),
    "aud": _says("It is meant for {value}.", _listed),
    "iss": _says("It was issued by {value}.", _quoted),
    "jti": _says("It has an id of its own (jti)."),
    "single_use": _says("It may be used once."),
    "connection_id": _says("Only the connection {value} may use it.", _quoted),
    "keep_alive": _says("Its connection is kept from idling out."),
    "heartbeat_timeout": _says(
        "Its connection is closed where {value} pass without a heartbeat.", _duration
    ),
    "umd_update": _says("It may change the metadata of the connection."),
    "umd_propagate": _says("What it changes holds for all subscriptions of the connection."),
}
CHANNEL: Final[Mapping[str, Words]] = {
    "subscribe": _flag("It may {never}subscribe to {0}."),
    "autoSubscribe": _flag("It is {never}subscribed to {0} as soon as it is connected."),
    "alias": _says("It may call {0} by the name {value}.", _quoted),
    "getInfo": _flag("It may {never}ask how many listen to {0}."),
    "historyStart": _history,
    "omitFromSubCount": _omitted,
    "umdUpdate": _flag("It may {never}change the metadata of the subscription to {0}."),
}
MESSAGE: Final[Mapping[str, Words]] = {
    "publish": _publish,
    "broadcast": _flag("It may {never}publish {0} on {1} without being subscribed."),
    "echo": _flag("It {never}gets its own copy of what it publishes as {0} on {1}."),
    "store": _says("What it publishes as {0} on {1} is {value}.", _stored),
    "react": _react,
    "scheduleBefore": _says("It may schedule {0} on {1} for times until {value}.", _instant),
    "emitPubSubEvent": _flag(
        "What it publishes as {0} on {1} is {never}reported to the site's backend."
    ),
}
STORAGE: Final[Mapping[str, Words]] = {
    "get": _flag("It may {never}read {0} of {1}."),
    "set": _flag("It may {never}write {0} of {1}."),
    "observe": _flag("It is {never}told of changes to {0} of {1}."),
    "store": _says("What it writes to {0} of {1} is {value}.", _stored),
    "scheduleBefore": _says(
        "It may schedule writes to {0} of {1} for times until {value}.", _instant
    ),
    "emitPubSubEvent": _flag(
        "What it writes to {0} of {1} is {never}reported to the site's backend."
    ),
}
