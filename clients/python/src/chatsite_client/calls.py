"""The calls of the server HTTP API (protocol.md sections 13, 15 and 19) as values: what is sent,
and what the answer means. No I/O: `client` has a face for each way to do it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Generic, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from .backoff import Backoff
from .errors import ChatError, Refused, Unreachable

T = TypeVar("T")

MAX_TRIES: Final = 4  # within the 300 s in which the server remembers a deduplicationId
NOT_DONE: Final = frozenset({408, 429})  # refused before it was looked at
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


class Options(TypedDict, total=False):
    """`store` in seconds, 0 for not stored, -1 for ever; `at` when it is to be done: a datetime,
    or an expression as in protocol.md section 13; `timezone` is for one without, by default
    UTC."""

    store: int
    deduplication_id: str
    emit_pub_sub_event: bool
    at: datetime | str
    timezone: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """`id` of a message; `schedule_arn` where it is to be done later."""

    channel: str
    event: str
    id: str | None = None
    schedule_arn: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """`members` are `{"uid": …, "umd": …}` in the order of joining; None: no presence channel."""

    name: str
    subscriptions_count: int
    members: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A storage entry; `meta` is its last writer's `{"uid": …, "umd": …}`, None: a server's."""

    key: str
    data: Any
    meta: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """`read` makes the result of the parsed answer; `absent` is the result of a 404, where that is
    no error. What `is_repeatable` may reach the server twice."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    absent: T | None = None
    is_repeatable: bool = False

    @property
    def content(self) -> bytes | None:
        """Raises ValueError for what is no JSON: NaN, half of a character."""
        if self.body is None:
            return None
        stated = {name: value for name, value in self.body.items() if value is not None}
        return json.dumps(stated, ensure_ascii=False, allow_nan=False).encode()

    def result(self, status: int, headers: Mapping[str, str], content: bytes) -> T:
        """Raises Refused."""
        if status == HTTPStatus.NOT_FOUND and self.absent is not None:
            return self.absent
        if not 200 <= status < 300:
            raise refusal(status, headers, content)
        try:
            return self.read(json.loads(content) if content else None)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Refused(f"HTTP_{status}", "This is no answer of the server's.", status) from None


class Tries:
    """Whether to repeat a call that failed, and when."""

    def __init__(self, call: Call[Any]) -> None:
        self._is_repeatable = call.is_repeatable
        self._left = MAX_TRIES
        self._backoff = Backoff()

    def wait(self, error: ChatError) -> float:
        """Seconds until the next one. Raises the error where there must be none."""
        self._left -= 1
        if self._left == 0 or not self._may_repeat(error):
            raise error
        return self._backoff.next(retry_after=getattr(error, "retry_after", None))

    def _may_repeat(self, error: ChatError) -> bool:
        if isinstance(error, Refused):
            return error.status in (PASSING if self._is_repeatable else NOT_DONE)
        return self._is_repeatable or (isinstance(error, Unreachable) and not error.sent)


def refusal(status: int, headers: Mapping[str, str], content: bytes) -> Refused:
    """What an answer that is none of success says; a proxy's has no code."""
    try:
        error = json.loads(content)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        code, message = f"HTTP_{status}", "The server or a proxy refused without a reason."
    after = headers.get("retry-after", "")
    seconds = float(after) if after.isascii() and after.isdigit() else None
    return Refused(code, message, status, seconds)


def publish(channel: str, event: str, data: object, **options: Unpack[Options]) -> Call[Receipt]:
    return _publish({"channel": channel, "event": event, "data": data}, **options)


def set_storage(channel: str, key: str, data: object, **options: Unpack[Options]) -> Call[Receipt]:
    event = "hotsock.channelStorageSet"
    return _publish({"channel": channel, "event": event, "key": key, "data": data}, **options)


def react(
    channel: str, message_id: str, reaction: str, uid: str, umd: object, action: str
) -> Call[Receipt]:
    data = {"messageId": message_id, "reaction": reaction, "action": action, "uid": uid, "umd": umd}
    return _publish({"channel": channel, "event": "hotsock.messageReaction", "data": data})


def delete_message(channel: str, message_id: str) -> Call[None]:
    path = f"channels/{_quoted(channel)}/messages/{_quoted(message_id)}"
    return Call("DELETE", path, lambda answer: None)


def cancel_schedule(schedule_arn: str) -> Call[bool]:
    return Call("DELETE", f"schedules/{_quoted(schedule_arn)}", lambda answer: True, absent=False)


def channel_info(channel: str) -> Call[ChannelInfo]:
    return Call("GET", f"channels/{_quoted(channel)}", _channel_info, is_repeatable=True)


def list_storage(channel: str, keys: Iterable[str], after: str) -> Call[list[Entry]]:
    query = {"keys": ",".join(keys), "after": after}
    query = {name: value for name, value in query.items() if value}
    path = f"channels/{_quoted(channel)}/storage"
    return Call("GET", path, _entries, query=query, is_repeatable=True)


def _publish(
    fields: Mapping[str, object],
    *,
    store: int | None = None,
    deduplication_id: str | None = None,
    emit_pub_sub_event: bool | None = None,
    at: datetime | str | None = None,
    timezone: str | None = None,
) -> Call[Receipt]:
    if isinstance(at, datetime):
        at, timezone = _expression(at, timezone)
    body = {
        **fields,
        "store": store,
        "deduplicationId": deduplication_id,
        "eagerIdGeneration": True,
        "emitPubSubEvent": emit_pub_sub_event,
        "scheduleExpression": at,
        "scheduleExpressionTimezone": timezone,
    }
    return Call("POST", "publish", _receipt, body, is_repeatable=bool(deduplication_id))


def _expression(at: datetime, timezone: str | None) -> tuple[str, str | None]:
    """A moment with fractions of a second becomes the next full one."""
    if at.tzinfo is not None:
        at, timezone = at.astimezone(UTC).replace(tzinfo=None), "UTC"
    if at.microsecond:
        at = at.replace(microsecond=0) + timedelta(seconds=1)
    return f"at({at.isoformat()})", timezone


def _quoted(name: str) -> str:
    """As one segment of a path, which dots alone would not be."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def _receipt(answer: Any) -> Receipt:
    found = answer.get("id"), answer.get("scheduleArn")
    return Receipt(answer["channel"], answer["event"], *found)


def _channel_info(answer: Any) -> ChannelInfo:
    return ChannelInfo(answer["name"], answer["subscriptionsCount"], answer.get("members"))


def _entries(answer: Any) -> list[Entry]:
    return [Entry(item["key"], item["data"], item.get("meta")) for item in answer["items"]]
