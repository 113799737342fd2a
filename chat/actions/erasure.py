"""Erasing a person: all that is stored of a uid, in short transactions beside the servers.

What subscribers see goes first, as if each were deleted, taken back, cleared or left. The marks of
that go when every process has brought it to its subscribers, with what nobody sees. What others
wrote about the person stays, and so do names of channels and of others' keys.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Length
from msgspec import MsgspecError, Raw, Struct, json

from chat.actions.deletion import Deleting, MessageSelection, Remove
from chat.cluster.leases import alive
from chat.conf import settings
from chat.models import (
    Acknowledgement,
    AuditEntry,
    BackendEvent,
    Connection,
    Member,
    Message,
    OutboxEntry,
    Reaction,
    Restriction,
    Schedule,
    StorageEntry,
    Subscription,
)
from chat.protocol import commands, events
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.operations.acknowledgement import sender_of
from chat.store.operations.audit import Actor, erased_name
from chat.store.operations.erasure import EraseMarks, FinishErasure
from chat.store.operations.messages import SetReaction
from chat.store.operations.storage import SetStorage
from chat.store.transaction import Operation

PORTION: Final = 500  # rows read at once
POLL_SECONDS: Final = 0.1
CLOSING_SECONDS: Final = 30.0  # for the servers, to close the connections
REPR_LENGTH: Final = 200  # characters that the admin's log keeps of what a row is called

Write = Callable[[Operation[Any]], object]


class Whose(Struct):
    """Whose work waits, or who is meant; of a schedule that waits itself, its `work`."""

    uid: str | None = None
    work: "Whose | None" = None


@dataclass(slots=True)
class Erasure:
    """`rows`: how many there were of each kind when it began; `left`: of those that are there at
    the end, which is none unless the person has come back. Raises INVALID_REQUEST."""

    uid: str
    actor: Actor
    write: Write
    remove: Remove
    doing: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    _entries: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By channel, the storage entries that were cleared."""

    def __post_init__(self) -> None:
        commands.valid_uid(self.uid)

    def count(self) -> dict[str, int]:
        """How many rows of each kind there are."""
        own = Q(uid=self.uid)
        return {
            "messages": Message.objects.filter(own).count(),
            "reactions": Reaction.objects.filter(own).count(),
            "storage_entries": StorageEntry.objects.filter(own).count(),
            "memberships": Member.objects.filter(own).count(),
            "connections": self._connections().count(),
            "subscriptions": Subscription.objects.filter(own).count(),
            "schedules": len(self._work_in(Schedule.objects.all())),
            "outbox_entries": len(self._work_in(OutboxEntry.objects.all())),
            "backend_events": len(self._events()),
            "acknowledgements": Acknowledgement.objects.filter(sender=self._sender).count(),
            "restrictions": Restriction.objects.filter(own).count(),
            "audit_entries": AuditEntry.objects.filter(own).count(),
            "admin_log": len(self._logged()),
        }

    def steps(self) -> Iterator[float]:
        """Does some of it, and gives for how many seconds to wait before the next step; `doing`
        says what is next. Raises SERVICE_UNAVAILABLE."""
        self.rows = self.count()
        self.doing = "connections"  # first: who is connected writes more
        self._close()
        yield from self._until_closed()
        self._cancel()
        deleting = Deleting(MessageSelection(uid=self.uid), self.remove)
        for name, steps in (
            ("messages", deleting.steps()),
            ("messages", self._delete_expired()),
            ("reactions", self._take_back()),
            ("storage entries", self._clear()),
            ("marks", self._marks()),
        ):
            self.doing = name
            yield from steps
        self._forget()
        self.left = {name: count for name, count in self.count().items() if count}

    # --- what subscribers see ---------------------------------------------------------------

    def _connections(self) -> QuerySet[Connection]:
        subscribed = Subscription.objects.filter(uid=self.uid).values("connection_id")
        return Connection.objects.filter(Q(uid=self.uid) | Q(id__in=subscribed))

    def _close(self) -> None:
        self._connections().filter(revoked=False).update(revoked=True)

    def _until_closed(self) -> Iterator[float]:
        """The nodes close what is marked. Where none is alive, a crash has left it."""
        deadline = time.monotonic() + CLOSING_SECONDS
        while alive() and self._connections().exists() and time.monotonic() < deadline:
            self._close()
            yield POLL_SECONDS
        if not alive():
            ids = list(self._connections().values_list("id", flat=True))
            Subscription.objects.filter(connection_id__in=ids).delete()
            Connection.objects.filter(id__in=ids).delete()
            Member.objects.filter(uid=self.uid).update(removed=True)

    def _cancel(self) -> None:
        for rows in (Schedule.objects.all(), OutboxEntry.objects.all()):
            rows.filter(id__in=self._work_in(rows)).delete()

    def _delete_expired(self) -> Iterator[float]:
        """Those that nobody sees any more."""
        for found in _portions(Message.objects.filter(uid=self.uid).only("id")):
            Message.objects.filter(id__in=[row.id for row in found]).delete()
            yield 0.0

    def _take_back(self) -> Iterator[float]:
        standing = Reaction.objects.standing().filter(uid=self.uid).select_related("channel")
        for found in _portions(standing):
            for row in found:
                meta = events.meta(row.uid, row.umd)
                taken = row.uid, row.umd, meta, row.reaction, "remove"
                try:
                    self.write(SetReaction(row.channel.name, row.message_id, *taken))
                except ProtocolError as refusal:  # the message has expired, or is hidden
                    if refusal.code is not ErrorCode.MESSAGE_NOT_FOUND:
                        raise
                yield 0.0

    def _clear(self) -> Iterator[float]:
        entries = StorageEntry.objects.filter(uid=self.uid).select_related("channel").defer("data")
        for found in _portions(entries):
            for row in found:
                cleared = row.channel.name, row.key, None, None, "null", None
                self.write(SetStorage(*cleared, owner=self.uid))
                self._entries[row.channel.name].append(row.id)
                yield 0.0

    # --- what nobody sees -------------------------------------------------------------------

    def _marks(self) -> Iterator[float]:
        """By then every process has brought to its subscribers what the marks stand for: one that
        cannot hear the others is no longer alive."""
        until = time.monotonic() + settings.NODE_LEASE_SECONDS
        while alive() and time.monotonic() < until:
            yield POLL_SECONDS
        names = set(self._entries)
        for rows in (Reaction.objects.order_by(), Member.objects.order_by()):
            names.update(rows.filter(uid=self.uid).values_list("channel__name", flat=True))
        for name in sorted(names):
            entries = self._entries[name]
            for first in range(0, max(len(entries), 1), PORTION):
                self.write(EraseMarks(name, self.uid, tuple(entries[first : first + PORTION])))
                yield 0.0

    def _forget(self) -> None:
        for id, body in self._events():
            event = BackendEvent.objects.filter(id=id)
            event.update(body=body) if body else event.delete()
        for row in self._logged():
            row.save(update_fields=["object_repr"])
        self.write(FinishErasure(self.uid, self.actor, self.rows))

    @property
    def _sender(self) -> str:
        return sender_of(self.uid, "")

    @property
    def _quoted(self) -> str:
        """As JSON has it."""
        return json.encode(self.uid).decode()

    def _work_in(self, rows: QuerySet[Any]) -> list[Any]:
        """The keys of what waits to be done for the person."""
        found = rows.filter(work__contains=self._quoted).values_list("id", "work")
        return [id for id, work in found.iterator() if self._is_own(work)]

    def _is_own(self, work: str) -> bool:
        try:
            whose = json.decode(work, type=Whose)
        except MsgspecError:  # nobody can read it, but the name is in it
            return True
        return self.uid in (whose.uid, whose.work.uid if whose.work else None)

    def _events(self) -> list[tuple[int, str]]:
        """Backend events that wait, by id, with what is left of the body: "" where it is the
        person's."""
        found = BackendEvent.objects.filter(body__contains=self._quoted).values_list("id", "body")
        told = ((id, body, self._without(body)) for id, body in found.iterator())
        return [(id, left) for id, body, left in told if left != body]

    def _without(self, body: str) -> str:
        """A backend event without the person; "": there is nothing else in it."""
        event = json.decode(body, type=dict[str, Raw])
        data = json.decode(event["data"], type=dict[str, Raw])
        meta = json.decode(data.get("meta", b"null"), type=Whose | None)
        if self.uid in (_uid(data.get("uid")), meta.uid if meta else None):
            return ""
        if "members" not in data:
            return body
        members = json.decode(data["members"], type=list[Raw])
        others = [each for each in members if json.decode(each, type=Whose).uid != self.uid]
        if len(others) == len(members):
            return body
        left = json.encode(data | {"members": Raw(json.encode(others))})
        return json.encode(event | {"data": Raw(left)}).decode()

    def _logged(self) -> list[Any]:
        """Entries of the admin's log that name the person, with the name that stands for it."""
        if not apps.is_installed("django.contrib.admin"):
            return []
        by, named = f" by {self.uid} in ", f" by {erased_name(self.uid)} in "
        rows: QuerySet[Any] = apps.get_model("admin", "LogEntry").objects.annotate(
            length=Length("object_repr")
        )
        found = []
        cut_off = Q(length=REPR_LENGTH, object_repr__contains=" by ")
        for row in rows.filter(Q(object_repr__contains=by) | cut_off).iterator():
            before, _, end = row.object_repr.rpartition(" by ")
            if by in row.object_repr:
                row.object_repr = row.object_repr.replace(by, named)[:REPR_LENGTH]
            elif end and by.startswith(f" by {end}"):
                row.object_repr = f"{before}{named}"[:REPR_LENGTH]
            else:
                continue
            found.append(row)
        return found


def _portions[M: Model](rows: QuerySet[M]) -> Iterator[Sequence[M]]:
    """All of them by key; the caller may delete what it has got."""
    last = None
    while found := list((rows.filter(pk__gt=last) if last else rows).order_by("pk")[:PORTION]):
        yield found
        last = found[-1].pk


def _uid(raw: Raw | None) -> object:
    return None if raw is None else json.decode(raw)
