"""How static files are kept and served."""

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.utils.decorators import async_only_middleware
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """Names with hashes, also in the `import` statements of ES modules."""

    support_js_module_import_aggregation = True


@async_only_middleware
def middleware(get_response: View) -> View:
    """WhiteNoise for static files only: by itself it takes a thread for each request to any view.

    A file is read whole (none is large), since ASGI cannot send a file's own iterator.
    """
    find = WhiteNoiseMiddleware(lambda request: None)
    prefix = urlsplit(settings.STATIC_URL).path

    def read(request: HttpRequest) -> FileResponse | None:
        found: FileResponse | None = find(request)
        if found is not None:
            found.streaming_content = _once(found.getvalue())
        return found

    async def respond(request: HttpRequest) -> HttpResponseBase:
        file = None
        if request.path_info.startswith(prefix):
            file = await sync_to_async(read, thread_sensitive=False)(request)
        return file or await get_response(request)

    return respond


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
