"""What a token says, in plain words: one sentence for each claim and directive.

Pure. A table for each object of a token, like `tokens.directives`; a directive that is not here
would go without a word, so a test compares the two.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, cast

from tokens import directives, strict_json
from tokens.claims import Claims, Entry
from tokens.patterns import REGEX_PREFIX, Kind, Pattern

type Words = Callable[..., str]
"""A sentence of a value and of the names that it holds for, the innermost first."""

USES: Final = {
    "connect": "to open a connection",
    "subscribe": "to subscribe",
    "umd": "to change metadata",
}
UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def explain(claims: Claims) -> Iterator[str]:
    """A sentence for each claim, then for each directive in the token's order, then for each name
    that is not known here and so without effect."""
    for name, words in CLAIMS.items():
        value = getattr(claims, name)
        if value is not None and value is not False and value != () and value != "null":
            yield words(value)
    for entry in claims.channels:
        place = _named("channel", entry.pattern)
        yield from _sentences(CHANNEL, entry, place)
        for message in entry.messages:
            yield from _sentences(MESSAGE, message, _named("event", message.pattern), place)
        for stored in entry.storage:
            yield from _sentences(STORAGE, stored, _named("storage key", stored.pattern), place)
    document = cast("Mapping[str, object]", strict_json.loads(claims.payload.encode()))
    yield from (f"{place} is not known here and has no effect." for place in _unknown(document))


def _sentences(table: Mapping[str, Words], entry: Entry, *names: str) -> Iterator[str]:
    for directive, value in entry.directives.items():
        yield table[directive](value, *names)


def _named(noun: str, pattern: Pattern) -> str:
    if pattern.kind is Kind.EXACT:
        return f"the {noun} {_quoted(pattern.key)}"
    if pattern.kind is Kind.REGEX:
        expression = _quoted(pattern.key.removeprefix(REGEX_PREFIX))
        return f"{noun}s that match the regular expression {expression}"
    return f"{noun}s that fit {_quoted(pattern.key)}" if pattern.key.strip("*") else f"every {noun}"


# --- values -------------------------------------------------------------------------------------


def _quoted(value: object) -> str:
    return _printable(strict_json.dumps(value))


def _printable(text: str) -> str:
    """JSON text with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


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


def _says(sentence: str, words: Words = str) -> Words:
    return lambda value, *names: sentence.format(*names, value=words(value))


def _either(allowed: str, refused: str) -> Words:
    return lambda value, *names: (allowed if value else refused).format(*names)


def _history(start: float, channel: str) -> str:
    since = f"the history of {channel} since {_instant(start)}"
    return f"It may read {since if start else f'the whole history of {channel}'}."


def _react(reactions: bool | frozenset[str], event: str, channel: str) -> str:
    if not reactions:
        return f"It may not react to {event} on {channel}."
    what = "anything" if reactions is True else _listed(reactions)
    return f"It may react to {event} on {channel} with {what}."


_BACKEND = "reported to the site's backend"

CLAIMS: Final[Mapping[str, Words]] = {
    "scope": _says(
        "It may be used {value}.",
        lambda scope: " and ".join(words for name, words in USES.items() if name in scope),
    ),
    "uid": _says("Its bearer is {value}.", _quoted),
    "umd": _says("Its bearer's metadata is {value}.", _printable),
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
    "subscribe": _either("It may subscribe to {0}.", "It may never subscribe to {0}."),
    "autoSubscribe": _either(
        "It is subscribed to {0} as soon as it is connected.",
        "It is never subscribed to {0} by itself.",
    ),
    "alias": lambda alias, channel: f"It may call {channel} by the name {_quoted(alias)}.",
    "getInfo": _either(
        "It may ask how many listen to {0}.", "It may never ask how many listen to {0}."
    ),
    "historyStart": _history,
    "omitFromSubCount": _either(
        "It is not counted among those who listen to {0}.",
        "It is counted among those who listen to {0}.",
    ),
    "umdUpdate": _either(
        "It may change the metadata of the subscription to {0}.",
        "It may never change the metadata of the subscription to {0}.",
    ),
}
MESSAGE: Final[Mapping[str, Words]] = {
    "publish": _either(
        "It may publish {0} on {1} while it is subscribed.", "It may never publish {0} on {1}."
    ),
    "broadcast": _either(
        "It may publish {0} on {1} without being subscribed.",
        "It may not publish {0} on {1} without being subscribed.",
    ),
    "echo": _either(
        "It gets its own copy of what it publishes as {0} on {1}.",
        "It gets no copy of what it publishes as {0} on {1}.",
    ),
    "store": _says("What it publishes as {0} on {1} is {value}.", _stored),
    "react": _react,
    "scheduleBefore": _says("It may schedule {0} on {1} for times until {value}.", _instant),
    "emitPubSubEvent": _either(
        f"What it publishes as {{0}} on {{1}} is {_BACKEND}.",
        f"What it publishes as {{0}} on {{1}} is not {_BACKEND}.",
    ),
}
STORAGE: Final[Mapping[str, Words]] = {
    "get": _either("It may read {0} of {1}.", "It may never read {0} of {1}."),
    "set": _either("It may write {0} of {1}.", "It may never write {0} of {1}."),
    "observe": _either(
        "It is told of changes to {0} of {1}.", "It is never told of changes to {0} of {1}."
    ),
    "store": _says("What it writes to {0} of {1} is {value}.", _stored),
    "scheduleBefore": _says(
        "It may schedule writes to {0} of {1} for times until {value}.", _instant
    ),
    "emitPubSubEvent": _either(
        f"What it writes to {{0}} of {{1}} is {_BACKEND}.",
        f"What it writes to {{0}} of {{1}} is not {_BACKEND}.",
    ),
}


# --- what is not known --------------------------------------------------------------------------


def _unknown(document: Mapping[str, object]) -> Iterator[str]:
    """The places of names that are neither claims nor directives, so probably misspelt."""
    yield from (name for name in document if name not in directives.CLAIMS)
    for channel, granted in _objects(document.get("channels")):
        place = f"channels[{_quoted(channel)}]"
        yield from (f"{place}.{name}" for name in granted if name not in directives.CHANNEL)
        for kind, known in (("messages", directives.MESSAGE), ("storage", directives.STORAGE)):
            for key, stated in _objects(granted.get(kind)):
                inner = f"{place}.{kind}[{_quoted(key)}]"
                yield from (f"{inner}.{name}" for name in stated if name not in known)


def _objects(keyed: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    values = keyed if isinstance(keyed, dict) else {}
    return ((key, value) for key, value in values.items() if value is not None)
