"""`manage.py runserver` has the same frames and calls, for working on the code (design.md 5)."""

from collections.abc import Iterator

import pytest

from tests.support.calls import http_client
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import STORED, room
from tests.support.kinds import handshake_status
from tests.support.servers import Server, start_server


@pytest.fixture(scope="module")
def runserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server("runserver", tmp_path_factory.mktemp("runserver")) as server:
        yield server


async def test_two_people_chat(runserver: Server, channel: str) -> None:
    """Messages, reactions, what is not stored, history: a smoke test."""
    messages = {"chat": STORED, "typing": {"publish": True}, "hotsock.messageReaction": {}}
    channels = room(channel, messages, historyStart=0)
    async with (
        subscribed(runserver, channel, uid="jim", channels=channels) as jim,
        subscribed(runserver, channel, uid="pam", channels=channels) as pam,
    ):
        await jim.publish(channel, "hi")
        message = await pam.receive("chat")
        assert await jim.receive("chat") == message
        await pam.react(channel, message["id"])
        assert (await jim.receive("hotsock.messageReactionAdded"))["meta"]["uid"] == "pam"
        await jim.publish(channel, event="typing")
        await pam.receive("typing")
        await pam.nothing()
        await jim.nothing()
        listed = {**message, "reactions": {"👍": {"count": 1}}}
        assert await pam.history(channel) == [listed]
        answered = await pam.call("publishMessage", {"channel": channel, "event": "chat"})
        assert answered.status == 202
        await jim.receive("chat")


async def test_a_bad_token_is_refused(runserver: Server) -> None:
    with pytest.raises(Refused) as refused:
        await open_client(runserver, "nonsense")
    assert refused.value.status == handshake_status(runserver, 401)


async def test_the_demos_tokens_and_its_page(runserver: Server) -> None:
    async with http_client(runserver) as http:
        issued = (await http.post("/tokens", content="{}")).json()
        page = await http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    async with connect(runserver, jwt=issued["pam"]["token"]) as pam:
        await pam.subscribe(issued["channel"])
        await pam.store(issued["channel"], "hi")
        assert (await pam.receive("chat"))["meta"] == {"uid": "pam", "umd": None}
