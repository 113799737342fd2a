"""What threads that read leave behind."""

from django.db import connection
from pytest_django import Settings

from chat.models import Channel
from chat.store.reads import read


async def test_under_debug_no_query_stays_in_memory(database: str, settings: Settings) -> None:
    settings.DEBUG = True
    before = []
    for _ in range(10):
        before += await read(lambda: list(connection.queries_log))
        await read(Channel.objects.count)
    assert before == []
