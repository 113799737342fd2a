"""A connection's metadata changes where it is held, whichever process was asked to change it: there
it stays in step with what the connection subscribes to and publishes meanwhile.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chat.cluster.peers import metadata_of, stale
from chat.fanout.hub import BrokerStatus
from chat.fanout.member_throttle import MemberThrottle
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime.connection import LiveConnection
from chat.store import operations
from chat.store.reads import read
from chat.store.writer import Writer
from tokens.names import is_presence

if TYPE_CHECKING:
    from chat.cluster.redis_broker import RedisBroker

log = logging.getLogger("chat.metadata")

ANSWER_SECONDS: Final = 2.0
QUESTION_BYTES: Final = 8


@dataclass(slots=True, frozen=True)
class Update:
    """`umd`, JSON text, for the subscription to `channel`, by its real name; where that is None
    for the connection and, with `propagate`, for all its subscriptions."""

    umd: str
    channel: str | None = None
    propagate: bool = False

    def operation(self, session: Session) -> operations.UpdateUmd:
        if self.channel is not None:
            channels: tuple[str, ...] = (self.channel,)
        else:
            channels = tuple(session.subscriptions) if self.propagate else ()
        own = self.channel is None
        return operations.UpdateUmd(session.connection_id, self.umd, channels, own=own)


class Metadata:
    """A process's part: `asked` and `answered` are called with what the others tell it, and
    `catch_up` every now and then; `outlast` begins what must end before the process does."""

    def __init__(
        self,
        node_id: str,
        connections: Mapping[str, LiveConnection],
        broker: "Callable[[], RedisBroker | None]",
        writer: Writer,
        member_throttle: MemberThrottle,
        outlast: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._node_id = node_id
        self._connections = connections
        self._broker = broker
        self._writer = writer
        self._member_throttle = member_throttle
        self._outlast = outlast
        self._questions: dict[str, asyncio.Future[None]] = {}
        self._unread: set[str] = set()  # connections whose metadata is to be read again
        self._reading = False

    async def change(self, session: Session, update: Update) -> None:
        """That of a connection of this process, whose `changing` the caller holds.

        Raises ProtocolError: NOT_SUBSCRIBED, PRESENCE_CHANNEL_CAPACITY_REACHED,
        INVALID_CONNECTION, SERVICE_UNAVAILABLE; nothing has changed then.
        """
        operation = update.operation(session)
        await self._submit(operation)
        session.take_on(operation.umd, operation.channels, own=operation.own)

    async def change_elsewhere(self, session: Session, update: Update) -> None:
        """That of a connection which another process holds, as the database tells of it; raises as
        `change`. Where that process does not answer, it finds the change in the database as soon as
        it can."""
        try:
            await self._ask(session.connection_id, update)
        except TimeoutError:
            operation = update.operation(session)
            operation.stale = True
            await self._submit(operation)

    async def _submit(self, operation: operations.UpdateUmd) -> None:
        async with self._member_throttle.passing(filter(is_presence, operation.channels)):
            await self._writer.submit(operation)

    # --- between processes ------------------------------------------------------------------

    async def _ask(self, connection_id: str, update: Update) -> None:
        """Returns when its holder has done it, raises what it refuses it with; or TimeoutError."""
        broker = self._broker()
        if broker is None or broker.status is not BrokerStatus.CONNECTED:
            raise TimeoutError
        question = secrets.token_hex(QUESTION_BYTES)
        answer = self._questions[question] = asyncio.get_running_loop().create_future()
        what = connection_id, update.umd, update.channel, update.propagate
        broker.tell_all("ask umd", self._node_id, question, time.time() + ANSWER_SECONDS, *what)
        try:
            await asyncio.wait_for(answer, ANSWER_SECONDS)
        finally:
            del self._questions[question]

    def asked(
        self, asker: str, question: str, until: float, connection_id: str, *update: Any
    ) -> None:
        """By another process, maybe of a connection that is held here. After `until`, by the clock
        of that process, it has done it itself, and there may be later changes."""
        connection = self._connections.get(connection_id)
        if connection is not None and time.time() < until:
            self._outlast(self._answer(asker, question, connection, Update(*update)))

    async def _answer(
        self, asker: str, question: str, connection: LiveConnection, update: Update
    ) -> None:
        refused: tuple[str, str] | tuple[()] = ()
        try:
            async with connection.changing:
                await self.change(connection.session, update)
        except ProtocolError as error:
            refused = error.code, error.message
        broker = self._broker()
        if broker is not None:
            broker.tell(asker, "answer umd", question, *refused)

    def answered(self, question: str, code: str | None = None, message: str = "") -> None:
        """By another process, what this one has asked; maybe too late."""
        answer = self._questions.get(question)
        if answer is None or answer.done():
            return
        if code is None:
            answer.set_result(None)
        else:
            answer.set_exception(ProtocolError(ErrorCode(code), message))

    async def catch_up(self) -> None:
        """Begins to read again what others have changed without this process, unless that is going
        on; raises SERVICE_UNAVAILABLE."""
        self._unread.update(await read(stale, self._node_id))
        if self._unread and not self._reading:
            self._reading = True
            self._outlast(self._read_all())

    async def _read_all(self) -> None:
        """One after another. Those that cannot be read yet are left for the next time."""
        try:
            for id in list(self._unread):
                connection = self._connections.get(id)
                if connection is not None:
                    await self._read_again(connection)
                self._unread.discard(id)
        except ProtocolError as error:
            log.warning("Changed metadata cannot be read yet: %s", error.message)
        finally:
            self._reading = False

    async def _read_again(self, connection: LiveConnection) -> None:
        session = connection.session
        async with connection.changing:
            await self._writer.submit(operations.ReadAgain(connection.id))
            own, subscribed = await read(metadata_of, connection.id)
            session.take_on(own, (), own=True)
            for channel, umd in subscribed:
                session.take_on(umd, (channel,), own=False)
