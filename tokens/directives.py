"""The claims of a token and the directives of its entries: one table for each of its objects.

Pure. protocol.md section 4 is the source. A rule never sees null, which counts as absent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from tokens import names, strict_json
from tokens.strict_json import Json

SCOPES = frozenset({"connect", "subscribe", "umd"})

# 9999-01-01T00:00:00Z. Later instants are read as this one, so that each of them, even with a
# leeway added, fits into a datetime and a ULID.
MAX_INSTANT = 253_370_764_800.0

type Reader[T] = Callable[[Json], T | None]


@dataclass(frozen=True, slots=True)
class Rule[T]:
    """How one claim or directive is read. `read` returns None for a value that it refuses.

    With a `scope`, it is validated in every token, but counts only in tokens used in that scope.
    """

    expected: str
    read: Reader[T]
    scope: str | None = None


type Rules = Mapping[str, Rule[object]]


def _a[T](kind: type[T]) -> Reader[T]:
    """Not for numbers: a boolean is an `int` too."""
    return lambda value: value if isinstance(value, kind) else None


def _valid(is_valid: Callable[[str], bool]) -> Reader[str]:
    return lambda value: value if isinstance(value, str) and is_valid(value) else None


def _instant(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(max(value, 0), MAX_INSTANT))


def _integer(value: Json) -> int | None:
    """JSON has one kind of number, so 30.0 is an integer too."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(low: int, high: int, *special: int) -> Reader[int]:
    def read(value: Json) -> int | None:
        number = _integer(value)
        if number is None or not (low <= number <= high or number in special):
            return None
        return number

    return read


def _umd(value: Json) -> str | None:
    text = strict_json.dumps(value)
    return text if len(text.encode()) <= names.MAX_UMD_BYTES else None


def _scope(value: Json) -> frozenset[str] | None:
    if not isinstance(value, str):
        return None
    words = frozenset(value.split(" ")) - {""}
    return words if words <= SCOPES else None


def _audience(value: Json) -> tuple[str, ...] | None:
    listed = [value] if isinstance(value, str) else value
    return tuple(listed) if _is_texts(listed) else None


def _react(value: Json) -> bool | tuple[str, ...] | None:
    if isinstance(value, bool):
        return value
    return tuple(value) if _is_texts(value) else None


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# An object of entries, which have keys and directives of their own (`ENTRIES`).
OBJECT = Rule("an object", _a(dict))

_BOOLEAN = Rule("true or false", _a(bool))
_CONNECT_BOOLEAN = Rule("true or false", _a(bool), scope="connect")
_TEXT = Rule("a string", _a(str))
_INSTANT = Rule("a number of unix seconds", _instant)
_MAX_STORE = names.MAX_STORE_SECONDS

CLAIMS: Rules = {
    "exp": _INSTANT,
    "nbf": _INSTANT,
    "iat": _INSTANT,
    "scope": Rule('some of "connect", "subscribe" and "umd", separated by spaces', _scope),
    "aud": Rule("a string or a list of strings", _audience),
    "iss": _TEXT,
    "jti": _TEXT,
    "uid": Rule(f"a string of at most {names.MAX_UID_LENGTH} characters", _valid(names.is_uid)),
    "umd": Rule(f"at most {names.MAX_UMD_BYTES} bytes of JSON", _umd),
    "connectionId": _TEXT,
    "keepAlive": _BOOLEAN,
    "heartbeatTimeout": Rule("a whole number from 5 to 600", _seconds(5, 600)),
    "singleUse": _BOOLEAN,
    "umdUpdate": _BOOLEAN,
    "umdPropagate": _BOOLEAN,
    "channels": OBJECT,
}
CHANNEL: Rules = {
    "subscribe": _BOOLEAN,
    "autoSubscribe": _CONNECT_BOOLEAN,
    "alias": Rule("a valid channel name", _valid(names.is_channel_name)),
    "getInfo": _BOOLEAN,
    "historyStart": _INSTANT,
    "omitFromSubCount": _BOOLEAN,
    "umdUpdate": _BOOLEAN,
    "messages": OBJECT,
    "storage": OBJECT,
}
NOT_ON_PATTERNS = ("autoSubscribe", "alias")
MESSAGE: Rules = {
    "publish": _BOOLEAN,
    "broadcast": _CONNECT_BOOLEAN,
    "echo": _BOOLEAN,
    "store": Rule(f"0, -1 or 1 to {_MAX_STORE} seconds", _seconds(1, _MAX_STORE, 0, -1)),
    "react": Rule("true, false or a list of strings", _react),
    "scheduleBefore": _INSTANT,
    "emitPubSubEvent": _BOOLEAN,
}
STORAGE: Rules = {
    "get": _BOOLEAN,
    "set": _BOOLEAN,
    "observe": _BOOLEAN,
    "store": Rule(f"-1 or 1 to {_MAX_STORE} seconds", _seconds(1, _MAX_STORE, -1)),
    "scheduleBefore": _INSTANT,
    "emitPubSubEvent": _BOOLEAN,
}

# The objects of entries, and what each of their entries may state.
ENTRIES: Mapping[str, Rules] = {"channels": CHANNEL, "messages": MESSAGE, "storage": STORAGE}
