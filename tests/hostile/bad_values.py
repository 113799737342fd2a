"""What is put in the place of any field, and what each kind of field is then answered with.

The one table of expected codes, for frames and for calls (protocol.md section 17): STATUS says what
a code is over HTTP (section 14).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

ABSENT: Final = object()
ELSEWHERE: Final = "the refusal of a call that is well formed but not permitted or not found"
OK: Final = None
Path = tuple[str | int, ...]

MESSAGE: Final = "01HF7YAT00ABCDEFGHJKMNPQRS"  # which does not exist
REACTION: Final = {"messageId": MESSAGE, "reaction": "👍", "action": "add"}
LATER: Final = "at(2999-01-01T00:00:00)"
FAR: Final = 40_000_000_000  # unix seconds, after LATER
C: Final = "C"  # stands for the test's channel


def _nested(levels: int) -> list[Any]:
    nest: list[Any] = []
    for _ in range(levels - 1):
        nest = [nest]
    return nest


GROUPS: Final[dict[str, dict[str, Any]]] = {
    "missing": {"missing": ABSENT},
    "null": {"null": None},
    "true": {"true": True},
    "zero": {"0": 0},
    "fraction": {"a fraction": -7.5},
    "huge": {"a huge number": 10**40},
    "empty list": {"[]": []},
    "lists": {"a list of numbers": [1], "a list in a list": [[None]]},
    "strings": {"a list of strings": ["x"]},
    "objects": {"{}": {}, "an operator": {"$ne": None}, "a prototype": {"__proto__": {"a": 1}}},
    "deep": {"101 levels": _nested(101)},
    "empty": {"an empty string": ""},
    "blank": {"white space": " \t\n"},
    "comma": {"a comma": "a,b"},
    "star": {"a star": "*"},
    "hash": {"a pattern": "#regex:.*"},
    "long": {"4,000 characters": "x" * 4000, "4,000 wide ones": "👍" * 4000},
    "large": {"33 KiB": "x" * 33 * 1024},
    "NUL": {"NUL": "a\0b", "only NUL": "\0"},
    "strange": {
        "mark-up": "<script>alert(1)</script>",
        "a path": "../../../etc/passwd",
        "right to left": "\u202eabc\u2066",
    },
    "stranger": {
        "SQL": "')OR(1=1);DELETE/0/FROM/0/chat_message;--",
        "a format": "%s%n%(x)s{0.__class__}${jndi:ldap://x}",
        "combining": "e" + "\u0301" * 45,
    },
}
TYPES: Final = (
    "true",
    "zero",
    "fraction",
    "huge",
    "empty list",
    "lists",
    "strings",
    "objects",
    "deep",
)
TEXTS: Final = (
    *("empty", "blank", "comma", "star", "hash", "long", "large", "strange", "stranger"),
)
NONE: Final = ("missing", "null")
NO_NAME: Final = ("empty", "blank", "comma", "star", "hash", "long", "large")


def _kind(*rules: tuple[tuple[str, ...], str | None], **more: str | None) -> dict[str, str | None]:
    """The code for each of GROUPS: a later rule overrules an earlier one. Unless a rule says
    otherwise a wrong type or NUL is INVALID_MESSAGE, and all else is taken."""
    codes: dict[str, str | None] = dict.fromkeys(GROUPS, OK)
    for groups, code in (((*TYPES, "NUL"), "INVALID_MESSAGE"), *rules):
        codes.update(dict.fromkeys(groups, code))
    return codes | more


def _required(*rules: tuple[tuple[str, ...], str | None], **more: str) -> dict[str, str | None]:
    return _kind((NONE, "INVALID_MESSAGE"), *rules, **more)


def _name(code: str, strange: str | None = OK) -> dict[str, str | None]:
    return _kind(((*NO_NAME, *NONE), code), strange=strange, stranger=strange)


def _optional(kind: dict[str, str | None]) -> dict[str, str | None]:
    return {**kind, "missing": OK, "null": OK}


_no_event = (("star", "hash", "empty", "long", "large"), "INVALID_EVENT_NAME")
_no_reaction = (("empty", "blank", "hash", "long", "large"), "INVALID_REACTION")
_anything = _kind((TYPES, OK), deep="INVALID_MESSAGE")
_channel = _name("INVALID_CHANNEL_NAME", ELSEWHERE)
_key = _name("INVALID_STORAGE_KEY")
_who = (("empty", "long", "large"), "INVALID_REQUEST")
_moment = ((TEXTS, "INVALID_MESSAGE"), (("fraction", "huge"), "INVALID_REQUEST"))

KINDS: Final[dict[str, dict[str, str | None]]] = {
    "unused": _kind(),
    "unused data": _anything,
    "data": {**_anything, "large": "DATA_TOO_LARGE"},
    "channel": _channel,
    "optional channel": _optional(_channel),
    "any channel": _name("INVALID_CHANNEL_NAME"),
    "any optional channel": _optional(_name("INVALID_CHANNEL_NAME")),
    "who": _kind(_who, (NONE, "INVALID_REQUEST")),
    "who else": _kind(_who),
    "address": _kind(((*TEXTS, *NONE), "INVALID_REQUEST")),
    "moment": _kind(*_moment, zero=OK),
    "moment ahead": _kind(*_moment, zero="INVALID_REQUEST"),
    "reason": _kind((("long", "large"), "INVALID_REQUEST")),
    "event": _required(_no_event, (("blank", "comma", "strange", "stranger"), ELSEWHERE)),
    "any event": _required(_no_event),
    "key": _key,
    "key after": {**_optional(_key), "empty": OK},
    "key in a list": {**_key, "missing": OK, "null": "INVALID_MESSAGE"},
    "keys": _kind((TEXTS, "INVALID_MESSAGE"), (("empty list", "strings"), OK)),
    "token data": _kind((TEXTS, "INVALID_MESSAGE"), objects=OK),
    "epoch": _kind((("long", "large", "stranger"), "INVALID_MESSAGE")),
    "position": _kind((TEXTS, "INVALID_MESSAGE"), zero=OK, huge=OK),
    "subscribe token": _kind((TEXTS, "INVALID_SUBSCRIBE_TOKEN")),
    "umd data": _kind((TEXTS, "INVALID_MESSAGE"), ((*NONE, "objects"), "INVALID_UMD_TOKEN")),
    "umd token": _kind(((*TEXTS, *NONE), "INVALID_UMD_TOKEN")),
    "reaction data": dict.fromkeys(GROUPS, "INVALID_MESSAGE"),
    "message": _required((TEXTS, "MESSAGE_NOT_FOUND")),
    "listed message": _kind((TEXTS, "MESSAGE_NOT_FOUND"), (NONE, "INVALID_REQUEST")),
    "message after": _kind((TEXTS, "INVALID_REQUEST"), empty=OK),
    "reaction": _required(_no_reaction),
    "action": dict.fromkeys(GROUPS, "INVALID_MESSAGE"),
    "ack": _kind((TEXTS, "INVALID_MESSAGE")),
    "schedule": _kind((TEXTS, "INVALID_SCHEDULE_EXPRESSION")),
    "flag": _kind((TEXTS, "INVALID_MESSAGE"), true=OK),
    "limit": _kind(((*TEXTS, "zero"), "INVALID_MESSAGE")),
    "store": _kind((TEXTS, "INVALID_MESSAGE"), zero=OK, huge="INVALID_REQUEST"),
    "storage store": _kind((TEXTS, "INVALID_MESSAGE"), (("zero", "huge"), "INVALID_REQUEST")),
    "deduplication": _kind((("long", "large"), "INVALID_REQUEST")),
    "reactor": _required((("empty", "long", "large"), "INVALID_MESSAGE")),
    "reactor's umd": {**_anything, "long": "DATA_TOO_LARGE", "large": "DATA_TOO_LARGE"},
}

STATUS: Final = {  # any other code: 400
    "INVALID_CONNECTION": 401,
    "INVALID_API_KEY": 401,
    "NOT_SUBSCRIBED": 403,
    "PUBLISH_PERMISSION_DENIED": 403,
    "STORAGE_PERMISSION_DENIED": 403,
    "INFO_PERMISSION_DENIED": 403,
    "INVALID_UMD_TOKEN": 403,
    "UMD_UPDATE_PERMISSION_DENIED": 403,
    "MESSAGE_NOT_FOUND": 404,
    "DATA_TOO_LARGE": 413,
}


def variants(
    good: dict[str, Any], path: Path, kind: str, elsewhere: str | None
) -> Iterator[tuple[str, Any, str | None]]:
    """A name, `good` with another value at `path`, and the code that it is refused with."""
    for group, values in GROUPS.items():
        code = KINDS[kind][group]
        for name, value in values.items():
            yield name, replaced(good, path, value), elsewhere if code == ELSEWHERE else code


def replaced(good: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(good)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    last: Any = path[-1]
    if value is not ABSENT:
        parent[last] = value
    elif isinstance(parent, list) or last in parent:
        del parent[last]
    return changed


def status_of(code: str) -> int:
    return STATUS.get(code, 400)


def for_channel(value: Any, channel: str, jwt: str) -> Any:
    """A good frame or call, for the test's channel and with a token."""
    if isinstance(value, dict):
        return {name: for_channel(inner, channel, jwt) for name, inner in value.items()}
    if value == "TOKEN":
        return jwt
    if isinstance(value, str) and value in (C, f"{C}-2"):
        return value.replace(C, channel)
    return value
