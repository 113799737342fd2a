"""Both directions of a test's connection, held against docs/asyncapi.yaml.

Whatever the server sends is described; it refuses as malformed exactly those frames that the
description does not allow.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.reference.described import check_frame, sent_problem

# A frame that is refused so is never one that the description allows.
MALFORMED = {
    "INVALID_MESSAGE",
    "UNKNOWN_EVENT",
    "INVALID_CHANNEL_NAME",
    "INVALID_EVENT_NAME",
    "INVALID_STORAGE_KEY",
}
# One that is refused so may be allowed: bytes, the calendar and tokens are not JSON Schema's.
BEYOND = {
    "INVALID_REACTION",
    "INVALID_SCHEDULE_EXPRESSION",
    "DATA_TOO_LARGE",
    "INVALID_UMD_TOKEN",
}
PING = "hotsock.ping"
CUT = 512


class Conversation:
    def __init__(self) -> None:
        self._awaited: deque[tuple[str | None, str]] = deque()  # (event, what is wrong or PING)
        self._all_known = True

    def sent(self, frame: dict[str, Any] | str | bytes, text: str | bytes) -> None:
        """`text` is what went over the wire."""
        if not isinstance(frame, dict) or "\\u0000" in str(text):  # NUL is not JSON Schema's
            self._all_known = False
            return
        wrong, event = sent_problem(frame), frame.get("event")
        if wrong is not None:
            self._awaited.append((event[:CUT] if isinstance(event, str) else None, wrong))
        elif event == PING:
            self._awaited.append((PING, PING))

    def received(self, frame: dict[str, Any]) -> None:
        check_frame(frame)
        if frame["event"] == "hotsock.pong":
            self._answered()
        elif frame["event"] == "hotsock.error":
            self._refused(frame)

    def _answered(self) -> None:
        while self._all_known and self._awaited:
            _, wrong = self._awaited.popleft()
            if wrong == PING:
                return
            raise AssertionError(f"the server took what is not described: {wrong}")

    def _refused(self, frame: dict[str, Any]) -> None:
        code, event = frame["error"]["code"], frame["error"].get("event")
        if code == "RATE_LIMITED":  # what the frame was nobody looked at
            self._all_known = False
        if code not in MALFORMED | BEYOND:
            return
        awaited = next((one for one in self._awaited if one[0] == event and one[1] != PING), None)
        if awaited is not None:
            self._awaited.remove(awaited)
        elif self._all_known and code in MALFORMED:
            raise AssertionError(f"the server refused what is described: {frame}")
