"""A token's payload -> frozen `Claims`, or one `TokenError` that says where and why.

Pure. One bad claim or directive spoils the whole token; null counts as absent; what is unknown is
ignored (protocol.md sections 3 and 4). Signatures are checked elsewhere, before.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokens import directives, strict_json
from tokens.directives import Rule
from tokens.patterns import Kind, Pattern, PatternError, compile_pattern

# Characters of a value that a sentence quotes.
_SHOWN = 60

# Instructions of all regular expressions of one token: as many compile in about 20 ms.
MAX_REGEX_COST = 100_000

_FIELDS = {
    claim: re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", claim)
    for claim in directives.CLAIMS
}


class TokenError(Exception):
    """Why a token is refused: `str()` is one plain sentence, which never holds the token.

    `path` names the claim, such as `channels["chat-*"].messages["chat"].store`.
    """

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path} {expected}")
        self.path = path
        self.expected = expected


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One key of `channels`, `messages` or `storage`, and the directives that it states.

    `directives` holds what is stated and counts in the scope in use, by its name in the token;
    `react` as `False`, `True` or a frozenset, the others as their type in the token.
    """

    pattern: Pattern
    directives: Mapping[str, Any]
    messages: tuple["Entry", ...] = ()
    storage: tuple["Entry", ...] = ()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Claims:
    """What a token says, checked. Times are unix seconds; `heartbeat_timeout` is in seconds.

    `umd` is compact JSON, `"null"` when absent. `payload` is the JSON text that was parsed;
    parsing it again for the same scope gives the same claims.
    """

    payload: str
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
    """Read a payload for use in `scope`: connect, subscribe or umd. Raises `TokenError`.

    Times, audience and issuer are not compared here: see `check_claims`.
    """
    try:
        document = strict_json.loads(payload)
    except strict_json.JsonError as error:
        raise TokenError("payload", str(error)) from None
    if not isinstance(document, dict):
        raise TokenError("payload", "must be an object")
    claims = _Reading(scope).claims(document, payload.decode())
    for refuse in _WHOLE_TOKEN_RULES:
        refuse(claims, scope)
    return claims


def check_claims(
    claims: Claims, *, now: float, leeway: float = 0, audience: str = "", issuer: str = ""
) -> None:
    """Compare with the clock (unix seconds) and with what the site expects. Raises `TokenError`.

    An empty `audience` or `issuer` expects nothing.
    """
    if claims.exp + leeway <= now:
        raise TokenError("exp", f"must lie in the future, but passed {now - claims.exp:.3f} s ago")
    if claims.nbf is not None and claims.nbf - leeway > now:
        raise TokenError("nbf", f"must have passed, but lies {claims.nbf - now:.3f} s ahead")
    check_addressee(claims, audience=audience, issuer=issuer)


def check_addressee(claims: Claims, *, audience: str, issuer: str) -> None:
    """The part of `check_claims` that needs no clock. Raises `TokenError`."""
    if audience and audience not in claims.aud:
        raise TokenError("aud", f"must be or list {_shown(audience)}")
    if issuer and claims.iss != issuer:
        raise TokenError("iss", f"must be {_shown(issuer)}")


class _Reading:
    """One reading of one payload: `path` is where it is, names and keys by turns."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.regex_cost = 0

    def claims(self, document: dict[str, object], payload: str) -> Claims:
        stated = self.stated(document, directives.CLAIMS, ())
        for claim in ("exp", "scope"):
            if claim not in stated:
                raise TokenError(claim, "is required")
        channels = stated.pop("channels", {})
        return Claims(
            payload=payload,
            channels=tuple(self.entries(channels, directives.CHANNEL, ("channels",))),
            **{_FIELDS[claim]: value for claim, value in stated.items()},
        )

    def stated(
        self, document: dict[str, object], rules: Mapping[str, Rule], path: tuple[str, ...]
    ) -> dict[str, Any]:
        """What `document` states by `rules` and counts in this scope; nothing null or unknown."""
        stated = {}
        for name, value in document.items():
            if value is None or (rule := rules.get(name)) is None:
                continue
            accepted = rule.read(value)
            if accepted is None:
                raise _refused((*path, name), rule.expected, value)
            if rule.scope is None or rule.scope == self.scope:
                stated[name] = accepted
        return stated

    def entries(
        self, keyed: dict[str, object], rules: Mapping[str, Rule], path: tuple[str, ...]
    ) -> Iterator[Entry]:
        for key, document in keyed.items():
            if document is None:
                continue
            at = (*path, key)
            if not isinstance(document, dict):
                raise _refused(at, "an object", document)
            pattern = self.pattern(key, at)
            if pattern.kind is not Kind.EXACT:
                _require_no_plain_only(document, at)
            stated = self.stated(document, rules, at)
            messages = stated.pop("messages", {})
            storage = stated.pop("storage", {})
            yield Entry(
                pattern,
                stated,
                tuple(self.entries(messages, directives.MESSAGE, (*at, "messages"))),
                tuple(self.entries(storage, directives.STORAGE, (*at, "storage"))),
            )

    def pattern(self, key: str, path: tuple[str, ...]) -> Pattern:
        try:
            pattern = compile_pattern(key)
        except PatternError as error:
            raise TokenError(
                _rendered(path), f"must compile as RE2: {_shown(str(error))}"
            ) from None
        self.regex_cost += pattern.cost
        if self.regex_cost > MAX_REGEX_COST:
            raise TokenError(_rendered(path), "makes the regular expressions too large together")
        return pattern


def _scope_in_use(claims: Claims, scope: str) -> None:
    if scope not in claims.scope:
        raise TokenError("scope", f"must include {_shown(scope)}")


def _single_use_has_jti(claims: Claims, scope: str) -> None:
    if scope != "umd" and claims.single_use and not claims.jti:
        raise TokenError("jti", "is required where singleUse is true")


def _connect_is_unbound(claims: Claims, scope: str) -> None:
    if scope == "connect" and claims.connection_id is not None:
        raise TokenError("connectionId", "must be absent from a token that opens a connection")


def _aliases_are_free(claims: Claims, scope: str) -> None:
    taken = {entry.pattern.key for entry in claims.channels}
    for entry in claims.channels:
        alias = entry.directives.get("alias")
        if alias in taken:
            path = ("channels", entry.pattern.key, "alias")
            raise _refused(path, "neither a channel of this token nor an alias again", alias)
        if alias is not None:
            taken.add(alias)


_WHOLE_TOKEN_RULES: tuple[Callable[[Claims, str], None], ...] = (
    _scope_in_use,
    _single_use_has_jti,
    _connect_is_unbound,
    _aliases_are_free,
)


def _require_no_plain_only(document: dict[str, object], path: tuple[str, ...]) -> None:
    for directive in directives.PLAIN_NAMES_ONLY:
        if document.get(directive) is not None:
            raise TokenError(_rendered((*path, directive)), "must not sit on a pattern")


def _refused(path: tuple[str, ...], expected: str, value: object) -> TokenError:
    return TokenError(_rendered(path), f"must be {expected}, not {_shown(value)}")


def _rendered(path: tuple[str, ...]) -> str:
    steps = (f"[{_shown(step)}]" if turn % 2 else f".{step}" for turn, step in enumerate(path))
    return "".join(steps).removeprefix(".")


def _shown(value: object) -> str:
    """At most about 60 characters of `value` as JSON, all printable: it goes into logs."""
    begin = strict_json.dumps(value)[: _SHOWN + 1]
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in begin)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
