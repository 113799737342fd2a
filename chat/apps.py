import atexit

from django.apps import AppConfig
from django.conf import settings


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "Chat"

    def ready(self) -> None:
        from chat import checks  # noqa: F401  # registers them
        from chat.conf import settings as chat_settings
        from chat.logs import redact_records
        from chat.store.reads import close_pool
        from tokens.conf import settings as token_settings

        keys = settings.SECRET_KEY, chat_settings.WEBHOOK_SECRET, *token_settings.secrets
        redact_records(keys)
        atexit.register(close_pool)
