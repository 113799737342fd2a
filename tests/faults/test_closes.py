"""Connections that end without a goodbye: reset, their process killed, their network gone (P5).

Each client is in a presence channel with a survivor, and half of them observe storage.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.faults.conftest import ALONE, Fault
from tests.faults.crowd import Crowd, crowd
from tests.faults.namespace import namespace
from tests.faults.rude import Rude
from tests.faults.team import SUBSCRIPTIONS, Teams, token_of
from tests.support.servers import Server, start_server

TEAMS = 10
CLOSES = 40  # of each kind, on each database
SILENT = 20  # on each database; of those whose end is only noticed after 20 s
A_CYCLE = 200
A_LARGE_CYCLE = 500
HASTY_SECONDS = (
    0.05  # within which half of those that are reset go, at any point of their handshake
)
DATABASES = ["sqlite", "postgresql"]


@contextmanager
def serving(kind: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[Server]:
    env = {"CLIENT_FRAMES_PER_SECOND": "0"}
    if kind == "postgresql":
        env |= {"DATABASE_URL": request.getfixturevalue("postgres").database()}
    with start_server("uvicorn", directory, **env) as server:
        yield server


@pytest.fixture(params=DATABASES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(request.param, request, tmp_path) as server:
        yield server


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Server]]:
    """One on each database: their clients fall silent at the same time, since it takes a while."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(kind, request, tmp_path)) for kind in DATABASES]


async def test_closes(server: Server, fault: Fault) -> None:
    teams = await Teams.begin(server, TEAMS)
    wanted = fault.times(CLOSES)
    for begin in range(0, wanted, A_CYCLE):
        count = min(A_CYCLE, wanted - begin)
        await asyncio.gather(reset(server, fault, count), kill(server, count))
        fault.count("reset", count)
        fault.count("killed", count)
        await teams.healed(fault)
    await teams.no_descriptor_more(fault)


async def reset(server: Server, fault: Fault, count: int) -> None:
    """Half of them when they have subscribed, half of them before."""
    jwts = tokens(server, "reset", count)
    opened = await asyncio.gather(*(Rude.begin(server, "reset", jwt) for jwt in jwts))
    hasty, settled = opened[: count // 2], opened[count // 2 :]
    for client in hasty:
        await asyncio.sleep(fault.random.uniform(0.0, 2 * HASTY_SECONDS / count))
        client.reset()
    for client in settled:
        await client.inside(SUBSCRIPTIONS)
    for client in settled:
        client.reset()


async def kill(server: Server, count: int) -> None:
    with ExitStack() as stack:
        await connected(stack, server, tokens(server, "killed", count))


async def test_silence(servers: list[Server], fault: Fault) -> None:
    """No goodbye and no reset: the servers notice that nobody answers."""
    teams = [await Teams.begin(server, TEAMS) for server in servers]
    wanted = fault.times(SILENT)
    for begin in range(0, wanted, A_LARGE_CYCLE):
        count = min(A_LARGE_CYCLE, wanted - begin)
        async with silent(servers, fault, count):
            await asyncio.gather(*(each.healed(fault) for each in teams))
    for each in teams:
        await each.no_descriptor_more(fault)


@asynccontextmanager
async def silent(servers: list[Server], fault: Fault, count: int) -> AsyncIterator[None]:
    """On each server half of the clients are in a network that is cut off, half in a process that
    stands still; where the first is not permitted, all. They last until its end.

    Beside other tests there is no such network: a browser gives up what it loads when one comes
    or goes (ERR_NETWORK_CHANGED).
    """
    with namespace() if ALONE else nullcontext() as lost, ExitStack() as stack:
        for server in servers:
            jwts = tokens(server, "silent", count)
            half = count // 2 if lost else 0
            if lost:
                await connected(stack, server, jwts[:half], lost.inside)
            (await connected(stack, server, jwts[half:])).stop()
            fault.count("vanished", half)
            fault.count("stopped", count - half)
        if lost:
            lost.cut()
        yield


async def connected(
    stack: ExitStack, server: Server, jwts: list[str], inside: Sequence[str] = ()
) -> Crowd:
    clients = stack.enter_context(crowd(inside))
    await asyncio.to_thread(clients.connect, server.port, SUBSCRIPTIONS, jwts)
    return clients


def tokens(server: Server, uid: str, count: int) -> list[str]:
    teams = itertools.cycle(range(TEAMS))
    return [
        token_of(server, f"{uid}{n}", team) for n, team in zip(range(count), teams, strict=False)
    ]
