"""What a project's `asgi.py` imports in place of `django.core.asgi`."""

from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from chat.routing import Application


def get_asgi_application(websocket: "Application | None" = None) -> "Application":
    """The project's ASGI application: its pages, the chat's HTTP API and WebSockets, and lifespan.
    `websocket` serves the WebSockets that are not the chat's; without it they are refused."""
    django.setup(set_prefix=False)
    from chat.routing import application  # imports models

    return application(websocket)
