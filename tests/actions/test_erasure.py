"""Erasing a person beside others who write (docs/moderation.md)."""

from collections.abc import Callable, Sequence
from typing import Any

from chat.actions.erasure import Erasure
from chat.models import Connection, Message, Node, StorageEntry
from chat.store.operations.audit import Actor
from chat.store.operations.messages import PublishMessage
from chat.store.operations.removal import RemoveMessages
from chat.store.operations.storage import SetStorage
from chat.store.transaction import Operation
from tests.support.written import META, do, node, opening


def setting(channel: str, data: bytes, key: str, uid: str) -> SetStorage:
    return SetStorage(channel, key, data, uid, "null", META)


def erasing(uid: str, write: Callable[[Operation[Any]], object] = do) -> Erasure:
    def remove(messages: Sequence[tuple[str, str]], asked: object) -> int:
        channels, ids = zip(*messages, strict=True)
        return int(do(RemoveMessages(tuple({*channels}), ids))[0])

    return Erasure(uid, Actor("command"), write, remove)


def test_what_others_store_meanwhile_stays(database: str, channel: str) -> None:
    do(*(setting(channel, b"1", key, channel) for key in "ab"))

    def write(operation: Operation[Any]) -> None:
        if isinstance(operation, SetStorage) and operation.key == "a":
            do(setting(channel, b"2", "a", "jim"))  # between the look and the commit
        do(operation)

    erasure = erasing(channel, write)
    for _ in erasure.steps():
        if erasure.doing == "marks":  # which waits for servers, where other tests have left some
            break
    left = StorageEntry.objects.live().of(channel).values_list("key", "data", "uid")
    assert list(left) == [("a", "2", "jim")]


def test_what_the_person_writes_until_it_is_closed_goes_too(database: str, channel: str) -> None:
    server = node()
    do(server)
    do(opening(server.id, uid=channel))

    def publish() -> None:
        do(PublishMessage(channel, "chat", b"1", channel, "null", META, -1))

    publish()
    erasure = erasing(channel)
    for _ in erasure.steps():
        if erasure.doing == "connections":
            publish()
            Connection.objects.filter(uid=channel, revoked=True).delete()
        if erasure.doing == "marks":
            break
    Node.objects.filter(id=server.id).delete()
    assert not Message.objects.filter(uid=channel).exists()
