"""Two containers with the same host name and process number (P5)."""

from pathlib import Path

from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, until
from tests.support.servers import Server, keys_of, redis_url, start_server
from tests.support.stored import rows

CONTAINED = {"DJANGO_SETTINGS_MODULE": "tests.faults.contained"}
NODES = "SELECT host, pid, lease_until FROM chat_node ORDER BY id"


async def test_same_host(site: Site, fault: Fault, channel: str, tmp_path: Path) -> None:
    """The second one starts, again and again, and takes nothing over from the first."""
    env = {"DATABASE_URL": site.postgres.database(), "REDIS_URL": redis_url(site.redis)}
    env |= CONTAINED
    presence = f"presence.{channel}"
    with start_server("uvicorn", tmp_path, **env) as one:
        clients = [await Connection.open(one, uid) for uid in ("jim", "pam")]
        for client in clients:
            await client.subscribe(presence)
        for _ in range(fault.times(1)):
            with start_server("uvicorn", tmp_path, **env, **keys_of(one)):
                first, *_ = nodes(one)
                assert first[:2] == ("container", 1)
                await until(lambda first=first: nodes(one)[0] > first, "its lease is renewed")
            fault.count("starts")
        gone = [frame for client in clients for frame in client.frames if "Removed" in frame.event]
        fault.none("members taken for gone", gone)
        fault.none("connections closed", [client for client in clients if not client.open_])
        assert "taken for dead" not in one.log.read_text()


def nodes(server: Server) -> list[tuple[str, int, str]]:
    return rows(server, NODES)
