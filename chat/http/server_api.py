"""The server HTTP API (protocol.md section 15): for the application's own backend, with an API key.
Parses and answers; the verbs act.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from django.http import HttpResponse
from msgspec import json

from chat.actions import restrictions
from chat.actions.deletion import delete_message
from chat.actions.publishing import cancel_schedule, publish_as_server
from chat.actions.queries import channel_info
from chat.actions.restrictions import list_bans, list_revocations
from chat.actions.storage import list_entries
from chat.conf import settings
from chat.http.client_api import entries_response, info_response, valid_keys
from chat.http.credentials import require_api_key
from chat.http.endpoint import (
    Call,
    accepted,
    body_of,
    endpoint,
    invalid,
    of_api,
    query_of,
    refusal,
    respond,
    source_of,
)
from chat.models import Restriction
from chat.protocol import commands, frames
from chat.protocol.publication import parse
from chat.protocol.restrictions import (
    Ban,
    Revocation,
    Selection,
    valid_ban,
    valid_revocation,
    valid_selection,
)
from chat.runtime import node as nodes
from chat.store.reads import read

STORAGE: Final = b"/storage"
MESSAGES: Final = b"/messages/"
READING: Final = ("GET", "HEAD")
BODY: Final = "The body"
MAX_ID_DIGITS: Final = 19

_selection = json.Decoder(Selection)
_revocation = json.Decoder(Revocation)
_ban = json.Decoder(Ban)


@endpoint("POST")
async def publish(request: Call) -> HttpResponse:
    """`POST /publish`."""
    require_api_key(request)
    publication = parse(await body_of(request))
    source = source_of(request, "server.http")
    node = await nodes.current()
    channel = publication.command.channel
    request.about = {"channel": channel}
    receipt = await publish_as_server(node.hub, node.writer, publication, source)
    request.about = {"channel": channel, "message": receipt.id}
    return accepted(receipt, with_id=publication.eager)


@of_api
async def below_channels(request: Call, rest: str | None = None) -> HttpResponse:
    """A path that is read names a channel, which may have slashes, too."""
    reads = request.method in READING or MESSAGES not in _path(request)
    return await (channel if reads else message)(request)


def _path(request: Call) -> bytes:
    """What follows `/channels/`, percent-encoded: a slash in a name differs from the path's."""
    whole: bytes = request.scope.get("raw_path") or quote(request.path).encode()
    match = request.resolver_match
    rest = match.kwargs.get("rest") if match else None
    if rest is None:
        return b""
    return whole.split(b"/", request.path.removesuffix(rest).count("/"))[-1]


@endpoint(*READING)
async def channel(request: Call) -> HttpResponse:
    """`GET /channels/{name}` and `GET /channels/{name}/storage`."""
    require_api_key(request)
    path = _path(request)
    if path.endswith(STORAGE):
        return await _entries(request, _name(path.removesuffix(STORAGE)))
    return info_response(b"name", await read(channel_info, _name(path)))


@endpoint("DELETE", allow="GET, HEAD, DELETE")
async def message(request: Call) -> HttpResponse:
    """`DELETE /channels/{name}/messages/{id}` (section 19)."""
    actor = require_api_key(request)
    name, _, id = _path(request).rpartition(MESSAGES)
    source = source_of(request, "server.http")
    node = await nodes.current()
    await delete_message(node.writer, _name(name), _decoded(id) or "", source, actor)
    return HttpResponse(status=204)


def _name(encoded: bytes) -> str:
    return commands.valid_channel(_decoded(encoded))


def _decoded(encoded: bytes) -> str | None:
    """None: it is no UTF-8."""
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return None


async def _entries(request: Call, channel: str) -> HttpResponse:
    query = query_of(request)
    keys, after = query.get("keys"), query.get("after", "")
    entries = await list_entries(
        channel,
        keys=valid_keys(keys.split(",")) if keys else None,
        after=commands.valid_key(after, "after") if after else "",
    )
    return entries_response(entries)


# --- who is let in (section 19) ------------------------------------------------------------------


@endpoint("POST")
async def disconnect(request: Call) -> HttpResponse:
    """`POST /connections/disconnect`."""
    actor = require_api_key(request)
    selection = valid_selection(frames.read(await body_of(request), _selection, BODY))
    count = await restrictions.disconnect(await nodes.current(), selection, actor)
    return respond(b'{"connections":%d}' % count, 202)


@endpoint("POST")
async def revoke(request: Call) -> HttpResponse:
    """`POST /tokens/revoke`."""
    actor = require_api_key(request)
    what = valid_revocation(frames.read(await body_of(request), _revocation, BODY))
    count = await restrictions.revoke_tokens(await nodes.current(), what, actor)
    return respond(b'{"connections":%d}' % count, 202)


@endpoint(*READING)
async def revoked(request: Call) -> HttpResponse:
    """`GET /tokens/revoked`."""
    require_api_key(request)
    rows = await read(list_revocations, _after(request))
    items = [
        {
            "id": row.id,
            "jti": row.jti or None,
            "uid": row.uid,
            "issuedBefore": None if row.issued_before is None else _number(row.issued_before),
            "expiresAt": _seconds(row.expires_at),
        }
        for row in rows
    ]
    return respond(json.encode({"items": items}))


@endpoint("GET", "HEAD", "POST")
async def bans(request: Call) -> HttpResponse:
    """`GET /bans` and `POST /bans`."""
    actor = require_api_key(request)
    if request.method in READING:
        return _bans(await read(list_bans, _after(request)))
    asked = frames.read(await body_of(request), _ban, BODY)
    what = valid_ban(asked, settings.FORWARDED_ALLOW_IPS)
    id = await restrictions.ban(await nodes.current(), what, actor)
    return respond(b'{"id":%d}' % id, 201)


def _bans(rows: Iterable[Restriction]) -> HttpResponse:
    items = [
        {
            "id": row.id,
            "uid": row.uid,
            "address": row.address or None,
            "channel": row.channel or None,
            "until": _seconds(row.expires_at),
            "reason": row.reason or None,
        }
        for row in rows
    ]
    return respond(json.encode({"items": items}))


@endpoint("DELETE")
async def ban(request: Call, id: str) -> HttpResponse:
    """`DELETE /bans/{id}`."""
    actor = require_api_key(request)
    known = _id(id)
    if not known or not await restrictions.unban(await nodes.current(), known, actor):
        return refusal(invalid("There is no such ban in force."), status=404)
    return HttpResponse(status=204)


def _after(request: Call) -> int:
    """Raises INVALID_REQUEST."""
    after = query_of(request).get("after") or "0"
    known = _id(after)
    if known is None:
        raise invalid("after must be an id.")
    return known


def _id(text: str) -> int | None:
    """None: it is none."""
    return int(text) if len(text) < MAX_ID_DIGITS and text.isascii() and text.isdigit() else None


def _seconds(time: datetime | None) -> int | float | None:
    return None if time is None else _number(time.timestamp())


def _number(seconds: float) -> int | float:
    """Without a fraction where there is none."""
    return int(seconds) if seconds.is_integer() else seconds


@endpoint("DELETE")
async def schedule(request: Call, arn: str) -> HttpResponse:
    """`DELETE /schedules/{scheduleArn}` (section 13)."""
    require_api_key(request)
    if not await cancel_schedule((await nodes.current()).writer, arn):
        return refusal(invalid("There is no such schedule, or it is done."), status=404)
    return HttpResponse(status=204)
