"""Databases that take the place of Django's default one for a while."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from asgiref.local import Local
from django.db import connection, connections
from django.db.utils import ConnectionHandler

from chatsite import settings as site
from tests.support import servers


def migrated(url: str, directory: Path) -> str:
    servers.migrate(url, directory)
    return url


@contextmanager
def default_database(url: str) -> Iterator[None]:
    """Configured as the site configures it; connections opened before are out of sight."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        configured = ConnectionHandler({"default": site.database()}).settings["default"]
        patch.setitem(connections.settings, "default", configured)
        patch.setattr(connections, "_connections", Local(thread_critical=True))
        try:
            yield
        finally:
            connection.close()
            if connection.vendor == "postgresql":
                connection.close_pool()


async def in_thread[T](query: Callable[[], T]) -> T:
    """What it gives, beside the event loop, where Django allows queries."""

    def run() -> T:
        try:
            return query()
        finally:
            connection.close()

    return await asyncio.to_thread(run)
