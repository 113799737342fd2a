"""History as if it had been written over several days."""

from playwright.async_api import Route

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DAY_MS = 24 * 60 * 60_000
MINUTE_MS = 60_000


async def rewrite_times(route: Route) -> None:
    """The first third is of the day before yesterday, the second of yesterday; then a pause."""
    answer = await route.fetch()
    body = await answer.json()
    messages = body["messages"]
    for index, message in enumerate(messages):
        third = 3 * index // len(messages)
        earlier = (2 - third) * DAY_MS + (20 - 10 * (index % 2)) * MINUTE_MS * (third < 2)
        message["id"] = moved(message["id"], -earlier)
    await route.fulfill(response=answer, json=body)


def moved(ulid: str, milliseconds: int) -> str:
    """The id of the same message, written so much later."""
    time = sum(CROCKFORD.index(digit) << 5 * at for at, digit in enumerate(reversed(ulid[:10])))
    time += milliseconds
    digits = "".join(CROCKFORD[time >> 5 * at & 31] for at in reversed(range(10)))
    return digits + ulid[10:]
