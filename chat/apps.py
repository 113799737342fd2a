import atexit
from contextlib import suppress

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import router


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "Chat"

    def ready(self) -> None:
        from chat import checks  # noqa: F401  # registers them
        from chat.conf import settings as chat_settings
        from chat.logs import redact_records
        from chat.store.databases import Router, apart
        from chat.store.reads import close_pool
        from chat.users import watch
        from tokens.conf import settings as token_settings

        ours = chat_settings.WEBHOOK_SECRET, chat_settings.METRICS_KEY
        keys = [*ours, *token_settings.secrets]
        with suppress(ImproperlyConfigured):  # there is none, which `serve` and the checks say
            keys.append(settings.SECRET_KEY)
        redact_records(keys)
        if apart():
            router.routers.insert(0, Router())  # before the project's own
        watch()
        atexit.register(close_pool)
