"""`manage.py issue_token --uid jim --subscribe 'chat-*' --publish chat`: print a signed token.

Only translates options to claims: the server's own parser checks them before they are signed.
Writes nothing but the token to stdout, so that it can be piped.
"""

import secrets
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tokens import strict_json
from tokens.api import issue
from tokens.claims import TokenError, parse_claims
from tokens.explain import explain

JTI_BYTES: Final = 16

type Options = Mapping[str, Any]
"""Of the command line, or of argparse."""
type Directives = dict[str, object]


class Statement(NamedTuple):
    """An option that sets a claim or directive to the value that `read` makes of the argument."""

    claim: str
    help: str
    read: Callable[[Any], object]
    arguments: Options


class Place(NamedTuple):
    """An option that names channels, events or storage keys, and the directive set there."""

    directive: str
    help: str


def _flag(claim: str, help: str) -> Statement:
    return Statement(claim, help, bool, {"action": "store_true"})


def _text(claim: str, help: str, metavar: str) -> Statement:
    return Statement(claim, help, str, {"metavar": metavar})


def _number(claim: str, help: str) -> Statement:
    return Statement(claim, help, _number_or_text, {"metavar": "SECONDS"})


def _number_or_text(value: object) -> object:
    """Text that is no number stays text: the server's parser says what is wrong with it."""
    try:
        number = strict_json.loads(str(value).encode())
    except ValueError:
        return value
    return number if isinstance(number, int | float) else value


def _json(text: str, what: str = "--umd") -> object:
    try:
        return strict_json.loads(text.encode(errors="surrogateescape"))
    except strict_json.JsonError as error:
        raise CommandError(f"{what} {error}.") from None


LIST: Final[Options] = {"nargs": "+", "action": "extend"}

# The objects of a token (protocol.md section 4), each with the options that set something in it.
TOP: Final = {
    "--scope": _text("scope", "connect (default), subscribe, umd or several", "SCOPES"),
    "--uid": _text("uid", "who its bearer is", "UID"),
    "--umd": Statement("umd", "its bearer's metadata", _json, {"metavar": "JSON"}),
    "--connection-id": _text("connectionId", "only this connection may use it", "ID"),
    "--keep-alive": _flag("keepAlive", "keep its connection from idling out"),
    "--heartbeat-timeout": _number("heartbeatTimeout", "5 to 600; without a heartbeat: closed"),
    "--single-use": _flag("singleUse", "it may be used once"),
    "--umd-update": _flag("umdUpdate", "it may change the connection's metadata"),
    "--umd-propagate": _flag("umdPropagate", "and that of all its subscriptions"),
}
CHANNEL: Final = {
    "--history-start": _number("historyStart", "read history since then (unix time); 0: all"),
    "--alias": _text("alias", "another name for the channel", "NAME"),
    "--get-info": _flag("getInfo", "ask how many subscribe"),
    "--omit-from-sub-count": _flag("omitFromSubCount", "not counted as a subscriber"),
}
MESSAGE: Final = {
    "--echo": _flag("echo", "get a copy of its own messages"),
    "--store": _number("store", "keep its messages so long; -1: for ever"),
    "--react": Statement("react", "react with these", list, {**LIST, "metavar": "REACTION"}),
    "--react-any": _flag("react", "react with anything"),
}
CHANNELS: Final = {
    "--subscribe": Place("subscribe", "channels to subscribe to: a name, 'chat-*', '#regex:…'"),
    "--auto-subscribe": Place("autoSubscribe", "channels it is subscribed to once connected"),
    "--channel": Place("", "channels that it may not subscribe to"),
}
EVENTS: Final = {
    "--publish": Place("publish", "events to publish on these channels"),
    "--broadcast": Place("broadcast", "events to publish even without a subscription"),
    "--event": Place("", "events that it may not publish"),
}
KEYS: Final = {
    "--get": Place("get", "storage keys to read"),
    "--set": Place("set", "storage keys to write"),
    "--observe": Place("observe", "storage keys to get updates of"),
}
PLACES: Final = (("CHANNEL", CHANNELS), ("EVENT", EVENTS), ("KEY", KEYS))


class Command(BaseCommand):
    help = (
        "Print a token with the given claims, signed with key 1. An example: --uid jim"
        " --subscribe 'chat-*' --publish chat --echo --store 86400 --history-start 0"
    )
    requires_system_checks = ()  # it needs a key, and no database

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--claims", metavar="FILE", help="all claims, from a JSON file; -: from stdin")
        add("--lifetime", type=int, default=300, metavar="SECONDS", help="300 by default")
        add("--explain", action="store_true", help="explain the token on stderr")
        for statements in (TOP, CHANNEL, MESSAGE):
            for option, statement in statements.items():
                add(option, help=statement.help, **statement.arguments)
        for metavar, places in PLACES:
            for option, place in places.items():
                add(option, help=place.help, metavar=metavar, **LIST)

    def handle(self, *args: object, **options: Any) -> None:
        if options["lifetime"] < 1:
            raise CommandError("--lifetime must be at least 1 second.")
        try:
            token = issue(_claims(options), lifetime=options["lifetime"])
        except (TokenError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None
        if options["explain"]:
            for sentence in _explained(token):
                self.stderr.write(sentence, style_func=str)
        self.stdout.write(token)


def _claims(options: Options) -> Directives:
    stated = [name for name in _options() if _value(options, name) is not None]
    if options["claims"] is None:
        return _composed(options)
    if stated:
        raise CommandError(f"--claims says all there is to say; it takes no {stated[0]}.")
    claims = _json(_file(options["claims"]), "The text")
    if not isinstance(claims, dict):
        raise CommandError("The claims must be a JSON object.")
    return claims


def _file(name: str) -> str:
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
    return text.decode(errors="surrogateescape")


def _composed(options: Options) -> Directives:
    messages = _granted(options, EVENTS, _stated(options, MESSAGE))
    nested = {"messages": messages, "storage": _granted(options, KEYS, {})}
    stated = _stated(options, CHANNEL) | {name: value for name, value in nested.items() if value}
    channels = _granted(options, CHANNELS, stated)
    claims = {"scope": "connect"} | _stated(options, TOP)
    if claims.get("singleUse"):
        claims["jti"] = secrets.token_urlsafe(JTI_BYTES)
    return claims | ({"channels": channels} if channels else {})


def _stated(options: Options, statements: Mapping[str, Statement]) -> Directives:
    return {
        statement.claim: statement.read(value)
        for option, statement in statements.items()
        if (value := _value(options, option)) is not None
    }


def _granted(
    options: Options, places: Mapping[str, Place], stated: Directives
) -> dict[str, Directives]:
    """The directives for each name that these options give: the option's own, and `stated`."""
    granted: dict[str, Directives] = {}
    for option, place in places.items():
        for name in _value(options, option) or ():
            directives = granted.setdefault(name, {})
            directives |= {place.directive: True} if place.directive else {}
    if stated and not granted:
        raise CommandError(f"{next(iter(stated))} of what? Name it with {' or '.join(places)}.")
    return {name: directives | stated for name, directives in granted.items()}


def _options() -> Iterable[str]:
    return (*TOP, *CHANNEL, *MESSAGE, *CHANNELS, *EVENTS, *KEYS)


def _value(options: Options, option: str) -> Any:
    """The argument of an option; None where it was not given."""
    value = options.get(option.removeprefix("--").replace("-", "_"))
    return None if value is False else value


def _explained(token: str) -> Iterable[str]:
    payload = urlsafe_b64decode(token.split(".")[1] + "==")
    scopes = strict_json.loads(payload)["scope"].split()
    scope = "connect" if "connect" in scopes else scopes[0]
    return explain(parse_claims(payload, scope=scope))
