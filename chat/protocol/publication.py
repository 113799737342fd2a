"""What the server itself can publish: the body of `POST /publish` (protocol.md section 15).

One shape for every door of the server's side: HTTP, Python, the command line. No Django here.
"""

from typing import Final, Literal, cast

import msgspec
from msgspec import Struct

from tokens.names import MAX_STORE_SECONDS, MAX_UMD_BYTES, is_uid

from . import commands, frames, jsontext
from .commands import Publish, React, SetStorage
from .errors import ErrorCode, ProtocolError
from .frames import NULL, Fields, malformed, valid_data

KNOWN: Final = frozenset({"hotsock.messageReaction", "hotsock.channelStorageSet"})
FOR_EVER: Final = -1
MAX_DEDUPLICATION_ID_LENGTH: Final = 128

Trigger = Literal["client.websocket", "client.http", "server.http", "server.python"]


class Source(Struct, frozen=True, gc=False):
    """How a request came in, and who sent it (protocol.md section 16); "" where unknown."""

    trigger: Trigger
    connection_id: str = ""
    address: str = ""
    user_agent: str = ""


class Body(Fields, gc=False, rename="camel"):
    """A frame's fields, and what the server alone may say."""

    store: int | None = None
    deduplication_id: str | None = None
    eager_id_generation: bool | None = None
    emit_pub_sub_event: bool | None = None


class Reactor(Struct, gc=False):
    """Who reacts, in the `data` of a reaction."""

    uid: str | None = None
    umd: msgspec.Raw = NULL


class Publication(Struct, frozen=True, gc=False):
    """A well-formed request of the server's own. `store` is in seconds, 0 for not stored, -1 for
    ever; `uid` and `umd` are the reactor's, `umd` as JSON text."""

    command: Publish | SetStorage | React
    event: str
    store: int
    deduplication_id: str = ""
    eager: bool = False
    emits: bool = False
    uid: str = ""
    umd: str = "null"


class Receipt(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What whoever publishes is told: `id` of a message, `schedule_arn` where it is to be done
    later. `pending`: not done yet, and neither is known; never so over HTTP."""

    channel: str
    event: str
    id: str | None = None
    schedule_arn: str | None = None
    pending: bool = False


class Acknowledged(
    Receipt, frozen=True, gc=False, rename="camel", omit_defaults=True, kw_only=True
):
    """What a client is told whose operation had an `ack`: `position` is the number of the change
    that it made, where it made one; `repeated`: it was done before (protocol.md section 19)."""

    ack: str
    position: int | None = None
    repeated: bool = False


_body_decoder = msgspec.json.Decoder(Body)
_reactor_decoder = msgspec.json.Decoder(Reactor)


def parse(text: str, what: str = "The body") -> Publication:
    """What `text`, a JSON object, asks for; raises ProtocolError."""
    body = frames.read(text, _body_decoder, what)
    command = cast("Publish | SetStorage | React", commands.decode(body, KNOWN))
    uid, umd = _reactor(body) if isinstance(command, React) else ("", "null")
    store = _store(body.store, default=FOR_EVER if isinstance(command, SetStorage) else 0)
    key = body.deduplication_id or ""
    if len(key) > MAX_DEDUPLICATION_ID_LENGTH:
        raise _invalid(f"deduplicationId takes more than {MAX_DEDUPLICATION_ID_LENGTH} characters.")
    return Publication(
        command=command,
        event=body.event,
        store=store,
        deduplication_id=key,
        eager=bool(body.eager_id_generation),
        emits=bool(body.emit_pub_sub_event),
        uid=uid,
        umd=umd,
    )


def _store(store: int | None, default: int) -> int:
    """As `default` says where it is absent; 0 is valid where it is the default."""
    if store is None:
        return default
    if store in (FOR_EVER, default) or 1 <= store <= MAX_STORE_SECONDS:
        return store
    zero = "" if default else "0 (not stored), "
    raise _invalid(f"store must be {zero}-1 (for ever) or 1 to {MAX_STORE_SECONDS} seconds.")


def _reactor(body: Body) -> tuple[str, str]:
    """The uid and the umd of who reacts."""
    reactor = frames.convert(body.data, _reactor_decoder, "data")
    if not reactor.uid or not is_uid(reactor.uid):
        raise malformed("data.uid must be a string of 1 to 128 characters.")
    umd = valid_data(reactor.umd, "data.umd")
    if jsontext.too_large(umd, MAX_UMD_BYTES):
        raise ProtocolError(
            ErrorCode.DATA_TOO_LARGE, f"data.umd takes more than {MAX_UMD_BYTES} bytes."
        )
    return reactor.uid, umd.decode()


def _invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_REQUEST, message)
