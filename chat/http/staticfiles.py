"""How static files are found, kept and served."""

import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.templatetags.static import static
from django.utils.cache import patch_vary_headers
from django.utils.decorators import async_only_middleware
from whitenoise.compress import Compressor
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

from chat.http import builds

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

ENCODINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "br": Compressor.compress_brotli,
    "gzip": Compressor.compress_gzip,
}


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """Names with hashes, also in the `import` statements of ES modules."""

    support_js_module_import_aggregation = True


class CurrentFinder(finders.FileSystemFinder):
    """Leaves out what was built of files that have changed since."""

    def find_location(self, root: str, path: str, prefix: str | None = None) -> str | None:
        found = super().find_location(root, path, prefix)
        return found if found and builds.is_current(Path(root), Path(found)) else None

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, Any]]:
        for path, storage in super().list(ignore_patterns):
            if builds.is_current(Path(storage.location), Path(storage.path(path))):
                yield path, storage


def built(name: str) -> str:
    """The address of what was built of a script or style sheet; where that is not current, or was
    not collected, of the source itself."""
    folder, _, file = name.rpartition("/")
    build = f"{folder}/{builds.DIST}/{file}"
    with suppress(ValueError):  # the manifest does not have it
        if not settings.DEBUG or finders.find(build):
            return static(build)
    return static(name)


@async_only_middleware
def middleware(get_response: View) -> View:
    """WhiteNoise for static files only: by itself it takes a thread for each request to any view.

    A file is read whole (none is large), since ASGI cannot send a file's own iterator.
    """
    find = WhiteNoiseMiddleware(lambda request: None)
    prefix = urlsplit(settings.STATIC_URL).path

    def read(request: HttpRequest) -> HttpResponse | None:
        found = find(request)
        if found is None:
            return None
        response = HttpResponse(found.getvalue(), status=found.status_code, headers=found.headers)
        found.close()
        return response

    async def respond(request: HttpRequest) -> HttpResponseBase:
        file = None
        if request.path_info.startswith(prefix):
            file = await sync_to_async(read, thread_sensitive=False)(request)
        if file is not None and settings.DEBUG:  # they have not been collected
            compress(request, file)
        return file or await get_response(request)

    return respond


def compress(request: HttpRequest, response: HttpResponse) -> None:
    """As `collectstatic` does with files: for what is the same each time. Nothing that holds both a
    secret and something of the request may be compressed (BREACH)."""
    patch_vary_headers(response, ["Accept-Encoding"])
    accepted = re.findall(r"br|gzip", request.headers.get("Accept-Encoding", ""))
    encoding = next((each for each in ENCODINGS if each in accepted), None)
    if encoding and response.status_code == HTTPStatus.OK and response.content:
        response.content = _compressed(encoding, response.content)
        response["Content-Encoding"] = encoding
        response["Content-Length"] = str(len(response.content))


@lru_cache(maxsize=128)
def _compressed(encoding: str, content: bytes) -> bytes:
    return ENCODINGS[encoding](content)
