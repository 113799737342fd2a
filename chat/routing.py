"""The ASGI applications of the chat, beside Django's: WebSockets (protocol.md section 1) and
lifespan. What a project's `asgi.py` takes is `chat/asgi.py`."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgiref.typing import ASGIReceiveCallable as Receive
from asgiref.typing import ASGISendCallable as Send
from asgiref.typing import LifespanScope
from channels.routing import ProtocolTypeRouter
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

from chat import urls
from chat.connections.consumer import ChatConsumer
from chat.connections.handshake import not_found
from chat.http.fast_path import Handler, match_of
from chat.protocol.errors import ProtocolError
from chat.runtime import node as nodes

Application = Callable[[Any, Receive, Send], Awaitable[None]]

log = logging.getLogger("chat.runtime.node")

consumer = ChatConsumer.as_asgi()


def websockets(others: Application) -> Application:
    """The chat's WebSockets; `others` has those of other addresses."""

    async def serve(scope: Any, receive: Receive, send: Send) -> None:
        await (consumer if is_ours(scope) else others)(scope, receive, send)

    return serve


websocket = websockets(not_found)


def is_ours(scope: Mapping[str, Any]) -> bool:
    """Whether its address is `v1` or `v1/` where the project includes `chat.urls`, or the prefix
    itself."""
    path = scope["path"].removesuffix("/").removesuffix("/v1")
    match = match_of({**scope, "path": f"{path}/v1"})
    return match is not None and match.func is urls.websocket


async def lifespan(scope: LifespanScope, receive: Receive, send: Send) -> None:
    """Start and stop this process's node with the server. Where the database is away, the server
    starts all the same, and the node with the first connection that finds it back."""
    await receive()  # lifespan.startup
    try:
        await nodes.current()
    except ProtocolError as error:
        log.warning("Started without a database: %s", error.in_full)
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    if (node := nodes.running()) is not None:
        await node.stop()
    await send({"type": "lifespan.shutdown.complete"})


def application(others: Application | None = None) -> Application:
    """As `chat.asgi.get_asgi_application`. With DEBUG it serves static files, as `runserver`."""
    http: Any = Handler()
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        http = ASGIStaticFilesHandler(http)
    protocols = {"http": http, "websocket": websockets(others or not_found), "lifespan": lifespan}
    whole: Application = ProtocolTypeRouter(protocols)
    return whole
