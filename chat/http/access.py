"""A line in the log for each request (docs/logs.md), beside the one that uvicorn does without."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chat.http.bodies import Message

# Its warnings anybody can cause: chat/logs.py counts them.
log = logging.getLogger("chat.http.access")

MAX_LENGTH: Final = 200  # of a path, in characters; clients may send any
REQUEST_ID: Final = re.compile(rb"[\w.-]{1,64}")
LEFT: Final = 499  # before it was answered: nginx says so, too

Send = Callable[[Message], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Access:
    """A request under way; `status` and `about`, what else its line says, as far as known."""

    scope: Mapping[str, Any]
    status: int = LEFT
    about: Mapping[str, object] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def watched(self, send: Send) -> Send:
        """`send`, which notes the status of what is sent."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            await send(message)

        return send_on

    def write(self) -> None:
        """To be called when the answer has left."""
        level = logging.WARNING if self.status in range(400, 500) else logging.INFO
        if not log.isEnabledFor(level):
            return
        scope, client = self.scope, self.scope.get("client")
        fields = {
            "method": scope["method"],
            "path": scope["path"][:MAX_LENGTH],
            "status": self.status,
            "seconds": round(time.monotonic() - self.began, 4),
            "address": client[0] if client else "",
            **self.about,
        }
        if id := next((value for name, value in scope["headers"] if name == b"x-request-id"), b""):
            fields |= {"request": id.decode()} if REQUEST_ID.fullmatch(id) else {}
        log.log(level, "Request answered", fields)
