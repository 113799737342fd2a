"""The ASGI application: HTTP to Django, WebSockets to the chat."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# What PostgreSQL shows of this process's sessions: those of all servers have one name.
os.environ.setdefault("PGAPPNAME", "chatsite serve")

import django

django.setup(set_prefix=False)  # what follows imports models

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.db import connection  # noqa: E402

from chat.http.fast_path import Handler  # noqa: E402
from chat.routing import lifespan, websocket  # noqa: E402

if connection.vendor == "unknown":
    connection.ensure_connection()  # which says that none is named

application = ProtocolTypeRouter({"http": Handler(), "websocket": websocket, "lifespan": lifespan})
