"""`python -m benchmarks --idle [CONNECTIONS]`: what connections cost that only stay alive.

Each has `heartbeatTimeout: 30` and sends its heartbeats; the peer is as many connections without
it that send the same frames. The difference is what the timers cost. A minute and a half.
"""

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from benchmarks import cpu
from tests.support.servers import Server, start_server, token

CONNECTIONS: Final = 5000
HEARTBEAT_SECONDS: Final = 30
MEASURED_SECONDS: Final = 30
AT_ONCE: Final = 50


def main(connections: int = CONNECTIONS) -> None:
    print(f"{connections:,} connections, a heartbeat each every {HEARTBEAT_SECONDS - 3} s")
    with_timeout = _measure(connections, heartbeatTimeout=HEARTBEAT_SECONDS)
    print(f"with heartbeatTimeout: {with_timeout:.1%} of a core", flush=True)
    without = _measure(connections)
    print(f"without, same frames:  {without:.1%} of a core")
    print(f"the timers:            {with_timeout - without:.1%} of a core")


def _measure(connections: int, **claims: Any) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-idle-") as directory,
        start_server("uvicorn", Path(directory)) as server,
    ):
        return asyncio.run(_load(server, connections, claims))


async def _load(server: Server, connections: int, claims: dict[str, Any]) -> float:
    sockets: list[ClientConnection] = []
    beating = asyncio.create_task(_beat(sockets, connections))
    granted = token(server, channels={"news": {"autoSubscribe": True}}, **claims)
    for _ in range(connections // AT_ONCE):
        sockets += await asyncio.gather(*(_open(server, granted) for _ in range(AT_ONCE)))
    before = cpu.used([server.pid])
    await asyncio.sleep(MEASURED_SECONDS)
    used = cpu.used([server.pid]) - before
    beating.cancel()
    lost = [socket for socket in sockets if socket.close_code is not None]
    if lost:
        raise SystemExit(f"{len(lost)} connections were lost: {lost[0].close_code}")
    for socket in sockets:
        socket.transport.abort()
    return used / MEASURED_SECONDS


async def _open(server: Server, granted: str) -> ClientConnection:
    url = f"{server.ws_url}?{urlencode({'token': granted})}"
    return await connect(url, proxy=None, compression=None, ping_interval=None, max_queue=None)


async def _beat(sockets: list[ClientConnection], connections: int) -> None:
    """Evenly: each socket in its turn, all within the time."""
    pause = (HEARTBEAT_SECONDS - 3) / connections
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in itertools.count():
        if sockets:
            await sockets[number % len(sockets)].send('{"event":"hotsock.heartbeat"}')
        due += pause
        await asyncio.sleep(max(0.0, due - loop.time()))
