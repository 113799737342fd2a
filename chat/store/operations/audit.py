"""The audit log: who did what to whom, when and from where."""

from dataclasses import dataclass

from django.utils.crypto import salted_hmac
from msgspec import json

from chat.protocol.restrictions import ERASED
from chat.store.transaction import Transaction

MAX_NAME, MAX_ADDRESS = 200, 64  # characters that the columns hold


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: "admin USERNAME", "api key 1" or "2", "command" or "python"; `address` is empty
    where it was not over HTTP."""

    name: str
    address: str = ""


def record(
    transaction: Transaction,
    actor: Actor,
    action: str,
    uid: str | None = None,
    channel: str = "",
    **detail: object,
) -> None:
    """Adds an entry that is committed with the act itself, or not at all. `detail` goes into a JSON
    object: numbers and names, never what a message says."""
    said = json.encode(detail).decode()
    by = actor.name[:MAX_NAME], actor.address[:MAX_ADDRESS]
    transaction.add("auditentry", (transaction.after(0), *by, action, uid, channel, said))


def erased_name(uid: str) -> str:
    """What stands for the uid of an erased person: the same for each, and nobody without SECRET_KEY
    can tell whose it is or try names."""
    return ERASED + salted_hmac("chat.erased", uid, algorithm="sha256").hexdigest()[:40]
