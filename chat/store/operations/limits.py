"""How many rows of a kind a uid may have, counted in the commit that adds one. Whether that is
needed, the process knows: `chat/store/quotas.py`."""

from collections.abc import Iterable
from dataclasses import dataclass

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.transaction import Transaction, marks


class OverQuota(ProtocolError):
    """A uid has as many as it may have."""


@dataclass(slots=True, frozen=True)
class Limit:
    """`most` rows of `uid`; `refusal` says so in words."""

    uid: str
    most: int
    refusal: str

    def refuse(self) -> OverQuota:
        return OverQuota(ErrorCode.RATE_LIMITED, self.refusal)


def load_held(
    transaction: Transaction, kind: str, sql: str, limits: Iterable[Limit | None], *rest: object
) -> None:
    """Counts what those whom a limit concerns hold of this kind. `sql` has a place for their marks,
    gives uids and numbers, and goes on with the parameters `rest`."""
    uids = sorted({limit.uid for limit in limits if limit is not None})
    if uids:
        rows: list[tuple[str, int]] = transaction.select(sql.format(marks(uids)), [*uids, *rest])
        for uid, number in rows:  # may be read twice: plain and with an ack
            transaction.held[kind, uid] = number


def hold(transaction: Transaction, kind: str, limit: Limit | None) -> None:
    """One more. Raises OverQuota, before it counts."""
    if limit is None:
        return
    if transaction.held[kind, limit.uid] >= limit.most:
        raise limit.refuse()
    transaction.held[kind, limit.uid] += 1
