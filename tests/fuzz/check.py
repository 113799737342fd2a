"""What must hold of answers and of the pure parsers, whatever was sent: as docs/asyncapi.yaml and
docs/openapi.yaml have it, with a sentence that names the field."""

from __future__ import annotations

import codecs
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Callable
from math import inf
from typing import Any, Final, NoReturn

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from chat.protocol import commands, frames, publication
from chat.protocol.errors import ProtocolError
from chat.server.frames import FrameError, FrameReader
from tests.fuzz.generate import MAX_BYTES, SIGNING_KEY, base64url, pieces
from tests.support.conversation import BEYOND, CUT, MALFORMED
from tests.support.described import check_answer, check_call, check_frame, messages, validator
from tests.support.raw import frame
from tokens.claims import TokenError
from tokens.signing import verify

FIELDS: Final = re.compile(
    r"\b([Ff]rames?|[Bb]ody|event|channel|data|keys?|token|uid|messageId|reaction|action|store|query"
    r"|after|before|limit|ack|deduplicationId|scheduleExpression\w*|sessionId|time|connection\w+)\b"
)
PUBLISH: Final = "openapi.yaml#/paths/~1publish/post/requestBody/content/application~1json/schema"
BROKEN: Final = {1002, 1007, 1009}
LAST_TEXTS: Final = [b'{"event":"hotsock.the-last"}', b'{"event":"hotsock.ping"}']
LAST: Final = b"".join(map(frame, LAST_TEXTS))
LONG: Final = re.compile(rb"(?<![\d.])[\d.]{1000}|[eE][-+]?\d{5}")  # perhaps too long a number
WHEN: Final = 1_900_000_000


class Problem(Exception):
    """What should not be; `str()` says what."""


def require(holds: object, *said: object) -> None:
    if not holds:
        raise Problem(" ".join(map(str, said))[:2000])


# --- frames and bodies --------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """KeyError where a name comes twice: the descriptions do not say what that is."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise KeyError
    return members


def _number(text: str) -> float:
    """One of the same kind; infinity where it is beyond the limits of protocol.md section 2."""
    exponent = text.lower().partition("e")[2].lstrip("+-").lstrip("0")
    if len(exponent) > 4 or sum(map(str.isdigit, text)) > 1000:
        return inf
    return int(text) if text.lstrip("-").isdigit() else 0.5


def _constant(name: str) -> NoReturn:
    raise ValueError


NUMBERS: Final = {"parse_int": _number, "parse_float": _number, "parse_constant": _constant}
_decode = json.JSONDecoder(object_pairs_hook=_unique, **NUMBERS).decode


def _read(text: bytes) -> Any:
    """JSON, whatever its numbers are."""
    return json.loads(text, **NUMBERS)


def malformed(text: bytes, body: str | None = None) -> bool | None:
    """Whether a frame (or the body that is described there) is to be refused as malformed; None
    where that cannot be said here."""
    deep = text.count(b"[") + text.count(b"{") > 100
    try:
        value = _decode(text.decode())
    except KeyError:
        return None
    except (ValueError, RecursionError):
        return None if deep else True
    if not isinstance(value, dict):
        return True
    event = str(value.get("event"))
    ours, reads_as_ours = event.startswith("hotsock."), event.lower().startswith("hotsock.")
    if deep or len(text) > MAX_BYTES // 4 or not event.isascii():
        return None
    if reads_as_ours and not ours:
        return True
    if LONG.search(text):
        kept = not ours or event == "hotsock.channelStorageSet"
        return True if kept and "Infinity" in json.dumps(value.get("data")) else None
    if b"\\u" in text:
        try:
            if "\\u0000" in json.dumps(value, ensure_ascii=False).encode().decode():
                return None
        except UnicodeEncodeError:
            return True  # half a surrogate pair
    known = messages("askOnConnection")
    schema = body or known.get(event if ours else "publish")
    return schema is None or not validator(schema).is_valid(value)


def check_refusal(error: Any) -> str:
    """The code of an error, with a sentence that names a field."""
    code, message = error["code"], error["message"]
    named = code not in MALFORMED | BEYOND or FIELDS.search(message)
    require(named and message.endswith(".") and code != "SERVICE_UNAVAILABLE", error)
    return str(code)


def check_texts(sent: list[bytes], received: list[bytes]) -> list[str]:
    """The codes of refusals: what is malformed was refused as such, and nothing else was."""
    codes = defaultdict[str | None, list[str]](list)
    for payload in received:
        said = _read(payload)
        check_frame(said)
        if said["event"] == "hotsock.error":
            codes[said["error"].get("event")].append(check_refusal(said["error"]))
    known = defaultdict[str | None, list[bool | None]](list)
    for text in sent:
        event, _, ack = frames.outline(text.decode())
        wrong = malformed(text)
        perhaps = ack and wrong is False  # the ack may have been used for something else
        known[event and event[:CUT]].append(None if perhaps else wrong)
    for event in codes.keys() | known.keys():
        refused, judged = codes[event], known[event]
        certain = sum(code in MALFORMED for code in refused)
        either = sum(code in MALFORMED | BEYOND for code in refused)
        require(len(refused) <= len(judged), "answered twice:", event, refused)
        require(either >= judged.count(True), "taken though malformed:", event, refused)
        fits = certain <= len(judged) - judged.count(False)
        require(fits, "refused though well formed:", event, refused)
    return [code for refused in codes.values() for code in refused]


def check_call_answer(request: bytes, status: int, body: bytes) -> str:
    """The status, and the code, of the answer to a request that is well formed as HTTP."""
    head, _, sent = request.partition(b"\r\n\r\n")
    method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    path = target.partition("?")[0]
    require(status < 500, status, body[:300])
    said = _read(body) if body[:1] == b"{" else None
    check_answer(method, path, status, said)
    if status < 300 and method == "POST" and path.startswith(("/connection/", "/publish")):
        check_call(method, path, _read(sent))
    return f"{status} {check_refusal(said['error'])}" if said and status > 399 else str(status)


# --- parsers --------------------------------------------------------------------------------------


def _parse(text: bytes, parse: Callable[[str], object], body: str | None = None) -> str:
    """What it is refused with, which agrees with the description."""
    try:
        parse(text.decode())
    except UnicodeDecodeError:
        return "no UTF-8"
    except ProtocolError as error:
        check_refusal({"code": error.code, "message": error.message})
        fine = error.code in MALFORMED and malformed(text, body) is False
        require(not fine, "refused though well formed:", error.code, error.message)
        return error.code
    require(not malformed(text, body), "taken though malformed")
    return "taken"


def reference(data: bytes) -> tuple[list[bytes], int | None]:
    """The messages in a client's bytes and the code that the connection ends with, as `websockets`
    reads them. 0: one of the client's choice; None: it does not end."""
    protocol = Protocol(Side.SERVER, state=OPEN, max_size=MAX_BYTES)
    protocol.receive_data(data)
    messages: list[bytes] = []
    coming, decoder = b"", None
    for event in protocol.events_received():
        if not isinstance(event, Frame) or event.opcode in (Opcode.PING, Opcode.PONG):
            continue
        if event.opcode is Opcode.CLOSE:
            return messages, 0
        if event.opcode is not Opcode.CONT:
            is_text = event.opcode is Opcode.TEXT
            coming, decoder = b"", codecs.getincrementaldecoder("utf-8")() if is_text else None
        coming += event.data
        try:
            if decoder is not None:
                decoder.decode(event.data, event.fin)
        except UnicodeDecodeError:
            return messages, 1007
        if event.fin:
            messages.append(coming)
    sent = protocol.close_sent
    if sent is not None and sent.reason == "incomplete fragmented message":
        return messages, 0  # a close frame may come within a message (RFC 6455 section 5.4)
    return messages, sent.code if sent is not None else None


def read_stream(data: bytes) -> tuple[list[bytes], int | None]:
    """As our reader reads them, in pieces."""
    reader, messages = FrameReader(MAX_BYTES), list[bytes]()
    for piece in pieces(data):
        reader.feed(piece)
        try:
            while (event := reader.next()) is not None:
                if isinstance(event, Close):
                    return messages, 0
                if isinstance(event, list):
                    messages += [text.encode() for text in event]
                elif isinstance(event, bytes):
                    messages.append(event)
        except FrameError as error:
            return messages, error.code
    return messages, None


def parse_stream(data: bytes) -> str:
    """Ours against another's; it may refuse a frame before all of it has come."""
    (ours, code), (theirs, expected) = read_stream(data + LAST), reference(data + LAST)
    early = code in BROKEN and expected != 0
    require(ours == theirs, "other messages:", ours, theirs, code, expected)
    require(early or code == expected, f"ends with {code}, not {expected}")
    return str(code)


def verify_token(token: bytes) -> str:
    """What is accepted was signed by us."""
    try:
        claims = verify(token.decode(errors="replace"), scope="connect", now=WHEN)
    except TokenError as error:
        return re.split(r"[.\[]", error.path)[0]
    said, _, signature = token.rpartition(b".")
    ours = base64url(hmac.digest(SIGNING_KEY, said, "sha256"))
    require(ours == signature, "accepted with a signature that is not ours")
    for entry in claims.channels:
        entry.pattern.matches("fuzz-own")
    return "accepted"


PARSERS: Final[dict[str, Callable[[bytes], str]]] = {
    "parse frame": lambda sent: _parse(sent, lambda text: commands.decode(frames.parse(text))),
    "parse publication": lambda sent: _parse(sent, publication.parse, PUBLISH),
    "parse stream": parse_stream,
    "verify token": verify_token,
}
