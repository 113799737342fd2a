"""The server HTTP API (protocol.md section 15): for the application's own backend, with an API key.

Parses and answers; the verbs act.
"""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from django.http import HttpRequest, HttpResponse
from msgspec import json, structs

from chat.actions.channels import channel_info
from chat.actions.publishing import cancel_schedule, publish_as_server
from chat.actions.storage import list_entries
from chat.http.client_api.storage import listing, valid_keys
from chat.http.credentials import needs_api_key
from chat.http.operation import answer, body_of, door, invalid, query_of, refusal, source_of
from chat.protocol import decoders
from chat.protocol.publication import parse
from chat.runtime import node

STORAGE: Final = b"/storage"


@door("POST")
@needs_api_key
async def publish(request: HttpRequest) -> HttpResponse:
    """`POST /publish`."""
    publication = parse(body_of(request))
    source = source_of(request, "server.http")
    here = await node.current()
    receipt = await publish_as_server(here.hub, here.writer, publication, source)
    if not publication.eager:
        receipt = structs.replace(receipt, id=None)
    return answer(json.encode(receipt), 202)


@door("GET", "HEAD")
@needs_api_key
async def channel(request: HttpRequest) -> HttpResponse:
    """`GET /channels/{name}` and `GET /channels/{name}/storage`."""
    path = _path_below_channels(request)
    if path.endswith(STORAGE):
        return await _storage(request, _name(path.removesuffix(STORAGE)))
    info = await channel_info(_name(path))
    members = b"" if info.members is None else b',"members":' + info.members
    counted = json.encode(info.name), info.subscriptions
    return answer(b'{"name":%b,"subscriptionsCount":%d%b}' % (*counted, members))


def _path_below_channels(request: HttpRequest) -> bytes:
    """Percent-encoded still, so that a slash of the name's own can be told from one of ours."""
    scope = getattr(request, "scope", {})  # an ASGI server's
    whole: bytes = scope.get("raw_path") or quote(request.path).encode()
    return whole.partition(b"/channels/")[2]


def _name(encoded: bytes) -> str:
    try:
        name = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        name = None
    return decoders.valid_channel(name)


async def _storage(request: HttpRequest, channel: str) -> HttpResponse:
    query = query_of(request)
    keys, after = query.get("keys"), query.get("after", "")
    entries = await list_entries(
        channel,
        keys=valid_keys(keys.split(",")) if keys else None,
        after=decoders.valid_key(after, "after") if after else "",
    )
    return answer(listing(entries))


@door("DELETE")
@needs_api_key
async def schedule(request: HttpRequest, arn: str) -> HttpResponse:
    """`DELETE /schedules/{scheduleArn}` (section 13)."""
    if not await cancel_schedule((await node.current()).writer, arn):
        return refusal(invalid("There is no such schedule, or it is done."), status=404)
    return HttpResponse(status=204)
