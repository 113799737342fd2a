"""`manage.py issue_token --uid jim --subscribe 'chat-*' --publish chat`: print a signed token.

Only makes claims of options. The server's own parser checks the claims before they are signed.
stdout gets the token alone, for pipes.
"""

import re
import secrets
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tokens import directives, strict_json
from tokens.api import issue
from tokens.claims import TokenError, parse_claims
from tokens.directives import Rules
from tokens.explain import explain
from tokens.strict_json import Json

JTI_BYTES: Final = 16


class Option(NamedTuple):
    """An option that states the claim or directive of its name: historyStart, --history-start."""

    help: str
    metavar: str = ""  # "": it takes no value, and states true


# The objects of a token (protocol.md section 4), each with the options that state something there.
CLAIMS: Final = {
    "scope": Option("connect (default), subscribe, umd or several", "SCOPES"),
    "uid": Option("who its bearer is", "UID"),
    "umd": Option("its bearer's metadata", "JSON"),
    "connectionId": Option("only this connection may use it", "ID"),
    "keepAlive": Option("keep its connection from idling out"),
    "heartbeatTimeout": Option("5 to 600; without a heartbeat: closed", "SECONDS"),
    "singleUse": Option("it may be used once"),
    "umdUpdate": Option("it may change the connection's metadata"),
    "umdPropagate": Option("and that of all its subscriptions"),
}
CHANNEL: Final = {
    "historyStart": Option("read history since then (unix time); 0: all", "SECONDS"),
    "alias": Option("another name for the channel", "NAME"),
    "getInfo": Option("ask how many listen"),
    "omitFromSubCount": Option("not to be counted as a listener"),
}
MESSAGE: Final = {
    "echo": Option("get a copy of what it publishes itself"),
    "store": Option("keep what it publishes for so long; -1: for ever", "SECONDS"),
    "react": Option("react with these", "REACTION"),
    "reactAny": Option("react with anything"),
}
# Options that name channels, events or storage keys, and state the directive of their name there.
CHANNELS: Final = {
    "subscribe": Option("channels to subscribe to: a name, 'chat-*', '#regex:…'", "CHANNEL"),
    "autoSubscribe": Option("channels it is subscribed to once connected", "CHANNEL"),
    "channel": Option("other channels, without permission to subscribe", "CHANNEL"),
}
EVENTS: Final = {
    "publish": Option("events to publish on these channels", "EVENT"),
    "broadcast": Option("events to publish also without being subscribed", "EVENT"),
    "event": Option("other events, without permission to publish", "EVENT"),
}
KEYS: Final = {
    "get": Option("storage keys to read", "KEY"),
    "set": Option("storage keys to write", "KEY"),
    "observe": Option("storage keys whose changes it receives", "KEY"),
}
OPTIONS: Final = CLAIMS | CHANNEL | MESSAGE | CHANNELS | EVENTS | KEYS
LISTS: Final = {"react", *CHANNELS, *EVENTS, *KEYS}


class Command(BaseCommand):
    help = (
        "Print a token with the given claims, signed with key 1. An example: --uid jim"
        " --subscribe 'chat-*' --publish chat --echo --store 86400 --history-start 0"
    )
    requires_system_checks = ()  # it needs a key, and says so; no database

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--claims", dest="file", metavar="FILE", help="all claims, as JSON; -: from stdin")
        add("--lifetime", type=int, default=300, metavar="SECONDS", help="300 by default")
        add("--explain", dest="explained", action="store_true", help="explain the token on stderr")
        for name, (text, metavar) in OPTIONS.items():
            if not metavar:
                add(_flag(name), dest=name, help=text, action="store_const", const=True)
            elif name in LISTS:
                add(_flag(name), dest=name, help=text, metavar=metavar, nargs="+", action="extend")
            else:
                read = _number_or_text if metavar == "SECONDS" else str
                add(_flag(name), dest=name, help=text, metavar=metavar, type=read)

    def handle(
        self, *args: object, file: str | None, lifetime: int, explained: bool, **options: object
    ) -> None:
        stated = {name: options[name] for name in OPTIONS if options[name] is not None}
        if lifetime < 1:
            raise CommandError("--lifetime must be at least 1 second.")
        claims = _composed(stated) if file is None else _from_file(file, stated)
        try:
            token = issue(claims, lifetime=lifetime)
        except (TokenError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None
        if explained:
            for sentence in _explained(token, str(claims["scope"]).split()):
                self.stderr.write(sentence, style_func=str)
        self.stdout.write(token)


def _flag(name: str) -> str:
    return "--" + re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name)


def _number_or_text(text: str) -> object:
    """Text stays text where it is no number; the parser then reports it."""
    try:
        number = strict_json.loads(text.encode())
    except ValueError:
        return text
    return number if isinstance(number, int | float) else text


def _json(document: bytes, source: str) -> Json:
    try:
        return strict_json.loads(document)
    except strict_json.JsonError as error:
        raise CommandError(f"{source} {error}.") from None


def _from_file(name: str, stated: Mapping[str, object]) -> Mapping[str, object]:
    if stated:
        option = _flag(next(iter(stated)))
        raise CommandError(f"--claims says all there is to say; it takes no {option}.")
    try:
        document = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
    claims = _json(document, "The text")
    if not isinstance(claims, dict):
        raise CommandError("The claims must be a JSON object.")
    return claims


def _composed(stated: Mapping[str, object]) -> Mapping[str, object]:
    claims = {"scope": "connect"} | _of(CLAIMS, stated)
    if "umd" in claims:
        claims["umd"] = _json(str(claims["umd"]).encode(errors="surrogateescape"), "--umd")
    if "singleUse" in claims:
        claims["jti"] = secrets.token_urlsafe(JTI_BYTES)
    message, channel = _of(MESSAGE, stated), _of(CHANNEL, stated)
    if message.pop("reactAny", False):
        message["react"] = True
    if messages := _entries(EVENTS, stated, directives.MESSAGE, message):
        channel["messages"] = messages
    if storage := _entries(KEYS, stated, directives.STORAGE, {}):
        channel["storage"] = storage
    if channels := _entries(CHANNELS, stated, directives.CHANNEL, channel):
        claims["channels"] = channels
    return claims


def _of(table: Iterable[str], stated: Mapping[str, object]) -> dict[str, object]:
    return {name: stated[name] for name in table if name in stated}


def _entries(
    options: Iterable[str], stated: Mapping[str, object], rules: Rules, shared: dict[str, object]
) -> dict[str, dict[str, object]]:
    """An entry for each key that these options name, with the directives that all entries share."""
    entries: dict[str, dict[str, object]] = {}
    for option in options:
        keys = stated.get(option)
        for key in keys if isinstance(keys, list) else ():
            entry = entries.setdefault(key, {})
            if option in rules:
                entry[option] = True
    if shared and not entries:
        names = " or ".join(map(_flag, options))
        raise CommandError(f"{next(iter(shared))} of what? Name it with {names}.")
    return {key: entry | shared for key, entry in entries.items()}


def _explained(token: str, scopes: list[str]) -> Iterable[str]:
    payload = urlsafe_b64decode(token.split(".")[1] + "==")
    scope = "connect" if "connect" in scopes else scopes[0]
    return explain(parse_claims(payload, scope=scope))
