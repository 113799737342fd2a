"""How static files are kept and served."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from io import BytesIO

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """Names with hashes, also in the `import` statements of ES modules."""

    support_js_module_import_aggregation = True


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise, but asynchronous: as it is, each request to any view takes a thread.

    A file is read whole (none is large), since ASGI cannot send a file's own iterator.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        super().__init__(get_response, settings)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(self.static_prefix):
            file = await sync_to_async(self._file, thread_sensitive=False)(request)
            if file is not None:
                return file
        response: HttpResponseBase = await self.get_response(request)
        return response

    def _file(self, request: HttpRequest) -> HttpResponse | None:
        find = self.find_file if self.autorefresh else self.files.get
        file = find(request.path_info)
        if file is None:
            return None
        found = file.get_response(request.method, request.META)
        with found.file or nullcontext(BytesIO()) as opened:
            response = HttpResponse(opened.read(), status=found.status)
        del response.headers["Content-Type"]
        for name, value in found.headers:
            response.headers[name] = value
        return response
