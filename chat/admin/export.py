"""Export of the filtered messages as a streamed file, the oldest first.

Holds one chunk in memory, however long the history: each is read by key when the one before has
been sent. Reads in the reader's threads, like every read of the server.
"""

import csv
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django import http
from django.db.models import QuerySet
from msgspec import Raw, json

from chat.models import Message, Reaction
from chat.store.reads import read

from . import render
from .filters import MessageFilters
from .paging import Cursor, Scans, read_page

CHUNK: Final = 200  # messages at once: 6.4 MB where each has the 32 KiB that it may have

COLUMNS: Final = ("time", "id", "channel", "event", "uid", "data", "umd", "expires_at", "reactions")
# Spreadsheets run a cell that begins so as a formula (OWASP, "CSV Injection"); in some languages
# the wide forms, too.
FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Format:
    content_type: str
    head: bytes
    encode: Callable[[Message, Iterable[Reaction]], bytes]


def export(
    request: http.HttpRequest, messages: QuerySet[Message], suffix: str
) -> http.HttpResponseBase:
    """A file of the messages that pass the filters; raises Http404 for an unknown suffix."""
    if suffix not in FORMATS:
        raise http.Http404
    filters = MessageFilters(request.GET)
    if not filters.is_valid() or request.GET.keys() - filters.fields.keys():
        return http.HttpResponseBadRequest("The address asks for something that is not known here.")
    form = FORMATS[suffix]
    file = _file(form, filters.scans(messages))
    response = http.StreamingHttpResponse(file, content_type=form.content_type)
    name = f"messages-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{suffix}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _file(form: Format, scans: Scans[Message]) -> AsyncIterator[bytes]:
    yield form.head
    cursor = Cursor(back=True)  # from the end, which is the oldest
    while True:
        chunk, onward = await read(_chunk, form, scans, cursor)
        yield chunk
        if not onward:
            return
        cursor = Cursor(onward, back=True)


def _chunk(form: Format, scans: Scans[Message], cursor: Cursor) -> tuple[bytes, str]:
    """The next messages, encoded, and the cursor after them, "" at the end."""
    page = read_page(scans, cursor, CHUNK)
    standing = Reaction.objects.standing().filter(message_id__in=[row.id for row in page.rows])
    reactions: dict[str, list[Reaction]] = defaultdict(list)
    for reaction in standing.order_by("number"):
        reactions[reaction.message_id].append(reaction)
    encoded = (form.encode(row, reactions[row.id]) for row in reversed(page.rows))
    return b"".join(encoded), page.newer


# --- JSON Lines ---------------------------------------------------------------------------------


def _line(message: Message, reactions: Iterable[Reaction]) -> bytes:
    """A message as clients get it (protocol.md section 8), with what else the server knows."""
    meta = {} if message.by_server else {"meta": {"uid": message.uid, "umd": _raw(message.umd)}}
    fields = {
        "id": message.id,
        "event": message.event,
        "channel": message.channel.name,
        "data": _raw(message.data),
        **meta,
        "createdAt": render.time_of(message.id),
        "expiresAt": message.expires_at,
        "reactions": _reaction_objects(reactions),
    }
    return json.encode(fields) + b"\n"


def _reaction_objects(reactions: Iterable[Reaction]) -> list[dict[str, object]]:
    return [
        {
            "reaction": reaction.reaction,
            "uid": reaction.uid,
            "umd": _raw(reaction.umd),
            "createdAt": reaction.created_at,
        }
        for reaction in reactions
    ]


def _raw(text: str) -> Raw:
    """JSON text as it is, on one line: a line break between tokens is white space, and strings
    have none."""
    return Raw(text.replace("\n", " ").replace("\r", " ").encode())


# --- CSV ----------------------------------------------------------------------------------------


def _row(message: Message, reactions: Iterable[Reaction]) -> bytes:
    return _csv(
        render.time_of(message.id).isoformat(),
        message.id,
        message.channel.name,
        message.event,
        message.uid or "",
        message.data,
        message.umd,
        message.expires_at.isoformat() if message.expires_at else "",
        json.encode(_reaction_objects(reactions)).decode(),
    )


def _csv(*cells: str) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(map(harmless, cells))
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs: an apostrophe before it makes it text."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


# Spreadsheets recognise UTF-8 by the byte order mark.
FORMATS: Final = {
    "jsonl": Format("application/x-ndjson", b"", _line),
    "csv": Format("text/csv; charset=utf-8", b"\xef\xbb\xbf" + _csv(*COLUMNS), _row),
}
