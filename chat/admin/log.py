"""What is done here is in the admin's log, beside Django's own entries."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest


def log(
    request: HttpRequest,
    rows: Iterable[Model],
    flag: int,
    describe: Callable[[Any], str] = str,
    message: str = "",
) -> list[LogEntry]:
    """An entry for each row: who did it, when, to what; `flag` is one of LogEntry's."""
    user_id = request.user.pk
    assert user_id is not None  # noqa: S101
    return LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user_id,
            content_type=ContentType.objects.get_for_model(row),
            object_id=row.pk,
            object_repr=describe(row)[:200],
            action_flag=flag,
            change_message=message,
        )
        for row in rows
    )
