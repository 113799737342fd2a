"""What a channel keeps under its keys (protocol.md section 12)."""

from collections.abc import Callable, Collection
from typing import Final

from chat.delivery.reader import read
from chat.models import StorageEntry

PAGE: Final = 100
WINDOW: Final = 500
"""How many keys are looked through at once, without their values."""


async def list_entries(
    channel: str,
    *,
    keys: Collection[str] | None = None,
    after: str = "",
    allowed: Callable[[str], bool] = lambda key: True,
) -> list[StorageEntry]:
    """Up to 100 entries above the key `after`, in the order of their keys; fewer: they are all.

    Only those of `keys`, where it is given, and only those whose key is `allowed`. Raises
    SERVICE_UNAVAILABLE.
    """
    if keys is not None:
        return await read(_those_of, channel, [key for key in keys if key > after and allowed(key)])
    return await read(_page, channel, after, allowed)


def _those_of(channel: str, keys: list[str]) -> list[StorageEntry]:
    return list(StorageEntry.objects.live().of(channel).filter(key__in=keys).order_by("key")[:PAGE])


def _page(channel: str, after: str, allowed: Callable[[str], bool]) -> list[StorageEntry]:
    """Goes on where entries vanish between the look at their keys and the look at their values:
    who reads page by page takes a short one for the last."""
    found: list[StorageEntry] = []
    live = StorageEntry.objects.live().of(channel).order_by("key")
    while len(found) < PAGE:
        window = list(live.filter(key__gt=after)[:WINDOW].values_list("key", flat=True))
        if not window:
            break
        room = PAGE - len(found)
        wanted = [key for key in window if allowed(key)][:room]
        found += live.filter(key__in=wanted)
        after = wanted[-1] if len(wanted) == room else window[-1]
    return found
