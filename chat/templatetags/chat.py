"""`{% load chat %}`: a chat window in a page of the project's (docs/django-templates.md)."""

from typing import Any, Final

import django
from django import template
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Context, TemplateSyntaxError
from django.urls import reverse

from chat.conf import settings
from chat.http.staticfiles import built
from tokens.names import is_channel_name

register: Final = template.Library()

SHOWN: Final = "chat_scripts"
NO_REQUEST: Final = "{% chat_room %} needs the request: use render(request, …)."
NO_RULES: Final = (
    '{% chat_room %} needs CHAT["RULES"], the function that says who may read what:'
    " docs/django-users.md."
)


@register.inclusion_tag("chat/scripts.html", takes_context=True)
def chat_scripts(context: Context, *, import_map: bool = True) -> dict[str, object]:
    """The module that `{% chat_room %}` needs and, unless `import_map` is false, the names under
    which modules of the project import it and the client. A second one on a page is empty."""
    page: dict[Any, Any] = context.render_context.dicts[0]  # those above are of included templates
    if page.get(SHOWN):
        return {}
    page[SHOWN] = True
    return {
        "client": built("chat/client/index.js"),
        "room": built("chat/room/room.js"),
        "import_map": import_map,
        "nonce": _nonce(context),
    }


@register.inclusion_tag("chat/room.html", takes_context=True)
def chat_room(
    context: Context, channel: object, *, label: object = "", readonly: bool = False
) -> dict[str, object]:
    """A chat window of this channel for `request.user`. `label` is its heading, else the channel's
    name; with `readonly` there is nowhere to write, whatever CHAT["RULES"] allows.

    Raises ImproperlyConfigured without a request or CHAT["RULES"], and TemplateSyntaxError for what
    can be no channel's name."""
    request, name = _request(context), str(channel)
    if request is None:
        raise ImproperlyConfigured(NO_REQUEST)
    if not settings.RULES:
        raise ImproperlyConfigured(NO_RULES)
    if not is_channel_name(name):
        raise TemplateSyntaxError(f"{{% chat_room %}}: {name!r} cannot be a channel's name.")
    shown: dict[str, object] = {
        "channel": name,
        "name": str(label) or name,
        "style": built("chat/room/room.css"),
        "nonce": _nonce(context),
    }
    user = getattr(request, "user", None)
    if user is None or not (user.is_authenticated and user.is_active):
        return shown
    return shown | {
        "uid": str(user.pk),
        "readonly": readonly,
        "websocket": reverse("chat:websocket"),
        "token": reverse("chat:token"),
        "csrf": get_token(request),
    }


def _request(context: Context) -> HttpRequest | None:
    request = getattr(context, "request", None) or context.get("request")
    return request if isinstance(request, HttpRequest) else None


def _nonce(context: Context) -> str:
    """Of the content security policy: Django's own, or django-csp's; "": there is none."""
    request = _request(context)
    if request is None:
        return ""
    nonce: object = getattr(request, "csp_nonce", None)
    if nonce is None and django.VERSION >= (6, 0):
        from django.middleware.csp import get_nonce

        nonce = get_nonce(request)
    return "" if nonce is None else str(nonce)  # a lazy one is false until it is asked for
