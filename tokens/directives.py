"""How each claim and directive is read: a table for each object of a token (protocol.md section 4).

Pure. A row says what is expected and gives the value, or None for what is refused; null never
gets here, since it counts as absent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from tokens import names, strict_json

SCOPES = frozenset({"connect", "subscribe", "umd"})

# 9999-01-01T00:00:00Z: later instants mean this one, so that each, and a leeway more, can become a
# datetime or a ULID.
MAX_INSTANT = 253_370_764_800.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How one claim is read. `read` gives None for what it refuses; `scope`: counts only there."""

    expected: str
    read: Callable[[object], object]
    scope: str | None = None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _instant(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(max(value, 0), MAX_INSTANT))


def _whole(value: object) -> int | None:
    """An integer; JSON has one kind of number, so 30.0 is one too."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(low: int, high: int, *special: int) -> Callable[[object], int | None]:
    def read(value: object) -> int | None:
        number = _whole(value)
        if number is None or not (low <= number <= high or number in special):
            return None
        return number

    return read


def _uid(value: object) -> str | None:
    return value if isinstance(value, str) and names.is_uid(value) else None


def _alias(value: object) -> str | None:
    return value if isinstance(value, str) and names.is_channel_name(value) else None


def _umd(value: object) -> str | None:
    text = strict_json.dumps(value)
    return text if len(text.encode()) <= names.MAX_UMD_BYTES else None


def _scope(value: object) -> frozenset[str] | None:
    if not isinstance(value, str):
        return None
    words = frozenset(value.split(" ")) - {""}
    return words if words <= SCOPES else None


def _audience(value: object) -> tuple[str, ...] | None:
    listed = [value] if isinstance(value, str) else value
    return tuple(listed) if _is_texts(listed) else None


def _react(value: object) -> bool | frozenset[str] | None:
    if isinstance(value, bool):
        return value
    return frozenset(value) if _is_texts(value) else None


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _object(value: object) -> dict[str, object] | None:
    return value if isinstance(value, dict) else None


_BOOLEAN = Rule("true or false", _boolean)
_CONNECT_BOOLEAN = Rule("true or false", _boolean, scope="connect")
_TEXT = Rule("a string", _text)
_INSTANT = Rule("a number of unix seconds", _instant)
_OBJECT = Rule("an object", _object)
_MAX_STORE = names.MAX_STORE_SECONDS

CLAIMS: dict[str, Rule] = {
    "exp": _INSTANT,
    "nbf": _INSTANT,
    "iat": _INSTANT,
    "scope": Rule('some of "connect", "subscribe" and "umd", separated by spaces', _scope),
    "aud": Rule("a string or a list of strings", _audience),
    "iss": _TEXT,
    "jti": _TEXT,
    "uid": Rule(f"a string of at most {names.MAX_UID_LENGTH} characters", _uid),
    "umd": Rule(f"at most {names.MAX_UMD_BYTES} bytes of JSON", _umd),
    "connectionId": _TEXT,
    "keepAlive": _BOOLEAN,
    "heartbeatTimeout": Rule("a whole number from 5 to 600", _seconds(5, 600)),
    "singleUse": _BOOLEAN,
    "umdUpdate": _BOOLEAN,
    "umdPropagate": _BOOLEAN,
    "channels": _OBJECT,
}
CHANNEL: dict[str, Rule] = {
    "subscribe": _BOOLEAN,
    "autoSubscribe": _CONNECT_BOOLEAN,
    "alias": Rule("a valid channel name", _alias),
    "getInfo": _BOOLEAN,
    "historyStart": _INSTANT,
    "omitFromSubCount": _BOOLEAN,
    "umdUpdate": _BOOLEAN,
    "messages": _OBJECT,
    "storage": _OBJECT,
}
PLAIN_NAMES_ONLY = ("autoSubscribe", "alias")
MESSAGE: dict[str, Rule] = {
    "publish": _BOOLEAN,
    "broadcast": _CONNECT_BOOLEAN,
    "echo": _BOOLEAN,
    "store": Rule(f"0, -1 or 1 to {_MAX_STORE} seconds", _seconds(1, _MAX_STORE, 0, -1)),
    "react": Rule("true, false or a list of strings", _react),
    "scheduleBefore": _INSTANT,
    "emitPubSubEvent": _BOOLEAN,
}
STORAGE: dict[str, Rule] = {
    "get": _BOOLEAN,
    "set": _BOOLEAN,
    "observe": _BOOLEAN,
    "store": Rule(f"-1 or 1 to {_MAX_STORE} seconds", _seconds(1, _MAX_STORE, -1)),
    "scheduleBefore": _INSTANT,
    "emitPubSubEvent": _BOOLEAN,
}
