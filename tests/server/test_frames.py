"""A client's frames as bytes, however they are cut (RFC 6455 section 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close, CloseCode, Frame, Opcode

from chat.server import frames
from chat.server.frames import FRAGMENT, TURN_FRAMES, Event, FrameError, FrameReader, xor
from tests.support.raw import BINARY, CLOSE, FIN, PING, PONG, frame, length

LIMIT = 1000


def events(*reads: bytes) -> list[Event]:
    """What the reader makes of bytes that come like this; each text on its own, no fragments."""
    reader = FrameReader(LIMIT)
    found: list[Event] = []
    for read in reads:
        reader.feed(read)
        while (event := reader.next()) is not None:
            found += [[text] for text in event] if isinstance(event, list) else [event]
    return [event for event in found if event is not FRAGMENT]


def refusal(*reads: bytes) -> tuple[int, str]:
    with pytest.raises(FrameError) as refused:
        events(*reads)
    return refused.value.code, refused.value.reason


MESSAGES = {
    "text": (frame("grüße"), [["grüße"]]),
    "nothing": (frame(""), [[""]]),
    "long text": (frame("x" * 126), [["x" * 126]]),
    "as long as may be": (frame("x" * LIMIT), [["x" * LIMIT]]),
    "binary": (frame(b"\xff", BINARY), [b"\xff"]),
    "no bytes": (frame(b"", BINARY), [b""]),
    "ping": (frame(b"hi", PING), [Frame(Opcode.PING, b"hi")]),
    "pong": (frame(b"x" * 125, PONG), [Frame(Opcode.PONG, b"x" * 125)]),
    "close": (frame(b"\x03\xe8bye", CLOSE), [Close(1000, "bye")]),
    "close without a code": (frame(b"", CLOSE), [Close(1005, "")]),
    "fragments, a ping between": (
        frame(b"gr\xc3", first=0) + frame(b"", PING) + frame(b"\xbc", 0),
        [Frame(Opcode.PING, b""), ["grü"]],
    ),
    "binary fragments": (
        frame(b"\xff", BINARY, first=0) + frame(b"", 0, first=0) + frame(b"\xfe", 0),
        [b"\xff\xfe"],
    ),
    "several": (
        frame("a") + frame(b"b", BINARY) + frame("c") + frame("d"),
        [["a"], b"b", ["c"], ["d"]],
    ),
}


@pytest.mark.parametrize(("sent", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_messages(sent: bytes, expected: list[Event]) -> None:
    assert events(sent) == expected
    assert events(*(bytes([byte]) for byte in sent)) == expected


ERRORS = {
    "incorrect masking": (frame("hi", masked=False), 1002),
    "reserved bits must be 0": (frame("hi", first=FIN | 0x40), 1002),
    "invalid opcode": (frame("hi", 3), 1002),
    "unexpected continuation frame": (frame("hi", 0), 1002),
    "expected a continuation frame": (frame("a", first=0) + frame("b"), 1002),
    "fragmented control frame": (frame("hi", PING, first=0), 1002),
    "control frame too long": (frame("x" * 126, PING), 1002),
    "close frame too short": (frame(b"\x03", CLOSE), 1002),
    "invalid status code": (frame(b"\x03\xe7", CLOSE), 1002),
    "invalid start byte at position 0": (frame(b"\x03\xe8\xff", CLOSE), 1007),
    "frame with 1001 bytes exceeds limit of 1000 bytes": (frame("x" * 1001), 1009),
    "frame with 401 bytes after reading 600 bytes exceeds limit of 1000 bytes": (
        frame("x" * 600, first=0) + frame("x" * 401, 0),
        1009,
    ),
}


@pytest.mark.parametrize(("reason", "sent", "code"), [(why, *case) for why, case in ERRORS.items()])
def test_what_is_refused(sent: bytes, code: int, reason: str) -> None:
    assert refusal(sent) == (code, reason)
    assert refusal(*(bytes([byte]) for byte in sent)) == (code, reason)


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"a\xc3\x28"])
def test_text_that_is_not_utf8(text: bytes) -> None:
    assert refusal(frame(text)) == (1007, "")
    assert refusal(frame("ü", first=0), frame(text, 0)) == (1007, "")


BEGINNINGS = {
    "a reserved bit": b"\xc1\x80",
    "a length over the limit": b"\x81" + length(2**62),
    "a wrong byte of text": b"\x81\x84" + bytes(4) + b"a\xff",
    "a wrong byte in a fragment": frame(b"\xc3", first=0) + b"\x80\x84" + bytes(4) + b"\x28",
}


@pytest.mark.parametrize("sent", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_refusal_does_not_wait_for_the_rest(sent: bytes) -> None:
    refusal(sent)


def test_texts_are_handed_over_together() -> None:
    reader = FrameReader(LIMIT, frame("x") * (TURN_FRAMES + 1))
    assert [reader.next(), reader.next(), reader.next()] == [["x"] * TURN_FRAMES, ["x"], None]


def test_each_fragment_is_an_event() -> None:
    reader = FrameReader(LIMIT, frame("a", first=0) + frame("", 0, first=0) + frame("b", 0))
    assert [reader.next() for _ in range(4)] == [FRAGMENT, FRAGMENT, ["ab"], None]


def test_a_reader_is_idle_between_messages() -> None:
    reader = FrameReader(LIMIT)
    idle = []
    for read in (frame("x"), frame("x", first=0), frame("x", 0), b"\x81", frame("x")[1:]):
        reader.feed(read)
        while reader.next() is not None:
            pass
        idle.append(reader.idle)
    assert idle == [True, False, True, False, True]


sent_frames = st.lists(
    st.one_of(
        st.text(max_size=200).map(lambda text: [text]),
        st.binary(max_size=200),
        st.builds(Frame, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125)),
    ),
    max_size=12,
)


def serialized(event: Event) -> bytes:
    """By another hand, under a mask that is drawn."""
    match event:
        case Frame():
            made = event
        case [text]:
            made = Frame(Opcode.TEXT, text.encode())
        case _:
            made = Frame(Opcode.BINARY, bytes(event))  # type: ignore[arg-type]
    return made.serialize(mask=True)


@given(sent_frames, st.data())
def test_cuts_change_nothing(sent: list[Event], data: st.DataObject) -> None:
    stream = b"".join(map(serialized, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(*reads) == sent


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_masks_without_the_librarys_own(data: bytes, mask: bytes) -> None:
    assert frames.apply_mask is not xor, "websockets.speedups.apply_mask is gone; xor is slower"
    assert xor(data, mask) == frames.apply_mask(data, mask)


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (999, ""), (5000, ""), (1000, "x" * 124)])
def test_a_close_frame_that_cannot_be(code: int, reason: str) -> None:
    assert frames.close_frame(CloseCode.NORMAL_CLOSURE, "x" * 123)
    with pytest.raises(ProtocolError):
        frames.close_frame(code, reason)
