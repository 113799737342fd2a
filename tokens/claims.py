"""A token's payload -> frozen `Claims`, or one `TokenError` that says where and why.

Pure. One bad claim or directive invalidates the whole token; null counts as absent; unknown names
are ignored (protocol.md sections 3 and 4). The signature is verified before, in `tokens.signing`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokens import directives, strict_json
from tokens.directives import Rules
from tokens.names import MAX_NAMES, MAX_REGEXES
from tokens.patterns import MAX_REGEX_COST, Kind, Pattern, PatternError, compile_pattern
from tokens.strict_json import Json, printable

# How far ahead a token may say that it was issued: clocks differ.
MAX_AHEAD_SECONDS = 60

# An error quotes at most so many characters of a value.
_MAX_QUOTED = 60

# What a token of MAX_NAMES needs, and some more: 5,000 empty objects take 1 MB while it is parsed.
MAX_BRACKETS = 5000

# What claims and permissions take: for each character of the payload, most of all where names are
# short, and for each instruction of a regular expression.
BYTES_OF_CHARACTER = 20
BYTES_OF_INSTRUCTION = 100

# The claims that are fields of `Claims`, and the names of these fields: heartbeat_timeout.
_FIELDS = {
    claim: re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", claim)
    for claim in directives.CLAIMS
}

# Where in a token: names and keys in turn, such as channels, chat-*, store.
type Path = tuple[str, ...]


class TokenError(Exception):
    """Why a token is refused: `str()` is one plain sentence, without the token.

    `path` names the claim, such as `channels["chat-*"].messages["chat"].store`.
    """

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path} {expected}")
        self.path = path
        self.expected = expected


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One key of `channels`, `messages` or `storage`, and the directives that it states.

    `directives` has only those that count in the scope in use. Values have the type that their
    rule reads (`tokens.directives`): lists of reactions are tuples, times are floats.
    """

    pattern: Pattern
    directives: Mapping[str, object]
    messages: tuple["Entry", ...] = ()
    storage: tuple["Entry", ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Claims:
    """Valid claims. Times are unix seconds; `heartbeat_timeout` is in seconds.

    `umd` is compact JSON, `"null"` when absent. `payload` is the JSON text that was parsed;
    parsing it again for the same scope gives the same claims. `size` is about the bytes of memory
    that all of this and its permissions take.
    """

    payload: str
    size: int
    scope: frozenset[str]
    exp: float
    nbf: float | None = None
    iat: float | None = None
    uid: str | None = None
    umd: str = "null"
    jti: str | None = None
    connection_id: str | None = None
    keep_alive: bool = False
    heartbeat_timeout: int | None = None
    single_use: bool = False
    umd_update: bool = False
    umd_propagate: bool = False
    aud: tuple[str, ...] = ()
    iss: str | None = None
    channels: tuple[Entry, ...] = ()


def parse_claims(payload: bytes, *, scope: str) -> Claims:
    """Parse a payload for use in `scope`: connect, subscribe or umd. Raises `TokenError`.

    Does not check times, audience and issuer: see `check_claims`.
    """
    if payload.count(b"{") + payload.count(b"[") > MAX_BRACKETS:
        raise TokenError("payload", "holds too many objects and arrays")
    try:
        document = strict_json.loads(payload)
    except strict_json.JsonError as error:
        raise TokenError("payload", str(error)) from None
    if not isinstance(document, dict):
        raise TokenError("payload", "must be an object")
    claims = _Parser(scope).claims(document, payload.decode())
    _check_together(claims, scope)
    return claims


def check_claims(
    claims: Claims,
    *,
    now: float,
    leeway: float = 0,
    longest: float = 0,
    audience: str = "",
    issuer: str = "",
) -> None:
    """Check the times against `now` (unix seconds), and audience and issuer.

    `longest` is how many seconds a token may live; 0: any number. An empty `audience` or `issuer`
    accepts any. Raises `TokenError`.
    """
    if claims.exp + leeway <= now:
        raise TokenError("exp", f"must lie in the future, but passed {now - claims.exp:.3f} s ago")
    if claims.nbf is not None and claims.nbf - leeway > now:
        raise TokenError("nbf", f"must have passed, but lies {claims.nbf - now:.3f} s ahead")
    check_lifetime(claims, now=now, leeway=leeway, longest=longest)
    check_addressee(claims, audience=audience, issuer=issuer)


def check_lifetime(claims: Claims, *, now: float, leeway: float, longest: float) -> None:
    """The part of `check_claims` that says when it may have been issued, and for how long: from its
    `iat` or, without one, from now on. Raises `TokenError`."""
    since = now if claims.iat is None else claims.iat
    if since - leeway > now + MAX_AHEAD_SECONDS:
        raise TokenError("iat", f"must have passed, but lies {since - now:.3f} s ahead")
    if longest and claims.exp - since > longest:
        start = "now" if claims.iat is None else "iat"
        raise TokenError(
            "exp", f"must be at most {longest:g} s after {start}, not {claims.exp - since:.3f}"
        )


def check_addressee(claims: Claims, *, audience: str, issuer: str) -> None:
    """The part of `check_claims` that needs no clock. Raises `TokenError`."""
    if audience and audience not in claims.aud:
        raise TokenError("aud", f"must be or list {_shown(audience)}")
    if issuer and claims.iss != issuer:
        raise TokenError("iss", f"must be {_shown(issuer)}")


class _Parser:
    """Parses one payload, and adds up its names and what its regular expressions cost."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.names = self.regexes = self.regex_cost = 0
        # Each set of directives once: most entries state the same.
        self.shared: dict[tuple[tuple[str, object], ...], dict[str, object]] = {}

    def claims(self, document: dict[str, Json], payload: str) -> Claims:
        stated = self.stated(document, directives.CLAIMS, ())
        for claim in ("exp", "scope"):
            if claim not in stated:
                raise TokenError(claim, "is required")
        fields: dict[str, Any] = {_FIELDS[claim]: value for claim, value in stated.items()}
        channels = self.entries(document, "channels", ())
        size = len(payload) * BYTES_OF_CHARACTER + self.regex_cost * BYTES_OF_INSTRUCTION
        return Claims(payload=payload, size=size, channels=channels, **fields)

    def stated(self, document: dict[str, Json], rules: Rules, path: Path) -> dict[str, object]:
        """The values that `document` states and that count in this scope, without its entries."""
        stated: dict[str, object] = {}
        for name, value in document.items():
            rule = rules.get(name)
            if value is None or rule is None:
                continue
            accepted = rule.read(value)
            if accepted is None:
                raise _refused((*path, name), rule.expected, value)
            if rule is not directives.OBJECT and rule.scope in (None, self.scope):
                stated[name] = accepted
        return stated

    def entries(self, document: dict[str, Json], name: str, path: Path) -> tuple[Entry, ...]:
        """The entries of the object `name`: channels, messages or storage."""
        keyed = document.get(name)
        if not isinstance(keyed, dict):  # absent or null: `stated` has refused all else
            return ()
        self.names += len(keyed)
        if self.names > MAX_NAMES:
            raise TokenError(_rendered((*path, name)), f"makes more than {MAX_NAMES} names in all")
        rules = directives.ENTRIES[name]
        return tuple(
            self.entry(key, entry, rules, (*path, name, key))
            for key in [*keyed]
            if (entry := keyed.pop(key)) is not None  # both forms of all together would take 1.7 MB
        )

    def entry(self, key: str, document: Json, rules: Rules, path: Path) -> Entry:
        if not isinstance(document, dict):
            raise _refused(path, "an object", document)
        pattern = self.pattern(key, path)
        if pattern.kind is not Kind.EXACT:
            _check_directives_on_pattern(document, path)
        stated = self.stated(document, rules, path)
        stated = self.shared.setdefault(tuple(stated.items()), stated)
        if rules is not directives.CHANNEL:
            return Entry(pattern, stated)
        messages = self.entries(document, "messages", path)
        return Entry(pattern, stated, messages, self.entries(document, "storage", path))

    def pattern(self, key: str, path: Path) -> Pattern:
        try:
            pattern = compile_pattern(key)
        except PatternError as error:
            reason = _shown(str(error))
            raise TokenError(_rendered(path), f"must compile as RE2: {reason}") from None
        if pattern.kind is Kind.REGEX:
            self.regexes += 1
            self.regex_cost += pattern.cost
            if self.regexes > MAX_REGEXES:
                raise TokenError(_rendered(path), f"makes more than {MAX_REGEXES} of its kind")
            if self.regex_cost > MAX_REGEX_COST:
                raise TokenError(
                    _rendered(path), "makes the regular expressions too large together"
                )
        return pattern


def _check_together(claims: Claims, scope: str) -> None:
    """The rules that concern several claims or entries at once."""
    if scope not in claims.scope:
        raise TokenError("scope", f"must include {_shown(scope)}")
    if scope != "umd" and claims.single_use and not claims.jti:
        raise TokenError("jti", "is required where singleUse is true")
    if scope == "connect" and claims.connection_id is not None:
        raise TokenError("connectionId", "must be absent from a token that opens a connection")
    taken: set[object] = {entry.pattern.key for entry in claims.channels}
    for entry in claims.channels:
        alias = entry.directives.get("alias")
        if alias in taken:
            path = ("channels", entry.pattern.key, "alias")
            raise _refused(path, "neither a channel of this token nor an alias again", alias)
        if alias is not None:
            taken.add(alias)


def _check_directives_on_pattern(document: dict[str, Json], path: Path) -> None:
    for directive in directives.NOT_ON_PATTERNS:
        if document.get(directive) is not None:
            raise TokenError(_rendered((*path, directive)), "must not sit on a pattern")


def _refused(path: Path, expected: str, value: object) -> TokenError:
    return TokenError(_rendered(path), f"must be {expected}, not {_shown(value)}")


def _rendered(path: Path) -> str:
    steps = (f"[{_shown(step)}]" if turn % 2 else f".{step}" for turn, step in enumerate(path))
    return "".join(steps).removeprefix(".")


def _shown(value: object) -> str:
    """The first 60 characters of `value` as JSON, all of them printable: errors go into logs."""
    text = printable(strict_json.dumps(value)[: _MAX_QUOTED + 1])
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"
