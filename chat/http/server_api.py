"""The server HTTP API (protocol.md section 15): for the application's own backend, with an API key.
Parses and answers; the verbs act.
"""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from django.http import HttpResponse

from chat.actions.deletion import delete_message
from chat.actions.publishing import cancel_schedule, publish_as_server
from chat.actions.queries import channel_info
from chat.actions.storage import list_entries
from chat.http.client_api import entries_response, info_response, valid_keys
from chat.http.credentials import require_api_key
from chat.http.endpoint import (
    Call,
    accepted,
    body_of,
    endpoint,
    invalid,
    query_of,
    refusal,
    source_of,
)
from chat.protocol import commands
from chat.protocol.publication import parse
from chat.runtime import node as nodes
from chat.store.reads import read

STORAGE: Final = b"/storage"
MESSAGES: Final = b"/messages/"
READING: Final = ("GET", "HEAD")


@endpoint("POST")
async def publish(request: Call) -> HttpResponse:
    """`POST /publish`."""
    require_api_key(request)
    publication = parse(await body_of(request))
    source = source_of(request, "server.http")
    node = await nodes.current()
    receipt = await publish_as_server(node.hub, node.writer, publication, source)
    return accepted(receipt, with_id=publication.eager)


async def below_channels(request: Call) -> HttpResponse:
    """A path that is read names a channel, which may have slashes, too."""
    reads = request.method in READING or MESSAGES not in _path(request)
    return await (channel if reads else message)(request)


def _path(request: Call) -> bytes:
    """What follows `/channels/`, percent-encoded: a slash in a name differs from the path's."""
    whole: bytes = request.scope.get("raw_path") or quote(request.path).encode()
    return whole.partition(b"/channels/")[2]


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


@endpoint("DELETE")
async def schedule(request: Call, arn: str) -> HttpResponse:
    """`DELETE /schedules/{scheduleArn}` (section 13)."""
    require_api_key(request)
    if not await cancel_schedule((await nodes.current()).writer, arn):
        return refusal(invalid("There is no such schedule, or it is done."), status=404)
    return HttpResponse(status=204)
