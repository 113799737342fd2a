"""What docs/deploy/nginx.conf itself has to see to."""

from collections.abc import Iterator

import httpx
import pytest

from tests.nginx.conftest import REDIS, Nginx
from tests.support.calls import LIMIT_SECONDS, NO_TLS
from tests.support.client import Client, eventually
from tests.support.connecting import connect, handshake, open_client
from tests.support.grants import room
from tests.support.servers import Server, token
from tests.support.stored import rows

PADDING = 47_000  # bytes of a claim: in Base64 within a JWT, nearly 64 KiB


@pytest.fixture
def one_away(nginx: Nginx) -> Iterator[Server]:
    """A host that is down meanwhile."""
    host = nginx.hosts[0]
    host.stop()
    yield host
    host.restart()


async def test_both_hosts_are_used(nginx: Nginx) -> None:
    async with connect(nginx), connect(nginx):
        pass

    async def used() -> bool:
        lines = [line for line in nginx.access_log.splitlines() if '"GET /v1" 101' in line]
        return all(any(f":{host.port} 101" in line for line in lines) for host in nginx.hosts)

    assert await eventually(used)


@pytest.mark.skipif(REDIS, reason="BROKER=redis")
async def test_every_process_of_both_hears_the_others_through_postgresql(nginx: Nginx) -> None:
    sql = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND starts_with(application_name, ?)
    """

    async def listen() -> bool:
        return rows(nginx, sql, "chat listener ") == [(4,)]

    assert await eventually(listen)


async def test_a_long_token_passes_and_no_log_has_it(nginx: Nginx, channel: str) -> None:
    jwt = token(nginx, uid="jim", padding="x" * PADDING, channels=room(channel, historyStart=0))
    assert 62_000 < len(jwt) <= 64 * 1024
    async with connect(nginx, jwt=jwt) as jim:
        await jim.subscribe(channel)
        await jim.history(channel)
        secret = jim.secret

    async def logged() -> bool:
        return '"GET /v1" 101' in nginx.access_log

    await eventually(logged)
    written = nginx.access_log + nginx.error_log + nginx.log.read_text()
    assert '"POST /connection/listMessages" 200' in written
    assert "token=" not in written
    assert jwt[:100] not in written
    assert secret not in written


async def test_with_a_host_away_clients_come_to_the_other(
    nginx: Nginx, one_away: Server, channel: str
) -> None:
    for number in range(10):
        async with connect(nginx, uid="jim", channels=room(channel, historyStart=0)) as jim:
            await jim.subscribe(channel)
            await jim.store(channel, number)
            assert len(await jim.history(channel)) == number + 1
    away = f"127.0.0.1:{one_away.port}, 127.0.0.1:{nginx.hosts[1].port} "
    assert away in nginx.access_log  # it was tried, and the client knows nothing of it
    assert "token=" not in nginx.error_log + nginx.log.read_text()
    assert "connectionSecret=" not in nginx.error_log + nginx.log.read_text()


async def test_the_clients_address_is_believed_from_nginx_alone(nginx: Nginx) -> None:
    claimed = {"X-Forwarded-For": "192.0.2.1"}
    client = await open_client(
        nginx, token(nginx), local_addr=("127.0.0.2", 0), additional_headers=claimed
    )
    sql = "SELECT address FROM chat_connection WHERE id = ?"
    assert rows(nginx, sql, client.id) == [("127.0.0.2",)]
    await client.aclose()


async def test_a_websocket_over_tls(nginx: Nginx, channel: str) -> None:
    granted = token(nginx, uid="jim", channels=room(channel))
    url = f"wss://127.0.0.1:{nginx.tls_port}/v1?token={granted}"
    client = Client(nginx, await handshake(url, ssl=NO_TLS))
    await client.receive("hotsock.connected")
    await client.subscribe(channel)
    await client.publish(channel, "hi")
    assert (await client.receive("chat"))["data"] == "hi"
    await client.aclose()


async def test_the_server_knows_that_it_is_spoken_to_over_tls(nginx: Nginx) -> None:
    """Django lets a form in only where its Origin is the address that was asked for."""
    url = f"https://127.0.0.1:{nginx.tls_port}"
    async with httpx.AsyncClient(base_url=url, verify=NO_TLS, timeout=LIMIT_SECONDS) as browser:
        await browser.get("/admin/login/")
        form = {"username": "jim", "password": "wrong"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        answer = await browser.post("/admin/login/", data=form, headers={"Origin": url})
        assert answer.status_code == 200
        assert "Please enter the correct username and password" in answer.text
