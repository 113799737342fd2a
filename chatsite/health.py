"""Whether this process is up, and whether it can do its work (protocol.md section 1)."""

from django.http import HttpRequest, JsonResponse


async def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; asks nothing else of anyone."""
    return JsonResponse({"status": "ok"})


async def readyz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})
