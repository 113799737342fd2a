"""Deleting all messages of somebody or of a channel: a form, a look at what would go, and a page
that says how far it is. It has no script: it arrives bit by bit while they go."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db import Error, connections
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html

from chat import api
from chat.actions.deletion import Deleting, MessageSelection
from chat.actions.erasure import Erasure
from chat.models import Message
from chat.protocol.errors import ProtocolError
from chat.store.databases import DatabaseUnavailable
from chat.store.operations.audit import Actor

from .paging import TIME

NOBODY: Final = Actor("")  # looks only
SAMPLE: Final = 10  # messages
SHOWN_SECONDS: Final = 0.25  # between two lines of progress
PAGE: Final = "admin/chat/message/delete_many.html"
ERASE_PAGE: Final = "admin/chat/message/erase.html"
PROGRESS: Final = "<!-- progress -->"  # where it goes into the page


class BulkForm(forms.Form):
    uid = forms.CharField(required=False, strip=False, empty_value=None)
    channel = forms.CharField(required=False, empty_value=None)
    since = forms.DateTimeField(required=False, label="From (UTC)", widget=TIME)
    until = forms.DateTimeField(required=False, label="Before (UTC)", widget=TIME)

    def clean(self) -> dict[str, Any]:
        try:
            self.selection = MessageSelection(**self.cleaned_data)
        except ProtocolError as error:
            raise ValidationError(error.message) from None
        return self.cleaned_data


class PersonForm(forms.Form):
    uid = forms.CharField(strip=False)

    def clean(self) -> dict[str, Any]:
        try:
            self.erasure = api.erasure_of(self.cleaned_data.get("uid", ""), NOBODY)
        except ProtocolError as error:
            raise ValidationError(error.message) from None
        return self.cleaned_data


def look(
    request: HttpRequest, context: dict[str, Any], line: Callable[[Message], str]
) -> HttpResponseBase:
    """The form and, where it is filled in, how many there are and the first of them."""
    form = BulkForm(request.GET or None, label_suffix="")
    if form.is_valid():
        rows = form.selection.rows()
        sample = rows.select_related("channel").order_by("id")[:SAMPLE]
        context |= {"count": rows.count(), "sample": [line(row) for row in sample]}
    return TemplateResponse(request, PAGE, context | {"form": form})


def delete(request: HttpRequest, context: dict[str, Any], actor: Actor) -> HttpResponseBase:
    """Deletes them as the answer is read; whoever closes the page stops it."""
    form = BulkForm(request.POST)
    if not form.is_valid():
        return TemplateResponse(request, PAGE, context | {"form": form})
    page = render_to_string(PAGE, context | {"progress": PROGRESS}, request)
    deleting = api.deleting_of(form.selection, actor)
    return StreamingHttpResponse(fill(page, deleting.steps(), lambda: _deleted(deleting)))


def _deleted(deleting: Deleting) -> str:
    return format_html(
        '<progress max="{}" value="{}"></progress> Deleted {} of {} messages.',
        *(deleting.of, deleting.deleted, f"{deleting.deleted:,}", f"{deleting.of:,}"),
    )


def look_at_person(request: HttpRequest, context: dict[str, Any]) -> HttpResponseBase:
    """The form and, where it is filled in, how many rows of each kind there are."""
    form = PersonForm(request.GET or None, label_suffix="")
    if form.is_valid():
        rows = form.erasure.count().items()
        context |= {"rows": [(name.replace("_", " "), count) for name, count in rows]}
    return TemplateResponse(request, ERASE_PAGE, context | {"form": form})


def erase(request: HttpRequest, context: dict[str, Any], actor: Actor) -> HttpResponseBase:
    """Erases the person as the answer is read."""
    form = PersonForm(request.POST)
    if not form.is_valid():
        return TemplateResponse(request, ERASE_PAGE, context | {"form": form})
    page = render_to_string(ERASE_PAGE, context | {"progress": PROGRESS}, request)
    erasure = api.erasure_of(form.cleaned_data["uid"], actor)
    return StreamingHttpResponse(fill(page, erasure.steps(), lambda: _erased(erasure)))


def _erased(erasure: Erasure) -> str:
    rows = f"{sum(erasure.rows.values()):,} rows of {erasure.uid}"
    left = sum(erasure.left.values())
    return f"{rows}: {left:,} are left." if left else f"{rows}: {erasure.doing}."


async def fill(page: str, steps: Iterator[float], say: Callable[[], str]) -> AsyncIterator[str]:
    """A page with a line of progress now and then, while the steps are done; of these lines the
    style sheet shows the last."""
    beginning, _, end = page.partition(PROGRESS)
    yield beginning
    shown = -SHOWN_SECONDS
    try:
        while (pause := await asyncio.to_thread(_step, steps)) is not None:
            if time.monotonic() - shown >= SHOWN_SECONDS:
                shown = time.monotonic()
                yield format_html("<p>{}</p>\n", say())
            await asyncio.sleep(pause)
        yield format_html("<p>{} Done.</p>\n", say())
    except ProtocolError as error:
        yield format_html('<p role="alert">{} Stopped: {}</p>\n', say(), error.message)
    yield end


def _step(steps: Iterator[float]) -> float | None:
    """In any thread, whose connection is not kept. Raises SERVICE_UNAVAILABLE."""
    try:
        return next(steps, None)
    except Error as error:
        raise DatabaseUnavailable from error
    finally:
        connections.close_all()
