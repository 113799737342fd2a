"""Both directions of a test's connection, held against docs/asyncapi.yaml.

Whatever the server sends is described; it refuses as malformed exactly those frames that the
description does not allow.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.support.described import check_frame, sent_problem

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
MAYBE = "something that JSON Schema cannot say"
CUT = 512


class Conversation:
    def __init__(self) -> None:
        self._awaited: deque[tuple[str | None, str]] = deque()  # event, and what is wrong with it
        self._asked: set[object] = set()  # an autoSubscribe fails with an event that nobody sent
        self._all_known = True

    def sent(self, frame: dict[str, Any] | str | bytes, text: str | bytes) -> None:
        """`text` is what went over the wire."""
        if not isinstance(frame, dict):
            self._all_known = False
            return
        wrong, event = sent_problem(frame), frame.get("event")
        named = event[:CUT] if isinstance(event, str) else None
        self._asked.add(named)
        if wrong is None:
            used = frame.get("ack") is not None  # perhaps for something else before
            beyond = used or beyond_schema(str(text)) or not (named or "").isascii()
            wrong = MAYBE if beyond else PING if event == PING else None
        if wrong is not None:
            self._awaited.append((named, wrong))

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
            assert wrong == MAYBE, f"the server took what is not described: {wrong}"

    def _refused(self, frame: dict[str, Any]) -> None:
        code, event = frame["error"]["code"], frame["error"].get("event")
        if code == "RATE_LIMITED":  # what the frame was nobody looked at
            self._all_known = False
        if code not in MALFORMED | BEYOND:
            return
        awaited = next((one for one in self._awaited if one[0] == event and one[1] != PING), None)
        if awaited is not None:
            self._awaited.remove(awaited)
        else:
            described = self._all_known and code in MALFORMED and event in self._asked
            assert not described, f"the server refused what is described: {frame}"


def beyond_schema(text: str) -> bool:
    """Whether this JSON may hold NUL, or nest too deeply."""
    return "\\u0000" in text or text.count("[") + text.count("{") > 100
