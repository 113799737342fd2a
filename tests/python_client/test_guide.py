"""What docs/python-client.md shows works as it stands there."""

import asyncio
import itertools
import re
import runpy
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chatsite_client import AsyncClient
from tests.python_client.test_webhooks import BODY, OLD, headers
from tests.support.servers import ROOT, Server
from tests.support.waiting import PATIENCE_SECONDS, until

PAGE = (ROOT / "docs" / "python-client.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@asynccontextmanager
async def running(act: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(act)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_guide(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {**server.env, "CHAT_URL": server.url, "WEBHOOK_SECRET": OLD}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "guide.py").write_text(CODE, encoding="utf-8")
    guide = await asyncio.to_thread(runpy.run_path, "guide.py")
    client = guide["client"]
    assert "key='open', data=3, meta=None)]\n404 MESSAGE_NOT_FOUND " in capsys.readouterr().out

    saved = Path("position.json")
    async with running(guide["follow_orders"]()):
        await until(saved.exists, "the position")
        sent = await asyncio.to_thread(client.publish, "orders", "shipped", 18, store=60)
        await until(lambda: sent.id in saved.read_text(), "the message")
    assert f"{sent.id} shipped 18\n" in capsys.readouterr().out

    async with (
        AsyncClient(server.url, token=lambda: guide["token_for"]("ada")) as reader,
        running(guide["mirror"](reader.follow("orders"))),
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        for number in itertools.count():  # the first ones may come before it has read history
            await asyncio.to_thread(client.react, "orders", sent.id, "👎", f"robot-{number}")
            if f"to {sent.id}\n" in capsys.readouterr().out:
                break

    assert guide["answer"](BODY, headers()) == 204
    assert guide["answer"](BODY, {}) == 400
