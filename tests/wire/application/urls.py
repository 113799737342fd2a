"""Views of an application that publish from Python: `POST /note?channel=…`, with data as its body.

`store` is as in `chat.api`; with `atomic`, it is done twice in a transaction that then goes on for
so many seconds; with `fail`, that is rolled back.
"""

import time

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from chat import api


class RolledBack(Exception):
    pass


def _publish(request: HttpRequest) -> api.Receipt:
    store, channel = int(request.GET.get("store", "0")), request.GET["channel"]
    return api.publish(channel, "chat", request.body.decode(), store=store)


@csrf_exempt
def note(request: HttpRequest) -> HttpResponse:
    try:
        if "atomic" not in request.GET:
            return JsonResponse({"id": _publish(request).id})
        with transaction.atomic():
            _publish(request)
            second = _publish(request)
            time.sleep(float(request.GET["atomic"]))
            if "fail" in request.GET:
                raise RolledBack
        return JsonResponse({"id": second.id})
    except RolledBack:
        return HttpResponse(status=204)
    except api.ProtocolError as error:
        return JsonResponse({"code": error.code}, status=400)


@csrf_exempt
async def anote(request: HttpRequest) -> HttpResponse:
    store, channel = int(request.GET.get("store", "0")), request.GET["channel"]
    receipt = await api.apublish(channel, "chat", request.body.decode(), store=store)
    await api.aset_storage(channel, "k", 1)
    if "delete" in request.GET:
        await api.adelete_message(channel, receipt.id or "")
    info = await api.achannel_info(channel)
    return JsonResponse({"id": receipt.id, "subscriptions": info.subscriptions_count})


@csrf_exempt
async def on_the_loop(request: HttpRequest) -> HttpResponse:
    try:
        _publish(request)
    except Exception as error:
        return HttpResponse(type(error).__name__)
    return HttpResponse("published")


@csrf_exempt
async def beside_the_loop(request: HttpRequest) -> HttpResponse:
    return await sync_to_async(note)(request)


urlpatterns = [
    path("note", note),
    path("anote", anote),
    path("on-the-loop", on_the_loop),
    path("beside-the-loop", beside_the_loop),
    path("", include("chatsite.urls")),
]
