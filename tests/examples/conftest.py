"""The examples as their readers start them, each beside a real chat server."""

import functools
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.browser import browser, open_page
from tests.support.servers import Program, Server, free_port

__all__ = ["browser", "open_page"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives in one event loop, so its tests share that of the session."""
    for item in items:
        if HERE in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="module")
def chat_server(server: Server) -> Server:
    """That of all tests: each example has channels of its own."""
    return server


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, chat_server: Server) -> Iterator[Program]:
    """The example that the test module names as EXAMPLE."""
    with start_example(request.module.EXAMPLE, chat_server) as program:
        yield program


def start_example(name: str, server: Server) -> Program:
    port = free_port()
    program = Program(
        [sys.executable, "-m", f"examples.{name}.app"],
        port,
        server.log.with_name(f"{name}-{port}.log"),
        {**server.env, "CHAT_URL": server.url, "PORT": str(port)},
    )
    program.start(functools.partial(has_page, address(program)))
    return program


def has_page(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def address(program: Program, path: str = "/") -> str:
    return f"http://127.0.0.1:{program.port}{path}"
