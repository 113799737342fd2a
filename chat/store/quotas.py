"""Quotas: how much a person, a `uid`, may hold at a time, in all processes together.

Each process adds what it takes in for a person to what it last counted in the database. It counts
again after a while, or once a share of what was left is taken: so no message costs a query, and
what purging or deleting frees is found. Stored bytes and acks are refused by that; of connections,
storage entries and schedules, the commit counts those of whoever may be near the limit
(docs/decisions/0011).
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from chat.store.operations.limits import Limit
from chat.store.reads import read
from chat.store.usage import Quota, Usage, message_bytes, usages

AT_ONCE: Final = 100  # people in one count
MAX_PEOPLE: Final = 4_000  # whom a process remembers, with a KB each; others are counted at once
NONE: Final = 1 << 62  # what is left where there is no quota
LOOK_SECONDS: Final = 1.0
COUNT_SECONDS: Final = 30.0
# So many times as long as counting took nothing is counted; of one person, too, or a tenth of that
# while that one is at a limit.
REST: Final = 100
REST_AT_LIMIT: Final = 10
MAX_REST_SECONDS: Final = 5.0
# What a process takes in before it counts again: of what was left. As many processes together do
# not exceed a limit that the commit then looks at.
SHARES: Final = {Quota.STORED_BYTES: 2, Quota.ACKS: 2}
PROCESSES: Final = 8
# Of people who have stored nothing since: most listen, and need no query of their own.
OF_LISTENERS: Final = frozenset(Quota) - {Quota.STORED_BYTES}


@dataclass(slots=True, eq=False)
class Person:
    """What is left of each quota. A count is due where less than `alarm` is left or at the moment
    `due`, not before `rested`, by the monotonic clock."""

    left: Usage
    alarm: Usage
    due: float = field(default_factory=lambda: time.monotonic() + COUNT_SECONDS)
    rested: float = 0.0
    stores: bool = False  # bytes, or wanted to, since its messages were last counted

    def found(
        self, quotas: Collection[Quota], usage: Usage, limits: Usage, before: Usage, took: float
    ) -> None:
        """`before` is what was left when counting began; what was taken since is not in `usage`."""
        for quota in quotas:
            left = limits[quota] - usage[quota]
            self.alarm[quota] = max(left - left // SHARES.get(quota, PROCESSES), 0)
            self.left[quota] += left - before[quota]
        now = time.monotonic()
        self.due = now + max(COUNT_SECONDS, REST * took)
        self.rested = now + max(LOOK_SECONDS, REST_AT_LIMIT * took)


@dataclass(slots=True, eq=False)
class Quotas:
    """What this process knows of people, on its event loop."""

    _limits: Usage = field(default_factory=lambda: [quota.limit or NONE for quota in Quota])
    _people: dict[str, Person] = field(default_factory=dict)
    _used: dict[str, Person] = field(default_factory=dict)  # since they were counted

    def take(self, uid: str | None, quota: Quota, amount: int = 1) -> None:
        """Raises RATE_LIMITED where the person would hold more than its quota. Who has no uid has
        none."""
        if uid and self._take(uid, quota, amount) < 0:
            raise self._limit(uid, quota).refuse()

    def limit(self, uid: str | None, quota: Quota) -> Limit | None:
        """The limit that the commit must look at, where somebody takes one more; None: there is
        none, or it is far away."""
        if not uid or self._limits[quota] == NONE:
            return None
        near = self._take(uid, quota, 1) < self._people[uid].alarm[quota]
        return self._limit(uid, quota) if near else None

    def _take(self, uid: str, quota: Quota, amount: int) -> int:
        """Gives what is left then; where that is less than nothing, it is not taken."""
        person = self._used.get(uid) or self._use(uid)
        left = person.left[quota] - amount
        # Connecting does not hurry: until the next count each commit counts the connections.
        if left < person.alarm[quota] and quota is not Quota.CONNECTIONS:
            person.due = person.rested
        if quota is Quota.STORED_BYTES:
            person.stores = True
        if left >= 0:
            person.left[quota] = left
        return left

    def _limit(self, uid: str, quota: Quota) -> Limit:
        most = self._limits[quota]
        said = (
            f"Your uid has all the {quota.plain} that it may have: {most:,} (QUOTA_{quota.name})."
        )
        return Limit(uid, most, said)

    def _use(self, uid: str) -> Person:
        person = self._people.get(uid)
        if person is None:
            person = self._people[uid] = Person(self._limits.copy(), self._limits.copy())
            if len(self._people) > MAX_PEOPLE:
                first = next(iter(self._people))
                self._used.pop(first, None)
                del self._people[first]
        self._used[uid] = person
        return person

    async def count(self) -> float:
        """Counts what those hold for whom that is due; gives the seconds until the next look.
        Raises SERVICE_UNAVAILABLE."""
        began = time.monotonic()
        due = (uid for uid, person in self._used.items() if person.due <= began)
        people = {uid: self._used.pop(uid) for uid in list(islice(due, AT_ONCE))}
        if not people:
            return LOOK_SECONDS
        before = {uid: person.left.copy() for uid, person in people.items()}
        for uid, usage in (await read(usages, list(people))).items():
            start, person = time.monotonic(), people[uid]
            quotas: Collection[Quota] = OF_LISTENERS
            if person.stores:
                quotas, person.stores = Quota, False
                before[uid][Quota.STORED_BYTES] = person.left[Quota.STORED_BYTES]
                await self._add_messages(uid, usage)
            person.found(quotas, usage, self._limits, before[uid], time.monotonic() - start)
        took = time.monotonic() - began
        return max(LOOK_SECONDS, min(REST * took, MAX_REST_SECONDS))

    async def _add_messages(self, uid: str, usage: Usage) -> None:
        """No more of them than it takes to know that the quota is reached."""
        limit, after = self._limits[Quota.STORED_BYTES], ""
        more = limit < NONE
        while more and usage[Quota.STORED_BYTES] < limit:
            size, after = await read(message_bytes, uid, after)
            usage[Quota.STORED_BYTES] += size
            more = bool(after)
