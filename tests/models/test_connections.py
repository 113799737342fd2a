"""Which connections are live: they authorise HTTP calls, and count (protocol.md sections 6, 14)."""

from datetime import UTC, datetime, timedelta

import pytest

from chat.cluster.leases import RenewLease
from chat.models import Connection
from tests.support.written import do, node, opening


def is_live(id: str, *, asker: str = "") -> bool:
    return Connection.objects.live(asker=asker).filter(id=id).exists()


def test_a_connection_lives_as_long_as_its_nodes_lease(database: str) -> None:
    process, other = node(), node()
    do(process, other)
    row = opening(process.id)
    do(row)
    assert is_live(row.id)
    do(RenewLease(process.id, -1))
    assert not is_live(row.id)
    assert not is_live(row.id, asker=other.id)
    # The node itself knows: after an outage its lease may have run out, but its clients are there.
    assert is_live(row.id, asker=process.id)


@pytest.mark.parametrize("ended", ["revoked", "expires_at"])
def test_what_has_ended_lives_for_nobody(database: str, ended: str) -> None:
    process = node()
    do(process)
    row = opening(process.id)
    do(row)
    past = datetime.now(UTC) - timedelta(seconds=1)
    Connection.objects.filter(id=row.id).update(**{ended: True if ended == "revoked" else past})
    assert not is_live(row.id)
    assert not is_live(row.id, asker=process.id)
