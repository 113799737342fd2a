"""What one read of a connection has for the same listeners, told to them at once."""

import time
from typing import Final

from chat.fanout.announcements import Burst
from chat.fanout.hub import Hub
from chat.protocol import ids
from chat.protocol.session import Session
from chat.protocol.subscription import Route

MAX_BYTES: Final = 16 * 1024
"""With one more, less than the portion that is written at once to who may read slowly."""


class Gathering:
    """Messages that one connection passes on in a row: who listens is found once for them all.

    Whoever adds one tells them before anything else is done.
    """

    __slots__ = ("_frames", "_hub", "_ms", "_route", "_session", "_size")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._route: Route | None = None
        self._session: Session | None = None
        self._ms = 0  # since 1970
        self._frames: list[bytes] = []
        self._size = 0

    def add(self, session: Session, route: Route, data: bytes) -> None:
        """For a route that `passes`."""
        if route is not self._route or self._size > MAX_BYTES:
            self.tell()
            self._route, self._session, self._ms = route, session, int(time.time() * 1000)
        frame = route.template.frame(ids.new_id(self._ms), data, route.sender.meta)
        self._frames.append(frame)
        self._size += len(frame)

    def tell(self) -> None:
        """All that was added, if anything was."""
        route, session = self._route, self._session
        if route is None or session is None:
            return
        frames, self._frames, self._size = self._frames, [], 0
        self._route = self._session = None
        channel = route.channel
        follows = session.last_numbers.get(channel, 0)
        echo = route.rights.echo
        self._hub.announce_burst(Burst(channel, follows, frames, session.connection_id, echo))
