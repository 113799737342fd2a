"""What Python code asks `chat.api` for, checked as if it had come over HTTP (docs/python.md).

Makes publications of plain values; `chat.api` does them.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

from django.core.serializers.json import DjangoJSONEncoder

from chat.protocol import frames
from chat.protocol.publication import Publication, parse

FIELDS: Final = {
    "store": "store",
    "deduplication_id": "deduplicationId",
    "emit_pub_sub_event": "emitPubSubEvent",
    "timezone": "scheduleExpressionTimezone",
}


class Options(TypedDict, total=False):
    """`store` in seconds, 0 for not stored, -1 for ever; `at` when it is to be done: a datetime,
    or an expression as in protocol.md section 13; `timezone` is for one without, by default
    UTC."""

    store: int
    deduplication_id: str
    emit_pub_sub_event: bool
    at: datetime | str
    timezone: str


def message(channel: str, event: str, data: str, options: Options) -> Publication:
    return publication({"channel": channel, "event": event}, data, options)


def entry(channel: str, key: str, data: str, options: Options) -> Publication:
    named = {"channel": channel, "event": "hotsock.channelStorageSet", "key": key}
    return publication(named, data, options)


def reaction(
    channel: str, message_id: str, reaction: str, uid: str, umd: Any, action: str
) -> Publication:
    change = {"messageId": message_id, "reaction": reaction, "action": action}
    named = {"channel": channel, "event": "hotsock.messageReaction"}
    return publication(named, json_text({**change, "uid": uid, "umd": umd}), {})


def publication(named: dict[str, Any], data: str, options: Options) -> Publication:
    stated = dict(options)
    at, timezone = stated.pop("at", None), stated.get("timezone")
    if unknown := stated.keys() - FIELDS.keys():
        raise TypeError(f"There is no option {', '.join(sorted(unknown))}.")
    fields = named | {FIELDS[name]: value for name, value in stated.items()}
    if at is not None:
        fields |= _schedule(at, timezone)
    text = json_text(fields)
    return parse(f'{text[:-1]},"data":{data}}}', "What is published")


def _schedule(at: Any, timezone: Any) -> dict[str, Any]:
    """A moment with fractions of a second becomes the next full one."""
    if not isinstance(at, datetime):
        return {"scheduleExpression": at}
    if at.tzinfo is not None:
        at, timezone = at.astimezone(UTC).replace(tzinfo=None), "UTC"
    if at.microsecond:
        at = at.replace(microsecond=0) + timedelta(seconds=1)
    return {
        "scheduleExpression": f"at({at.isoformat()})",
        "scheduleExpressionTimezone": timezone,
    }


def json_text(value: Any) -> str:
    """Compact JSON; knows dates, decimals, UUIDs and lazy text as Django does."""
    try:
        return json.dumps(
            value,
            cls=DjangoJSONEncoder,
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
        )
    except RecursionError:
        raise frames.malformed("data is nested too deep.") from None
    except (TypeError, ValueError) as error:
        raise frames.malformed(f"This cannot be written as JSON: {error}.") from None
