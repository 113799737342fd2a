"""History as if it had been written over several days."""

from playwright.async_api import Route

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DAY_MS = 24 * 60 * 60_000
HOUR_MS = 60 * 60_000


async def rewrite_times(route: Route) -> None:
    """The first third is of the day before yesterday, the second of yesterday, with half an hour
    before the last of each; the others are of now."""
    answer = await route.fetch()
    body = await answer.json()
    messages = sorted(body["messages"], key=lambda message: str(message["id"]))
    third = len(messages) // 3
    for days, start in ((2, 0), (1, third)):
        for message in messages[start : start + third]:
            message["id"] = at_noon(message["id"], days)
        last = messages[start + third - 1]
        last["id"] = ulid_at(time_of(last["id"]) + HOUR_MS // 2, last["id"])
    await route.fulfill(response=answer, json=body)


def at_noon(ulid: str, days: int) -> str:
    """Of the same second after noon (UTC) so many days earlier."""
    time = time_of(ulid)
    return ulid_at(time - time % DAY_MS - days * DAY_MS + 12 * HOUR_MS + time % 60_000, ulid)


def time_of(ulid: str) -> int:
    return sum(CROCKFORD.index(digit) << 5 * at for at, digit in enumerate(reversed(ulid[:10])))


def ulid_at(time: int, ulid: str) -> str:
    return "".join(CROCKFORD[time >> 5 * at & 31] for at in reversed(range(10))) + ulid[10:]
