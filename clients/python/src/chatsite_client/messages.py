"""What a follower tells: messages, and what becomes of them. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MAX_HELD: Final = 300

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message. `uid` and `umd` are its sender's, None where a server published it.
    `reactions`, of a message that was read from history: `{"👍": {"count": 1, "items": [{"uid":
    "ada"}]}}`."""

    id: str
    event: str
    channel: str
    data: Any
    position: int
    uid: str | None = None
    umd: Any = None
    reactions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reaction:
    """`umd` is None, too, where it was not heard but found by comparing with history."""

    message_id: str
    reaction: str
    action: Literal["add", "remove"]
    uid: str | None
    umd: Any = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message is in history no longer. It may be told of again, and of messages never told."""

    message_id: str


Event = Message | Reaction | Deletion


def message_of(frame: Mapping[str, Any]) -> Message:
    """A frame, or an item of history. Raises LookupError, TypeError."""
    id, meta = frame["id"], frame.get("meta") or {}
    if not isinstance(id, str):
        raise TypeError("id must be a string.")
    event, channel, data = frame["event"], frame["channel"], frame["data"]
    sender = meta.get("uid"), meta.get("umd")
    return Message(id, event, channel, data, frame["position"], *sender, frame.get("reactions", {}))


def reaction_of(frame: Mapping[str, Any]) -> Reaction:
    """A hotsock.messageReactionAdded or …Removed. Raises LookupError."""
    data, meta = frame["data"], frame.get("meta") or {}
    what = data["messageId"], data["reaction"], data["action"]
    return Reaction(*what, meta.get("uid"), meta.get("umd"))


class Held:
    """The newest messages that were told, at most MAX_HELD, and who reacted how: to find what has
    changed where history must be read."""

    def __init__(self) -> None:
        self._reactions: dict[str, set[tuple[str, str | None]]] = {}

    @property
    def begin(self) -> str | None:
        """An id just below those of all that is held; None: nothing is."""
        return next(map(just_below, self._reactions), None)

    def add(self, message: Message) -> None:
        self._reactions[message.id] = {*_reactions_of(message)}
        if len(self._reactions) > MAX_HELD:
            del self._reactions[next(iter(self._reactions))]

    def react(self, change: Reaction) -> bool:
        """Whether it is news; of messages that are not held, always."""
        known = self._reactions.get(change.message_id)
        key = change.reaction, change.uid
        if known is None:
            return True
        if (key in known) == (change.action == "add"):
            return False
        known.symmetric_difference_update({key})
        return True

    def remove(self, id: str) -> None:
        self._reactions.pop(id, None)

    def missing(self, after: str, page: Sequence[Message], *, is_last: bool) -> Iterator[Deletion]:
        """What history lacks, of which `page` is all that there is `after` an id, up to its own
        last message, or for good."""
        present = {message.id for message in page}
        end = None if is_last else page[-1].id
        for id in list(self._reactions):
            if after < id and (end is None or id <= end) and id not in present:
                self.remove(id)
                yield Deletion(id)

    def differences(self, message: Message) -> Iterator[Reaction]:
        """How the reactions to a message that is held have changed."""
        known, now = self._reactions.get(message.id, set()), _reactions_of(message)
        gone = [Reaction(message.id, *key[:1], "remove", key[1]) for key in known - now.keys()]
        come = [
            Reaction(message.id, key[0], "add", key[1], umd)
            for key, umd in now.items()
            if key not in known
        ]
        for change in [*gone, *come]:
            if self.react(change):
                yield change

    def __contains__(self, id: str) -> bool:
        return id in self._reactions


def just_below(id: str) -> str:
    """The greatest ULID below one."""
    stem = id.rstrip("0")
    if not stem:
        return id
    return f"{stem[:-1]}{_DIGITS[_DIGITS.index(stem[-1]) - 1]}".ljust(len(id), "Z")


def _reactions_of(message: Message) -> dict[tuple[str, str | None], Any]:
    """By reaction and uid, the umd."""
    return {
        (reaction, item["uid"]): item.get("umd")
        for reaction, summary in message.reactions.items()
        for item in summary.get("items", ())
    }
