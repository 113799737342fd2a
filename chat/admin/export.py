"""The history that was asked for as a file, the oldest message first, streamed.

What is in memory is one page, however long the history: each is read by key when the one before
has been sent. Reads beside the event loop, like every read of the server.
"""

import csv
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from msgspec import Raw, json

from chat.models import Message, Reaction
from chat.store.reads import read

from . import words
from .filters import MessageFilters
from .paging import Cursor, Stream, read_page

CHUNK: Final = 200  # messages at once: 6.4 MB where each has the 32 KiB that it may have

Reactions = Sequence[Reaction]

COLUMNS: Final = (
    *("time", "id", "channel", "event", "uid", "data", "umd", "expires_at", "reactions"),
)
# A spreadsheet takes what begins so for a formula and runs it (OWASP, "CSV Injection"); in some
# languages the wide forms, too.
FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Format:
    content_type: str
    head: bytes
    write: Callable[[Sequence[Message], dict[str, list[Reaction]]], bytes]


def export(request: HttpRequest, messages: QuerySet[Message], suffix: str) -> HttpResponseBase:
    """A file of the messages that the address asks for; raises Http404 for an unknown suffix."""
    if suffix not in FORMATS:
        raise Http404
    filters = MessageFilters(request.GET)
    if not filters.is_valid() or request.GET.keys() - filters.fields.keys():
        return HttpResponseBadRequest("The address asks for something that is not known here.")
    form = FORMATS[suffix]
    response = StreamingHttpResponse(
        _file(form, filters.streams(messages)), content_type=form.content_type
    )
    name = f"messages-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{suffix}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _file(form: Format, streams: Sequence[Stream]) -> AsyncIterator[bytes]:
    yield form.head
    cursor = Cursor(back=True)  # from the end, which is the oldest
    while True:
        chunk, onward = await read(_chunk, form, streams, cursor)
        yield chunk
        if not onward:
            return
        cursor = Cursor(onward, back=True)


def _chunk(form: Format, streams: Sequence[Stream], cursor: Cursor) -> tuple[bytes, str]:
    """The text of the next messages and the cursor after them, "" at the end."""
    page = read_page(streams, cursor, CHUNK)
    standing = Reaction.objects.standing().filter(message_id__in=[row.id for row in page.rows])
    reactions: dict[str, list[Reaction]] = defaultdict(list)
    for reaction in standing.order_by("number"):
        reactions[reaction.message_id].append(reaction)
    return form.write(page.rows[::-1], reactions), page.newer


# --- JSON Lines -----------------------------------------------------------------------------


def _lines(messages: Iterable[Message], reactions: dict[str, list[Reaction]]) -> bytes:
    return b"".join(
        json.encode(_object(message, reactions[message.id])) + b"\n" for message in messages
    )


def _object(message: Message, reactions: Reactions) -> dict[str, Any]:
    """A message as it travels (protocol.md section 8), with what the server knows besides."""
    meta = {} if message.by_server else {"meta": {"uid": message.uid, "umd": _raw(message.umd)}}
    return {
        "id": message.id,
        "event": message.event,
        "channel": message.channel.name,
        "data": _raw(message.data),
        **meta,
        "createdAt": words.moment_of(message.id),
        "expiresAt": message.expires_at,
        "reactions": [_reaction(reaction) for reaction in reactions],
    }


def _reaction(reaction: Reaction) -> dict[str, Any]:
    return {
        "reaction": reaction.reaction,
        "uid": reaction.uid,
        "umd": _raw(reaction.umd),
        "createdAt": reaction.created_at,
    }


def _raw(text: str) -> Raw:
    """JSON text as it is, on one line: between tokens a line break is white space, within strings
    there is none."""
    return Raw(text.replace("\n", " ").replace("\r", " ").encode())


# --- CSV ------------------------------------------------------------------------------------


def _cells(messages: Iterable[Message], reactions: dict[str, list[Reaction]]) -> bytes:
    return _csv(_row(message, reactions[message.id]) for message in messages)


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _row(message: Message, reactions: Reactions) -> Sequence[str]:
    return (
        words.moment_of(message.id).isoformat(),
        message.id,
        message.channel.name,
        message.event,
        message.uid or "",
        message.data,
        message.umd,
        message.expires_at.isoformat() if message.expires_at else "",
        json.encode([_reaction(reaction) for reaction in reactions]).decode(),
    )


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs: an apostrophe before it makes it text."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


# The mark of byte order is how spreadsheets know UTF-8; programs read JSON Lines.
FORMATS: Final = {
    "jsonl": Format("application/x-ndjson", b"", _lines),
    "csv": Format("text/csv; charset=utf-8", b"\xef\xbb\xbf" + _csv([COLUMNS]), _cells),
}
