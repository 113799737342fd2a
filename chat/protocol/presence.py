"""Who is in a presence channel, in the order of joining (protocol.md section 10).

Decides; never acts. No Django here. A member is its JSON as the wire shows it, `umd` spliced in
raw; a channel holds at most MAX_MEMBERS_BYTES of them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .errors import ErrorCode, ProtocolError
from .events import meta
from .jsontext import same_value

MAX_MEMBERS_BYTES: Final = 100_000


def members_json(members: Iterable[bytes]) -> bytes:
    return b"[%b]" % b",".join(members)


@dataclass(slots=True, frozen=True)
class Present:
    """A member; `joined` is its channel's number when it came."""

    umd: str
    joined: int
    json: bytes


@dataclass(slots=True)
class Roster:
    """The members of one channel, and the subscriptions that keep them there.

    Its methods change it in memory, so that each operation of a batch finds what those before it
    left; nothing changes where one raises.
    """

    members: dict[str, Present] = field(default_factory=dict)
    subscribers: dict[str, str] = field(default_factory=dict)  # connection id -> its uid here
    _bytes: int = 0
    _held: Counter[str] = field(default_factory=Counter)  # uid -> how many subscriptions

    def add_subscriber(self, connection_id: str, uid: str) -> None:
        """In place of the one that it has, where that is under the same uid."""
        if self.subscribers.get(connection_id) != uid:
            self.subscribers[connection_id] = uid
            self._held[uid] += 1

    def check_room(self, uid: str, umd: str, channel: str | None = None) -> None:
        """Raises PRESENCE_CHANNEL_CAPACITY_REACHED where this member would overfill it; `channel`
        is its name, where whoever is refused did not say it."""
        known = self.members.get(uid)
        taken = self._bytes - (len(known.json) if known else 0)
        if taken + len(meta(uid, umd)) > MAX_MEMBERS_BYTES:
            raise ProtocolError(
                ErrorCode.PRESENCE_CHANNEL_CAPACITY_REACHED,
                f"The members of this channel would take more than {MAX_MEMBERS_BYTES} bytes.",
                channel,
            )

    def differs(self, uid: str, umd: str) -> bool:
        """Whether there is no such member with this `umd`: the value counts, not its text."""
        known = self.members.get(uid)
        return known is None or not same_value(known.umd.encode(), umd.encode())

    def put(self, uid: str, umd: str, number: int) -> Present:
        """Lets `uid` join, or gives it another `umd`; `number` is that of this change."""
        known = self.members.get(uid)
        present = Present(umd, known.joined if known else number, meta(uid, umd))
        self._bytes += len(present.json) - (len(known.json) if known else 0)
        self.members[uid] = present
        return present

    def keeps(self, connection_id: str) -> bool:
        """Whether a member would leave with this subscription."""
        return self._held[self.subscribers.get(connection_id, "")] == 1

    def drop_subscriber(self, connection_id: str) -> Present | None:
        """Ends a subscription; the member, where it was that uid's last one."""
        uid = self.subscribers.pop(connection_id, None)
        if uid is None:
            return None
        self._held[uid] -= 1
        if self._held[uid]:
            return None
        del self._held[uid]
        gone = self.members.pop(uid, None)
        self._bytes -= len(gone.json) if gone else 0
        return gone

    def json(self) -> bytes:
        return members_json(present.json for present in self.members.values())
