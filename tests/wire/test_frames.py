"""What is no frame, or one with a wrong field (protocol.md sections 7 and 17)."""

import pytest

from tests.support.connecting import connect
from tests.support.servers import Server


@pytest.mark.parametrize(
    "event",
    ["connected", "subscribed", "error", "messageReactionAdded", "memberAdded", "keepAlive"],
)
async def test_an_event_of_the_servers_is_unknown(any_server: Server, event: str) -> None:
    channels = {"*": {"subscribe": True, "messages": {"*": {"publish": True}}}}
    async with connect(any_server, uid="jim", channels=channels) as client:
        await client.send({"event": f"hotsock.{event}", "channel": "c"})
        await client.error("UNKNOWN_EVENT", f"hotsock.{event}", "c")
        await client.nothing()
