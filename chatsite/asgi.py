"""The ASGI application: HTTP to Django, WebSockets to the chat."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
