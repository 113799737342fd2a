"""The Python client takes webhooks that the server signed, and no others."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from standardwebhooks import Webhook as Signer

from chatsite_client import BackendEvent, Webhook, WebhookError

OLD, NEW, OTHER = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in range(3))
BODY = json.dumps(
    {
        "source": "hotsock.v1",
        "type": "hotsock.messagePublished",
        "metadata": {"channel": "c"},
        "data": {"data": "ü"},
        "dataType": "message",
    },
    ensure_ascii=False,
).encode()
EVENT = BackendEvent("id-1", "hotsock.messagePublished", "message", {"channel": "c"}, {"data": "ü"})


def headers(
    secret: str = OLD, body: bytes = BODY, age: float = 0, **changes: str
) -> dict[str, str]:
    at = datetime.fromtimestamp(time.time() - age, UTC)
    signed = {
        "webhook-id": "id-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Signer(secret).sign("id-1", at, body.decode()),
    }
    return signed | {name.replace("_", "-"): value for name, value in changes.items()}


@pytest.mark.parametrize("age", [0, 290, -290])
@pytest.mark.parametrize("secrets", [[OLD], [NEW, OLD], [OLD, NEW]])
def test_what_is_signed(secrets: list[str], age: float) -> None:
    assert Webhook(*secrets).verify(BODY, headers(age=age)) == EVENT


def test_a_request_signed_twice() -> None:
    both = " ".join(headers(secret)["webhook-signature"] for secret in (OTHER, OLD))
    named = {name.title(): value for name, value in headers(webhook_signature=both).items()}
    assert Webhook(OLD).verify(BODY, named) == EVENT


REFUSED = {
    "another secret": lambda: (BODY, headers(OTHER)),
    "another body": lambda: (BODY.replace(b"c", b"d"), headers()),
    "another id": lambda: (BODY, headers(webhook_id="id-2")),
    "another time": lambda: (BODY, headers(webhook_timestamp=str(int(time.time()) - 1))),
    "too old": lambda: (BODY, headers(age=310)),
    "of the future": lambda: (BODY, headers(age=-310)),
    "no time": lambda: (BODY, headers(webhook_timestamp="1e9")),
    "many digits": lambda: (BODY, headers(webhook_timestamp="9" * 5000)),
    "digits of another script": lambda: (BODY, headers(webhook_timestamp="١٢٣")),
    "another version": lambda: (BODY, headers(webhook_signature="v1a,aaaa")),
    "no signature": lambda: (BODY, headers(webhook_signature="")),
    "no ASCII": lambda: (BODY, headers(webhook_signature="v1,\udcff")),
    "no headers": lambda: (BODY, {}),
    "no event": lambda: (b"[]", headers(body=b"[]")),
    "no JSON": lambda: (b"{", headers(body=b"{")),
}


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED)
def test_what_is_not(made: Callable[[], tuple[bytes, dict[str, str]]]) -> None:
    body, given = made()
    with pytest.raises(WebhookError):
        Webhook(OLD, NEW).verify(body, given)


@pytest.mark.parametrize("secrets", [[], [""], [OLD[6:]], ["whsec_YWJj"], ["whsec_!"], [OLD, ""]])
def test_what_is_no_secret(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Webhook(*secrets)


# --- the view -----------------------------------------------------------------------------------

webhook = Webhook(OLD)


@webhook.view
def view(request: HttpRequest, event: BackendEvent) -> HttpResponse | None:
    return HttpResponse(status=202) if event != EVENT else None


@webhook.view
async def async_view(request: HttpRequest, event: BackendEvent) -> HttpResponse | None:
    return HttpResponse(status=202) if event != EVENT else None


@pytest.mark.parametrize("handler", [view, async_view], ids=["sync", "async"])
def test_a_view(handler: Callable[..., Any]) -> None:
    factory = AsyncRequestFactory() if iscoroutinefunction(handler) else RequestFactory()

    def answered(method: str, given: dict[str, str]) -> int:
        request = getattr(factory, method)("/", BODY, "application/json", headers=given)
        response = handler(request)
        if asyncio.iscoroutine(response):
            response = asyncio.run(response)
        status: int = response.status_code
        return status

    assert handler.csrf_exempt
    assert answered("post", headers()) == 204
    assert answered("post", headers(NEW)) == 400
    assert answered("put", headers()) == 405
