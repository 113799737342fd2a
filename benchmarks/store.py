"""What a stored message costs: the writer's batches against one ORM transaction each."""

from collections.abc import Iterator

from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from ulid import ULID

from benchmarks.measure import Row, compare
from chat.delivery.commit import commit
from chat.delivery.operations import StoreMessage
from chat.delivery.writer import MAX_BATCH
from chat.models import Channel, Message

DATA = b'"a message of an ordinary length, as people write them"'
META = b'{"uid":"jim","umd":null}'
PUBLISHERS = 64  # how many wait at once: a batch of the writer


def rows() -> Iterator[Row]:
    call_command("migrate", verbosity=0)
    channel = Channel.objects.create(name="peer", changed_at=timezone.now())
    number = iter(range(1, 10**9))

    def ours(times: int) -> None:
        for start in range(0, times, PUBLISHERS):
            commit([_message() for _ in range(min(PUBLISHERS, times - start, MAX_BATCH))])

    def peer(times: int) -> None:
        for _ in range(times):
            with transaction.atomic():
                Message.objects.create(
                    id=str(ULID()),
                    channel=channel,
                    number=next(number),
                    event="chat",
                    data=DATA.decode(),
                    uid="jim",
                )

    yield compare("a stored message, 64 waiting", ours, peer, "ORM save each", times=640)


def _message() -> StoreMessage:
    return StoreMessage("bench", "chat", DATA, "jim", "null", META, 86400)
