"""Whatever the network and the server do, the Python client's follower gives each message once and
in order, and what it told ends up as the server has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatsite_client import Deletion, Event, Follow, Message, Position, backoff, follow
from chatsite_client.calls import Call
from chatsite_client.connection import Connection
from chatsite_client.errors import Refused
from tests.python_client import scripted_channel
from tests.python_client.scripted_channel import Key, ScriptedChannel, Socket

PAGE = 5  # messages in an answer of history
TURNS = 12  # of the event loop, after which all have done what they could

Request = tuple[Call[Any], Socket, "asyncio.Future[Any]"]


class View:
    """What a program shows, by what it is given."""

    def __init__(self) -> None:
        self.shown: dict[str, set[Key]] = {}
        self.begin: str | None = None
        self.newest = ""
        self.earlier: set[str] = set()  # given by a follower that is no more

    def take(self, event: Event) -> None:
        if isinstance(event, Message):
            assert event.id > self.newest, f"{event.id} came after {self.newest}"
            self.newest = event.id
            self.begin = event.id if self.begin is None else self.begin
            summaries = event.reactions.items()
            self.shown[event.id] = {
                (reaction, item["uid"]) for reaction, each in summaries for item in each["items"]
            }
        elif isinstance(event, Deletion):
            self.shown.pop(event.message_id, None)
        elif (keys := self.shown.get(event.message_id)) is not None:
            key, is_news = (event.reaction, str(event.uid)), event.message_id not in self.earlier
            assert not is_news or (key in keys) == (event.action == "remove"), f"{event} came twice"
            (keys.add if event.action == "add" else keys.discard)(key)


class World:
    """A server, a follower of its channel, and the network between them."""

    def __init__(self, limit: int | None) -> None:
        self.server = ScriptedChannel()
        self.view = View()
        self.limit = limit
        self.sockets: list[Socket] = []
        self.requests: list[Request] = []
        self.answers: dict[int, list[Any]] = {}  # by the call, on their way back
        self.join(None)
        if limit is None:
            self.view.begin = ""

    # --- the follower -----------------------------------------------------------------------

    def join(self, since: Position | None) -> None:
        self.follow = Follow(self.connect, "c", since=since, limit=self.limit)
        self.begin()

    def begin(self) -> None:
        self.task = asyncio.create_task(self.read())

    async def read(self) -> None:
        async with aclosing(self.follow.events()) as events:
            async for event in events:
                self.view.take(event)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def connect(self) -> Any:
        socket = Socket(self.server, f"id {len(self.sockets)}")
        self.sockets.append(socket)
        return self.connected(socket)

    @asynccontextmanager
    async def connected(self, socket: Socket) -> AsyncIterator[Connection]:
        connection = Connection(socket, lambda call: self.ask(call, socket))  # type: ignore[arg-type]
        try:
            yield connection
        finally:
            await socket.close()

    async def ask(self, call: Call[Any], socket: Socket) -> Any:
        future = asyncio.get_running_loop().create_future()
        self.requests.append((call, socket, future))
        return call.result(200, {}, json.dumps({"messages": await future}).encode())

    # --- what may happen --------------------------------------------------------------------

    def publish(self, number: int) -> None:
        for _ in range(number**2 // 5 + 1):
            self.server.publish()

    def whisper(self, number: int) -> None:
        self.server.whisper()

    def react(self, number: int) -> None:
        if message := self.one_of(self.server.messages, number):
            self.server.react(message, ("👍👎"[number % 2], "ab"[number // 2 % 2]))

    def delete(self, number: int) -> None:
        if message := self.one_of(self.server.messages, number):
            self.server.delete(message)

    def skip(self, number: int) -> None:
        self.server.skip()

    def deliver(self, number: int) -> None:
        if self.sockets:
            self.sockets[-1].deliver(number + 1)

    def deliver_twice(self, number: int) -> None:
        wire = self.sockets[-1].wire if self.sockets else []
        if wire and wire[0]["event"] != "hotsock.subscribed":
            self.sockets[-1].say(wire[0])

    def answer(self, number: int) -> None:
        """First the server answers, then the answer arrives."""
        if request := self.one_of(self.requests, number):
            call, socket, future = request
            if id(call) not in self.answers:
                self.answers[id(call)] = self.server.list(json.loads(call.content or b""))
            elif socket.id in self.server.sockets:
                self.finish(request, lambda: future.set_result(self.answers.pop(id(call))))
            else:
                self.refuse(request, Refused("INVALID_CONNECTION", "No.", 401))

    def overload(self, number: int) -> None:
        if request := self.one_of(self.requests, number):
            self.refuse(request, Refused("SERVICE_UNAVAILABLE", "No.", 503))

    def refuse(self, request: Request, error: Refused) -> None:
        self.answers.pop(id(request[0]), None)
        self.finish(request, lambda: request[2].set_exception(error))

    def finish(self, request: Request, act: Callable[[], None]) -> None:
        self.requests.remove(request)
        if not request[2].done():
            act()

    def cut(self, number: int) -> None:
        if self.sockets:
            self.sockets[-1].cut()

    def forget(self, number: int) -> None:
        self.server.can_recover = not self.server.can_recover

    def lose(self, number: int) -> None:
        self.server.restore(self.server.messages[: -number or None])

    async def pause(self, number: int) -> None:
        """The program breaks off, and goes on later."""
        await self.leave()
        self.begin()

    async def reload(self, number: int) -> None:
        """The program ends, and begins anew where it was."""
        await self.leave()
        since = json.loads(json.dumps(self.follow.position))
        if since is not None:
            self.view.earlier |= self.view.shown.keys()
        self.join(since)

    @staticmethod
    def one_of(choices: list[Any], number: int) -> Any:
        """Mostly of the last ones."""
        return choices[-1 - number % len(choices)] if choices else None

    # --- a run ------------------------------------------------------------------------------

    async def run(self, acts: list[tuple[str, int]]) -> None:
        for name, number in acts:
            outcome = getattr(self, name)(number)
            if outcome is not None:
                await outcome
            await self.settle()
        await self.rest()
        self.check()
        await self.leave()

    async def settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if self.task.done():
            self.task.result()

    async def rest(self) -> None:
        """Nothing new happens, and all that is on its way arrives."""
        for _ in range(1000):
            self.deliver(1000)
            for _ in [*self.requests, *self.requests]:
                self.answer(0)
            await self.settle()
            quiet = [each.is_quiet for each in self.server.sockets.values()]
            if quiet == [True] and not self.requests:
                return
        raise AssertionError("it does not come to rest")

    def check(self) -> None:
        begin, shown = self.view.begin, self.view.shown
        there = [each for each in self.server.messages if begin is not None and each.id >= begin]
        assert {each.id for each in there} <= shown.keys()
        assert shown.keys() - {each.id for each in there} <= self.view.earlier
        for message in there:
            if message.id not in self.view.earlier:
                assert shown[message.id] == set(message.reactions)


WEIGHTS = {"deliver": 12, "answer": 12, "publish": 6, "react": 6, "delete": 2, "skip": 2}
WEIGHTS |= {"whisper": 1, "deliver_twice": 2, "overload": 1, "cut": 4, "forget": 2, "lose": 1}
WEIGHTS |= {"pause": 3, "reload": 1}
NAMES = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
ACTS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 11)), min_size=50, max_size=300)


@settings(max_examples=120)
@given(acts=ACTS, limit=st.sampled_from([0, 3, PAGE, None]))
def test_a_follower_misses_nothing(acts: list[tuple[str, int]], limit: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backoff, "FIRST_CEILING", 0.0)
        for module in (scripted_channel, follow):
            patch.setattr(module, "PAGE", PAGE)
        asyncio.run(run(acts, limit))


async def run(acts: list[tuple[str, int]], limit: int | None) -> None:
    await World(limit).run(acts)
