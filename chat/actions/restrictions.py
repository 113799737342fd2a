"""Revoking tokens, closing connections and banning (protocol.md section 19)."""

from collections.abc import Iterable
from itertools import batched
from math import inf
from typing import Final

from django.db.models import Q, QuerySet
from msgspec import Struct, json

from chat.models import Connection, Restriction, Subscription
from chat.protocol.restrictions import Ban, Revocation, Selection
from chat.runtime.node import Node
from chat.store.operations.audit import Actor
from chat.store.operations.restrictions import AddBan, AddRevocation, LiftBan, MarkRevoked
from chat.store.reads import read

PAGE: Final = 100
MARKED_AT_ONCE: Final = 500
READ_AT_ONCE: Final = 1_000
ESCAPE: Final = "\\"  # without one, JSON has a text as it is


async def disconnect(node: Node, selection: Selection, actor: Actor) -> int:
    """Closes connections, which may come back, and gives how many. Raises SERVICE_UNAVAILABLE."""
    ids = await read(selected, selection)
    count = 0
    for operation in marking(ids, selection, actor):
        count += await node.writer.submit(operation)
    await node.marked()
    return count


async def revoke_tokens(node: Node, what: Revocation, actor: Actor) -> int:
    """Gives how many connections that closes. Raises INVALID_REQUEST (`expires_at` has passed),
    SERVICE_UNAVAILABLE."""
    count = await read(count_revoked, what)
    await node.writer.submit(AddRevocation(actor, what))
    await node.marked()
    return count


async def ban(node: Node, what: Ban, actor: Actor) -> int:
    """Gives the ban's id. Raises INVALID_REQUEST (`until` has passed), RATE_LIMITED,
    SERVICE_UNAVAILABLE."""
    id = await node.writer.submit(AddBan(actor, what))
    await node.marked()
    return id


async def unban(node: Node, id: int, actor: Actor) -> bool:
    """Whether there was such a ban in force. Raises SERVICE_UNAVAILABLE."""
    lifted = await node.writer.submit(LiftBan(actor, id))
    await node.marked()
    return lifted


# --- what is concerned --------------------------------------------------------------------------


def selected(selection: Selection) -> list[str]:
    """The ids of the open connections that match."""
    id, uid, channel = selection.connection_id, selection.uid, selection.channel
    rows = Connection.objects.live()
    if id is not None:
        rows = rows.filter(id=id)
    held = Subscription.objects.filter(ended=False)
    if channel is not None:
        held = held.filter(channel__name=channel)
    if uid is not None:
        held = held.filter(uid=uid)
    if uid is not None or channel is not None:
        own = Q() if uid is None or channel is not None else Q(uid=uid)
        rows = rows.filter(own | Q(id__in=held.values("connection_id")))
    return list(rows.values_list("id", flat=True))


def marking(ids: Iterable[str], selection: Selection, actor: Actor) -> list[MarkRevoked]:
    """What is to be committed, in parts between which others commit; the first one is in the audit
    log."""
    parts = list(batched(ids, MARKED_AT_ONCE)) or [()]
    count = sum(map(len, parts))
    first = MarkRevoked(parts[0], actor, selection, count)
    return [first, *(MarkRevoked(part, None, selection) for part in parts[1:])]


class Token(Struct, gc=False):
    """What revocations look at."""

    jti: str | None = None
    uid: str | None = None
    iat: float | None = None


_token_decoder = json.Decoder(Token)


def count_revoked(what: Revocation) -> int:
    """How many open connections were made with such a token, or hold a subscription made with
    one."""
    live = Connection.objects.live()
    held = Subscription.objects.filter(ended=False, connection__in=live).exclude(claims="")
    found = _made_with(what, live, "id") | _made_with(what, held, "connection_id")
    return len(found)


def _made_with(
    what: Revocation, rows: QuerySet[Connection] | QuerySet[Subscription], id: str
) -> set[str]:
    near = Q(uid=what.uid)
    if what.jti is not None:
        near = Q(claims__contains=what.jti) | Q(claims__contains=ESCAPE)
    found: set[str] = set()
    after: str | int = "" if id == "id" else 0
    columns = rows.filter(near).order_by("pk").values_list("pk", id, "claims")
    while page := list(columns.filter(pk__gt=after)[:READ_AT_ONCE]):
        found |= {id for _, id, text in page if _is_revoked(what, _token_decoder.decode(text))}
        after = page[-1][0]
    return found


def _is_revoked(what: Revocation, token: Token) -> bool:
    if what.jti is not None:
        return token.jti == what.jti
    before = inf if what.issued_before is None else what.issued_before
    return token.uid == what.uid and (token.iat is None or token.iat < before)


# --- what is in force ---------------------------------------------------------------------------


def list_revocations(after: int) -> list[Restriction]:
    """Up to PAGE in force above this id, in their order."""
    rows = Restriction.objects.revocations().in_force()
    return list(rows.filter(id__gt=after).order_by("id")[:PAGE])


def list_bans(after: int) -> list[Restriction]:
    rows = Restriction.objects.bans().in_force()
    return list(rows.filter(id__gt=after).order_by("id")[:PAGE])
