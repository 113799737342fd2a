"""What a session of the demo may store where it is public (`serve --allow-demo`). Anybody may open
one: else anybody could fill the disk."""

from typing import Final

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.transaction import Transaction

PREFIX: Final = "chat-"  # of the demo's channels
SESSION_BYTES: Final = 1_000_000
ROW_BYTES: Final = 100  # beside its data: a million rows of one byte would take long to add up
KNOWN_MS: Final = 5000  # a sum is good for so long: rows expire, and other processes add some
MAX_KNOWN: Final = 1000
STORED: Final = (
    "SELECT COALESCE(SUM({size} + ?), 0) FROM {table} WHERE channel_id = ?"
    " AND (expires_at IS NULL OR expires_at > ?)"
)
SIZES: Final = {True: "octet_length(data)", False: "length(CAST(data AS BLOB))"}  # PostgreSQL's

is_public = False
_known: dict[str, tuple[int, int]] = {}  # channel -> when it was added up, bytes


def charge(transaction: Transaction, channel: str, data: bytes) -> None:
    """What is about to be stored there. Raises RATE_LIMITED where a session of the demo would have
    more than SESSION_BYTES; by what other processes store within KNOWN_MS it may."""
    if not (is_public and channel.startswith(PREFIX)):
        return
    since, stored = _known.get(channel, (0, 0))
    if transaction.ms - since > KNOWN_MS:
        since, stored = transaction.ms, _stored(transaction, transaction.heads[channel].id)
    size = len(data) + ROW_BYTES
    full = stored + size > SESSION_BYTES
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    _known[channel] = since, stored if full else stored + size
    if full:
        raise ProtocolError(
            ErrorCode.RATE_LIMITED,
            f"A session of the demo may store {SESSION_BYTES:,} bytes, and this one is full.",
        )


def _stored(transaction: Transaction, id: int) -> int:
    now, size = transaction.moment(transaction.now), SIZES[transaction.postgresql]
    stored = 0
    for table in ("chat_message", "chat_storageentry"):
        sql = STORED.format(size=size, table=table)
        sums: list[tuple[int]] = transaction.select(sql, [ROW_BYTES, id, now])
        stored += int(sums[0][0])
    return stored
