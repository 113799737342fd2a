"""Django's error pages, under DEBUG, too: no keys, and no addresses of services, which hold
passwords."""

import re
from collections.abc import ItemsView
from types import FrameType

from django.http import HttpRequest
from django.template.defaultfilters import pprint
from django.views.debug import SafeExceptionReporterFilter

from chat.logs import redact


class ErrorPageFilter(SafeExceptionReporterFilter):
    hidden_settings = re.compile(
        rf"{SafeExceptionReporterFilter.hidden_settings.pattern}|(DATABASE|REDIS|BROKER|WEBHOOK)_URL",
        re.IGNORECASE,
    )

    def cleanse_setting(self, key: str | int, value: object) -> object:
        """A text that is in no variable of such a name loses what is secret in it."""
        cleansed: object = super().cleanse_setting(key, value)
        return redact(str(cleansed)) if isinstance(cleansed, str) else cleansed  # it may be lazy

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, object]:
        """Local variables as settings are; of others the text that is shown."""
        found = super().get_traceback_frame_variables(request, tb_frame)
        return {
            name: self._shown(self.cleanse_setting(name, value)) for name, value in found
        }.items()

    def _shown(self, value: object) -> object:
        text = pprint(value)
        return value if redact(text) == text else redact(text)
