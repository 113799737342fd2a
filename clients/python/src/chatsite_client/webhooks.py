"""Backend events on their way in (protocol.md section 16): verified by the Standard Webhooks
scheme, so that who does not know the secret is not heard."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final

PREFIX: Final = "whsec_"
SIGNED: Final = ("id", "timestamp", "signature")
TOLERANCE_SECONDS: Final = 300
MIN_SECRET_BYTES: Final = 24


class WebhookError(ValueError):
    """Why a request is not taken: one plain sentence."""


@dataclass(frozen=True, slots=True)
class BackendEvent:
    """As docs/webhooks.md describes it. It may come again with the same `id`."""

    id: str
    type: str
    data_type: str
    metadata: dict[str, str]
    data: dict[str, Any]


class Webhook:
    """Takes what the server signs with any of these secrets: two while they are changed.

    `secrets` are `whsec_…` (WEBHOOK_SECRET); `tolerance` is in seconds, either way: what was
    signed longer ago is a replay. Raises ValueError for what is no secret.
    """

    def __init__(self, *secrets: str, tolerance: float = TOLERANCE_SECONDS) -> None:
        if not secrets:
            raise ValueError("A webhook needs a secret.")
        self._keys = [_key(secret) for secret in secrets]
        self._tolerance = tolerance

    def verify(self, body: bytes, headers: Mapping[str, str]) -> BackendEvent:
        """The event of a request, whatever framework took it; `body` as it came. Raises
        WebhookError."""
        given = {name.lower(): value for name, value in headers.items()}
        id, timestamp, signatures = (given.get(f"webhook-{name}", "") for name in SIGNED)
        if not (id + signatures).isascii():
            raise WebhookError("webhook-id and webhook-signature must be ASCII.")
        self._check_time(timestamp)
        if not self._is_signed(f"{id}.{timestamp}.".encode() + body, signatures):
            raise WebhookError("The signature is not that of a known secret.")
        return _event(id, body)

    def view(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Makes `handler(request, event)`, async or not, a Django view: 400 for what is not ours,
        204 where the handler returns None. What it raises is Django's, and the server tries again.
        """
        from django.http import HttpResponse, HttpResponseNotAllowed
        from django.views.decorators.csrf import csrf_exempt

        def taken(request: Any) -> Any:
            """The event, or the answer that refuses it."""
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            try:
                return self.verify(request.body, request.headers)
            except WebhookError as error:
                return HttpResponse(str(error), status=400, content_type="text/plain")

        @wraps(handler)
        def view(request: Any) -> Any:
            event = taken(request)
            if not isinstance(event, BackendEvent):
                return event
            return handler(request, event) or HttpResponse(status=204)

        @wraps(handler)
        async def async_view(request: Any) -> Any:
            event = taken(request)
            if not isinstance(event, BackendEvent):
                return event
            return await handler(request, event) or HttpResponse(status=204)

        return csrf_exempt(async_view if iscoroutinefunction(handler) else view)

    def _check_time(self, timestamp: str) -> None:
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise WebhookError("webhook-timestamp must be unix seconds.")
        if abs(time.time() - int(timestamp)) > self._tolerance:
            raise WebhookError("webhook-timestamp is too far from now.")

    def _is_signed(self, signed: bytes, signatures: str) -> bool:
        """Compares with each secret, in constant time."""
        given = [word.encode() for word in signatures.split() if word.startswith("v1,")]
        known = [b"v1," + _signature(key, signed) for key in self._keys]
        return any(hmac.compare_digest(one, other) for one in given for other in known)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(PREFIX) or len(key) < MIN_SECRET_BYTES:
        raise ValueError("A webhook's secret must be whsec_ and the Base64 of 24 to 64 bytes.")
    return key


def _signature(key: bytes, signed: bytes) -> bytes:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _event(id: str, body: bytes) -> BackendEvent:
    try:
        event = json.loads(body)
        kinds = event["type"], event["dataType"]
        return BackendEvent(id, *kinds, metadata=event["metadata"], data=event["data"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise WebhookError("The body is no backend event.") from None
