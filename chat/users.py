"""The project's users: tokens for whoever is logged in, and connections that end with the right to
have them (docs/django-users.md). A uid is the primary key of a user, as text.
"""

import time
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.signals import user_logged_out
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_save
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from chat import api
from chat.conf import settings
from tokens import strict_json
from tokens.api import issue
from tokens.claims import parse_claims
from tokens.conf import settings as token_settings
from tokens.names import is_channel_name
from tokens.permissions import grants

LIFETIME_SECONDS: Final = 300
LOGOUT_SECONDS: Final = 86_400  # so long tokens from before it are refused
ENDS: Final = "_chat_ends"  # noted on an instance that is being saved
USERS: Final = api.Actor("users")
NOBODY: Final = "Nobody is logged in."
DENIED: Final = "This user may not read that channel."
MESSAGE: Final = "chat"  # the events of a chat window
TYPING: Final = "is-typing"
BOTH: Final = "connect subscribe"  # the windows of a page share one connection
WATCHED: Final = frozenset({"is_active", "password"})


# --- tokens -------------------------------------------------------------------------------------


def tokens_for(
    request: HttpRequest,
    *,
    channels: Mapping[str, object],
    lifetime: int = LIFETIME_SECONDS,
    **claims: object,
) -> str:
    """A signed token to connect with as `request.user`: to these channels, as protocol.md section 4
    has them, for `lifetime` seconds. The function that CHAT["USER_METADATA"] names, called with the
    user, gives the `umd`. `claims` are any others.

    Raises PermissionDenied where nobody is logged in, and as `tokens.api.issue`."""
    user = getattr(request, "user", None)
    if user is None or not (user.is_authenticated and user.is_active):
        raise PermissionDenied(NOBODY)
    own: dict[str, object] = {"scope": "connect", "uid": str(user.pk), "channels": channels}
    if settings.USER_METADATA:
        own["umd"] = import_string(settings.USER_METADATA)(user)
    longest = token_settings.TOKEN_MAX_SECONDS or lifetime
    return issue(own | claims, lifetime=min(lifetime, longest))


@login_not_required  # for LoginRequiredMiddleware, which would send scripts to a page
@never_cache
@csrf_protect
def token(request: HttpRequest) -> JsonResponse:
    """`{"token": …}` for whoever is logged in, to the channels that the function named by
    CHAT["RULES"] gives for the request. With a field `channel`: of these only what concerns that
    one, to connect and to subscribe with, and beside it what a window of it may do (`_room`)."""
    if not settings.RULES:
        raise Http404
    if request.method != "POST":
        status, headers = HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST"}
        return _refusal(status, "INVALID_REQUEST", "Use POST.", headers)
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return _refusal(HTTPStatus.UNAUTHORIZED, "INVALID_CONNECTION", NOBODY)
    try:
        name, channels = request.POST.get("channel"), _channels(request)
        if name is None:
            return JsonResponse({"token": tokens_for(request, channels=channels)})
        channels, may = _room(channels, name)
        token = tokens_for(request, channels=channels, scope=BOTH)
        return JsonResponse({"token": token, **may})
    except PermissionDenied as error:
        return _refusal(HTTPStatus.FORBIDDEN, "SUBSCRIBE_PERMISSION_DENIED", str(error) or DENIED)


def _channels(request: HttpRequest) -> Mapping[str, object]:
    channels: Mapping[str, object] = import_string(settings.RULES)(request)
    return channels


def _room(
    channels: Mapping[str, object], name: str
) -> tuple[Mapping[str, object], dict[str, object]]:
    """The entries that match this channel, and what they allow there: `mayWrite`, `mayType`, and
    `reactions`: true for any, or a list. Raises PermissionDenied where it may not be read."""
    document = strict_json.dumps({"scope": "connect", "exp": 0, "channels": channels})
    claims = parse_claims(document.encode(), scope="connect")
    rights = grants(claims)
    if not is_channel_name(name) or not rights.channel(name).subscribe:
        raise PermissionDenied(DENIED)
    matching = {each.pattern.key for each in claims.channels if each.pattern.matches(name)}
    message, typing = rights.message(name, MESSAGE), rights.message(name, TYPING)
    reactions = rights.reactions(name, MESSAGE)
    return {key: value for key, value in channels.items() if key in matching}, {
        "mayWrite": bool(message.publish or message.broadcast),
        "mayType": bool(typing.publish or typing.broadcast),
        "reactions": reactions if reactions is True else sorted(reactions),
    }


def _refusal(
    status: HTTPStatus, code: str, message: str, headers: dict[str, str] | None = None
) -> JsonResponse:
    body = {"error": {"code": code, "message": message}}
    return JsonResponse(body, status=status, headers=headers)


# --- connections that end -----------------------------------------------------------------------


def watch() -> None:
    """Called once all models are there. Watches the models of users alone: rows of a model whose
    deletion is watched are read before they go."""
    try:
        user_model = get_user_model()
    except ImproperlyConfigured:  # without users
        return
    user_logged_out.connect(_logged_out)
    for model in apps.get_models():
        if issubclass(model, user_model):  # proxies and children, too
            pre_save.connect(_saving, sender=model)
            post_save.connect(_saved, sender=model)
            post_delete.connect(_deleted, sender=model)


def _logged_out(user: Model | None, **kwargs: object) -> None:
    """By their uid: nobody knows which connection came from which session."""
    if user is not None:
        _end(user, None, expires_at=time.time() + LOGOUT_SECONDS)


def _saving(
    sender: type[Model],
    instance: Model,
    using: str,
    update_fields: frozenset[str] | None = None,
    raw: bool = False,
    **kwargs: object,
) -> None:
    """Notes whether the row is to lose its password or its being active."""
    names = WATCHED & {field.name for field in sender._meta.concrete_fields}
    if update_fields is not None:
        names &= update_fields
    ends = False
    if names and not raw and settings.UIDS_ARE_USERS and instance.pk is not None:
        rows = sender._base_manager.using(using).filter(pk=instance.pk)
        was = rows.values(*names).first() or {}
        ends = any(was[name] and was[name] != getattr(instance, name) for name in was)
    vars(instance)[ENDS] = ends


def _saved(instance: Model, using: str, **kwargs: object) -> None:
    if vars(instance).pop(ENDS, False):
        _end(instance, using)


def _deleted(instance: Model, using: str, **kwargs: object) -> None:
    _end(instance, using)


def _end(user: Model, using: str | None, expires_at: float | None = None) -> None:
    """What goes wrong is logged: nobody is kept from logging out by it."""
    if settings.UIDS_ARE_USERS:
        revoke = partial(api.revoke_tokens, uid=str(user.pk), expires_at=expires_at, actor=USERS)
        transaction.on_commit(revoke, using=using, robust=True)


@register(Tags.compatibility)
def functions(**kwargs: object) -> list[CheckMessage]:
    """Whether what CHAT names can be imported."""
    found: list[CheckMessage] = []
    for key, name in (("RULES", settings.RULES), ("USER_METADATA", settings.USER_METADATA)):
        try:
            if name and not callable(import_string(name)):
                raise ImportError("it is no function")
        except ImportError as error:
            found.append(Error(f'CHAT["{key}"], {name}: {error}.', id="chat.E020"))
    return found
