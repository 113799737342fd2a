"""What programs read of the API: files that `make build` makes of docs/*.yaml."""

from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Final

from django.http import HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition

from chat.http.endpoint import Call, endpoint, respond

FRESH_SECONDS: Final = 300  # without asking again


def _view(name: str) -> Callable[[Call], Coroutine[None, None, HttpResponse]]:
    """Of a file beside this one, which is read once."""
    content = (Path(__file__).parent / name).read_bytes()
    etag = f'"{sha256(content).hexdigest()}"'

    @endpoint("GET", "HEAD", cross_origin=True)
    @cache_control(public=True, max_age=FRESH_SECONDS)
    @condition(etag_func=lambda request: etag)
    async def description(request: Call) -> HttpResponse:
        return respond(content)

    return description


openapi = _view("openapi.json")
asyncapi = _view("asyncapi.json")
