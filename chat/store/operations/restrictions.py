"""Revocations and bans: they are made and lifted, and each commit that lets somebody in asks again
whether one of them is against it (protocol.md section 19).

Who makes or lifts one holds a lock until its commit, so that the numbers of these changes are
seen in their order: the highest one says whether a process knows all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from math import ceil, inf
from typing import Any, Final

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.restrictions import (
    LAST_SECOND,
    MAX_BANS,
    MAX_REVOCATIONS,
    Ban,
    Bearer,
    Revocation,
    Rule,
    Rules,
    Selection,
)
from chat.store.operations.audit import Actor, erased_name, record
from chat.store.reports import Time
from chat.store.transaction import Operation, Transaction, marks
from tokens.conf import settings

MAX_READ: Final = 10_000  # changes at once
MAX_ASKED: Final = 1_000  # tokens in one query
LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('chat_restriction', 0))"
NUMBER: Final = "SELECT coalesce(max(number), 0) FROM chat_restriction"
RULES: Final = (
    "SELECT number, id, jti, uid, issued_before, address, channel, expires_at"
    " FROM chat_restriction WHERE"
)
IN_FORCE: Final = "(expires_at IS NULL OR expires_at > ?)"
BANS: Final = "jti = '' AND issued_before IS NULL"
COUNT_BANS: Final = f"SELECT id FROM chat_restriction WHERE {BANS} AND {IN_FORCE} LIMIT ?"  # noqa: S608
ADD: Final = (
    "INSERT INTO chat_restriction (number, jti, uid, issued_before, address, channel, reason,"  # noqa: S608
    f" created_at, expires_at) VALUES ({marks(range(9))}) RETURNING id"
)
LIFT: Final = (
    "UPDATE chat_restriction SET number = ?, expires_at = ?"  # noqa: S608
    f" WHERE id = ? AND {BANS} AND {IN_FORCE} RETURNING uid, address, channel"
)
MARK: Final = "UPDATE chat_connection SET revoked = ? WHERE NOT revoked AND id IN ({}) RETURNING id"


# --- making and lifting -------------------------------------------------------------------------


# Their names come before OpenConnection's: so all take this lock before those of networks.
@dataclass(slots=True)
class RestrictionOperation[Result](Operation[Result]):
    """Changes what is in force. `actor`: who does, for the audit log."""

    actor: Actor

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Any]) -> None:
        if transaction.postgresql:
            transaction.execute(LOCK)


@dataclass(slots=True)
class AddRevocation(RestrictionOperation[int]):
    """Revokes tokens, and gives the id. Raises INVALID_REQUEST where `expires_at` has passed."""

    what: Revocation

    def apply(self, transaction: Transaction) -> int:
        what, now = self.what, transaction.now.timestamp()
        ends_at, longest = what.expires_at, settings.TOKEN_MAX_SECONDS
        if ends_at is None and longest:
            ends_at = min(now + longest, LAST_SECOND)
        issued_before = None
        if what.uid is not None:
            issued_before = ceil(now) if what.issued_before is None else what.issued_before
        until = _end(transaction, "expiresAt", ends_at)
        row = what.jti or "", what.uid, issued_before, "", "", ""
        id = _add(transaction, row, until)
        about: dict[str, Any] = {"issuedBefore": issued_before, "expiresAt": ends_at}
        record(transaction, self.actor, "revoke tokens", uid=what.uid, id=id, jti=what.jti, **about)
        return id


@dataclass(slots=True)
class AddBan(RestrictionOperation[int]):
    """Bans, and gives the id. Raises INVALID_REQUEST where `until` has passed, RATE_LIMITED where
    MAX_BANS are in force."""

    what: Ban

    def apply(self, transaction: Transaction) -> int:
        what, until = self.what, _end(transaction, "until", self.what.until)
        in_force: list[tuple[int]] = transaction.select(
            COUNT_BANS, [transaction.after(0), MAX_BANS]
        )
        if len(in_force) == MAX_BANS:
            sentence = f"{MAX_BANS} bans are in force; lift some before you add more."
            raise ProtocolError(ErrorCode.RATE_LIMITED, sentence)
        channel, address = what.channel or "", what.address or ""
        id = _add(transaction, ("", what.uid, None, address, channel, what.reason or ""), until)
        about: dict[str, Any] = {"id": id, "address": what.address, "until": what.until}
        record(transaction, self.actor, "ban", uid=what.uid, channel=channel, **about)
        return id


@dataclass(slots=True)
class LiftBan(RestrictionOperation[bool]):
    """Gives whether there was such a ban in force; there is none now."""

    id: int

    def apply(self, transaction: Transaction) -> bool:
        now = transaction.after(0)
        lifted: list[tuple[str | None, str, str]] = transaction.select(
            LIFT, [_number(transaction) + 1, now, self.id, now]
        )
        for uid, address, channel in lifted:
            about = {"id": self.id, "address": address or None}
            record(transaction, self.actor, "lift ban", uid=uid, channel=channel, **about)
        return bool(lifted)


def _end(transaction: Transaction, field: str, ends_at: float | None) -> Time | None:
    if ends_at is None:
        return None
    if ends_at <= transaction.now.timestamp():
        raise ProtocolError(ErrorCode.INVALID_REQUEST, f"{field} lies in the past.")
    return transaction.moment(datetime.fromtimestamp(ends_at, UTC))


def _add(transaction: Transaction, row: tuple[object, ...], until: Time | None) -> int:
    times = transaction.after(0), until
    rows: list[tuple[int]] = transaction.select(ADD, [_number(transaction) + 1, *row, *times])
    return rows[0][0]


def _number(transaction: Transaction) -> int:
    """Of the last change."""
    rows: list[tuple[int]] = transaction.select(NUMBER)
    return rows[0][0]


@dataclass(slots=True)
class MarkRevoked(Operation[int]):
    """Marks connections for the processes that hold them, and gives how many were not marked
    yet. `actor` is who does, for the audit log; None: that is known already."""

    ids: Sequence[str]
    actor: Actor | None
    selection: Selection
    count: int = 0  # of all that are to be marked

    def apply(self, transaction: Transaction) -> int:
        if self.actor is not None:
            uid, channel = self.selection.uid, self.selection.channel or ""
            about = {"connection": self.selection.connection_id, "connections": self.count}
            record(transaction, self.actor, "disconnect", uid=uid, channel=channel, **about)
        if not self.ids:
            return 0
        return len(transaction.select(MARK.format(marks(self.ids)), [True, *self.ids]))


# --- asking -------------------------------------------------------------------------------------


@dataclass(slots=True)
class ReadRules(Operation[tuple[list[Rule], float]]):
    """Gives what has changed after the change `number`, at most MAX_READ, with what has ended; or,
    None, what is in force, as far as a process holds it. With the database's time."""

    after: int | None

    def apply(self, transaction: Transaction) -> tuple[list[Rule], float]:
        now = transaction.after(0)
        if self.after is not None:
            where = f"number > ? ORDER BY number LIMIT {MAX_READ}"
            return _rules(transaction, where, [self.after]), transaction.now.timestamp()
        bans = _rules(transaction, f"{BANS} AND {IN_FORCE}", [now])
        newest = f"NOT ({BANS}) AND {IN_FORCE} ORDER BY number DESC LIMIT {MAX_REVOCATIONS + 1}"
        revocations = _rules(transaction, newest, [now])
        return [*bans, *reversed(revocations)], transaction.now.timestamp()


@dataclass(slots=True, frozen=True, eq=False)
class Admission:
    """Asks, within a commit, whether it may let its `bearer` in: by the rules that this process
    holds, and by those that it has not read yet."""

    bearer: Bearer
    rules: Rules

    @staticmethod
    def load(transaction: Transaction, admissions: Iterable["Admission | None"]) -> None:
        """Reads one number; more only where something has changed just now, or the process does
        not hold all."""
        asking = [each for each in admissions if each is not None]
        if not asking:
            return
        held = asking[0].rules
        if transaction.unread is None:
            transaction.unread = Rules(erased_name)
            if _number(transaction) > held.number:
                where = f"number > ? ORDER BY number LIMIT {MAX_READ}"
                _put(transaction, _rules(transaction, where, [held.number]))
        if held.overflow:
            tokens = [token for each in asking for token in each.bearer.tokens]
            jtis = {token.jti for token in tokens if token.jti}
            for part in batched(sorted(jtis), MAX_ASKED):
                _put(transaction, _rules(transaction, f"jti IN ({marks(part)})", part))
            named = {token.uid for token in tokens if token.uid}
            uids = named | set(map(erased_name, named))
            for part in batched(sorted(uids), MAX_ASKED):
                where = f"issued_before IS NOT NULL AND uid IN ({marks(part)})"
                _put(transaction, _rules(transaction, where, part))

    def check(self, transaction: Transaction) -> None:
        """Raises ProtocolError."""
        now = transaction.now.timestamp()
        self.bearer.check(self.rules, now)
        if transaction.unread:
            self.bearer.check(transaction.unread, now)


def _put(transaction: Transaction, rules: Iterable[Rule]) -> None:
    if transaction.unread is not None:
        for rule in rules:
            transaction.unread.put(rule, transaction.now.timestamp())


def _rules(transaction: Transaction, where: str, values: Sequence[object]) -> list[Rule]:
    rows: list[tuple[Any, ...]] = transaction.select(f"{RULES} {where}", values)
    return [Rule._make((*row[:-1], _seconds(row[-1]))) for row in rows]


def _seconds(time: datetime | None) -> float:
    """SQLite's are in UTC, and do not say so."""
    if time is None:
        return inf
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
