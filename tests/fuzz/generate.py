"""Inputs: each is a function of the seed and of its number, made of what is in corpus/. Knows
nothing of the server's code."""

from __future__ import annotations

import base64
import hmac
import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import quote_from_bytes

from tests.support.raw import BINARY, CLOSE, FIN, PING, PONG, TEXT, frame, length, upgrade

SIGNING_KEY: Final = b"a key that is known to everybody, of the 64 bytes that HS512 asks"
API_KEY: Final = "an-API-key-that-is-known-to-everybody"
KEYS: Final = {
    **{"SIGNING_KEY_1_METHOD": "HS256", "SIGNING_KEY_1_ID": "", "API_SECRET_KEY_1": API_KEY},
    "SIGNING_KEY_1_ENCODED": base64.b64encode(SIGNING_KEY).decode(),
}
OWN: Final = b"fuzz-own"  # each connection puts a channel of its own in this place,
MESSAGE: Final = b"0MESSAGEMESSAGEMESSAGEMESS"  # a stored message in this one's
CREDENTIALS: Final = b"CREDENTIALS"  # and what proves who calls in this one's
MAX_BYTES: Final = 128 * 1024  # of a whole frame or a body: a larger one ends its connection
Make = Callable[[Random], bytes]


def base64url(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def signed(header: bytes, payload: bytes) -> bytes:
    """A token with the signature that it must have, whatever its parts hold."""
    said = base64url(header) + b"." + base64url(payload)
    return said + b"." + base64url(hmac.digest(SIGNING_KEY, said, "sha256"))


def corpus(name: str) -> list[bytes]:
    """The lines of one of its files, with tokens where they name them."""
    lines = Path(__file__).with_name("corpus").joinpath(name).read_bytes().splitlines()
    if name == "claims":
        return lines
    return [re.sub(rb"TOKEN(\d)", lambda found: TOKENS[int(found[1])], line) for line in lines]


HEADER: Final = b'{"alg":"HS256","typ":"JWT"}'
CLAIMS: Final = corpus("claims")
TOKENS: Final = [signed(HEADER, claims) for claims in CLAIMS]
FRAMES, PUBLICATIONS = corpus("frames"), corpus("publications")
CALLS: Final = [line.split(b" ", 1) for line in corpus("calls")]
VALUES: Final = [
    *corpus("values"),
    *[b"9" * 999, b"9" * 1001, b"9" * 6000, b"0." + b"1" * 1001, b"[" + b"0," * 99 + b"0]"],
    *[b'"%b"' % (piece * count) for piece in (b"x", "👍".encode()) for count in (32, 257, 9000)],
    *[b"[" * depth + b"]" * depth for depth in (99, 100, 101, 1000, 30_000)],
]
NAMES: Final = [value for value in VALUES if value.startswith(b'"')]
PIECES: Final = [*b'{ } [ ] , : " \\ \n \xe2\x80'.split(b" "), b" ", b"\0", b""]

# --- JSON and tokens ------------------------------------------------------------------------------

WORD: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\[\]{}:,"]+')
TIMES: Final = (0, 1, 1, 1, 1, 2, 2, 3)


@lru_cache(1024)
def words_of(text: bytes) -> tuple[list[bytes], list[int]]:
    """The words of a JSON text, and where among them are the names and values."""
    words = WORD.findall(text) or [text]
    return words, [at for at, word in enumerate(words) if word not in b"[]{}:,"] or [0]


def mutate(random: Random, text: bytes) -> bytes:
    """The text with some names or values exchanged, or with pieces of it cut out or put in."""
    for _ in range(random.choice(TIMES)):
        dice = random.random()
        if dice > 0.9 or not 0 < len(text) < 4096:
            text = garble(random, text)
            continue
        known, places = words_of(text)
        words, at = known.copy(), random.choice(places)
        if dice < 0.6:
            words[at] = random.choice(NAMES if words[at + 1 : at + 2] == [b":"] else VALUES)
        elif dice < 0.65:
            words[at] = words[random.choice(places)]
        elif dice < 0.7:
            del words[at]
        else:
            words[0] += b"%b:%b," % (random.choice(NAMES), random.choice(VALUES))
        text = b"".join(words)
    return text[:MAX_BYTES]


def garble(random: Random, data: bytes) -> bytes:
    """The bytes with a few of them elsewhere, anew or gone."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.randrange(12))
    piece = random.choice([*PIECES, data[start:end] * 3, random.randbytes(2)])
    return data[:start] + piece + data[end:]


def text(random: Random) -> bytes:
    """A text frame's payload: UTF-8, as all else ends the connection."""
    made = mutate(random, random.choice(FRAMES))
    return made.decode(errors="replace").encode()[:MAX_BYTES].decode(errors="ignore").encode()


def token(random: Random) -> bytes:
    """A JWT: most are signed as they should be, so that their claims are looked at."""
    dice = random.random()
    if dice < 0.1:
        return garble(random, random.choice(TOKENS))
    header = mutate(random, HEADER) if dice < 0.3 else HEADER
    made = signed(header, mutate(random, random.choice(CLAIMS)))
    return made if dice < 0.9 else made.rpartition(b".")[0] + b"." + base64url(random.randbytes(32))


# --- WebSocket bytes ------------------------------------------------------------------------------


def stream(random: Random) -> bytes:
    """Messages, whole or in fragments with control frames between; one in three has a flaw."""
    parts = [part for _ in range(random.randint(1, 4)) for part in message(random)]
    if random.random() < 0.33:
        at = random.randrange(len(parts))
        parts[at] = random.choice(FLAWS)(random, parts[at])
    return b"".join(parts)


def message(random: Random) -> Iterator[bytes]:
    kind = random.choice([TEXT, TEXT, TEXT, BINARY])
    payload = text(random) if kind == TEXT else random.randbytes(random.choice([0, 1, 10, 70_000]))
    cuts = sorted(random.choices(range(len(payload) + 1), k=random.choice([0, 0, 1, 2, 9])))
    for start, end in pairwise([0, *cuts, len(payload)]):
        if random.random() < 0.2:
            yield frame(random.randbytes(random.choice([0, 5, 125])), random.choice([PING, PONG]))
        last = FIN if end == len(payload) else 0
        yield frame(payload[start:end], 0 if start else kind, first=last)
        if last:
            return


SIZES: Final = [length(size) for size in (2**17 + 1, 2**31, 2**63, 2**64 - 1, 3, 700, 80_000)]
CLOSES: Final = [b"", b"\x03", *(code.to_bytes(2) for code in (0, 1000, 1001, 1005, 1006, 4403))]
FLAWS: Final[list[Callable[[Random, bytes], bytes]]] = [
    lambda random, part: bytes([part[0] ^ 1 << random.randrange(8)]) + part[1:],
    lambda random, part: part[:1] + bytes([part[1] ^ 1 << random.randrange(8)]) + part[2:],
    lambda random, part: frame(b"x" * 126, random.choice([PING, PONG, CLOSE])),
    lambda random, part: bytes([FIN | TEXT]) + random.choice(SIZES) + part,
    lambda random, part: frame(random.choice([b"\xff", b"\xed\xa0\x80", b"ok\xc3"])),
    lambda random, part: frame(
        random.choice(CLOSES) + random.choice([b"", b"bye", b"\xff"]), CLOSE
    ),
    lambda random, part: frame(part, 0),
    lambda random, part: part[: random.randrange(len(part))],
    garble,
]


def pieces(data: bytes) -> Iterator[bytes]:
    """The data as TCP might cut it: the same cuts for the same data."""
    random = Random(zlib.crc32(data))
    cuts = sorted(random.choices(range(len(data) + 1), k=random.choice([0, 1, 3, 7])))
    for start, end in pairwise([0, *cuts, len(data)]):
        yield data[start:end]


# --- HTTP -----------------------------------------------------------------------------------------

KEY: Final = b"Authorization: Bearer %b\r\n" % API_KEY.encode()
HEADERS: Final = corpus("headers")
FRAMING: Final = 10  # from this one on they say how the request itself is to be read


def call(random: Random) -> bytes:
    """A request of either HTTP API, well formed as HTTP."""
    dice = random.random()
    method, headers, body = b"POST", KEY, b""
    if dice < 0.6:
        operation, body = random.choice(CALLS)
        path, headers = b"/connection/%b?%b" % (operation, CREDENTIALS), b""
        if dice < 0.03:
            path = re.sub(rb"[^!-~]|#", b"", garble(random, path))
    elif dice < 0.8:
        path, body = b"/publish", random.choice(PUBLICATIONS)
    elif dice < 0.83:
        path, headers, body = b"/tokens", b"", b'{"uid":"jim","sessionId":"abc"}'
    else:
        name = quote_from_bytes(random.choice([OWN, *VALUES]).strip(b'"')[:2000], safe="")
        name = name.replace(".", "%2E").encode() or b"empty"
        rest = random.choice([b"", b"/storage", b"/storage?after=%b&keys=%b" % (name, name)])
        message = b"/channels/%b/messages/%b" % (name, random.choice([name, MESSAGE]))
        paths = [b"/channels/" + name + rest, message, b"/schedules/" + name, b"/healthz", b"/"]
        method, path = random.choice([b"GET", b"GET", b"DELETE"]), random.choice(paths)
    if random.random() < 0.05:
        method = random.choice([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"BREW"])
    if random.random() < 0.2:
        headers += random.choice(HEADERS[:FRAMING]) + b"\r\n"
    body = mutate(random, body) if body else b""
    headers += b"Content-Length: %d\r\n\r\n" % len(body)
    return b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b%b" % (method, path, headers, body)


def head(random: Random) -> bytes:
    """A handshake with some token, or a request that may be none."""
    dice = random.random()
    if dice < 0.5:
        return upgrade(token(random).decode("latin-1"))
    lines = (upgrade(TOKENS[0].decode()) if dice < 0.7 else call(random)).split(b"\r\n")
    if random.random() < 0.5:
        lines.insert(1, random.choice(HEADERS))
    elif random.random() < 0.2:
        random.shuffle(lines)
    made = b"\r\n".join(lines)
    return garble(random, made) if random.random() < 0.5 else made


# --- all kinds ------------------------------------------------------------------------------------

# What makes each kind, and how many of a hundred thousand there are.
KINDS: Final[dict[str, tuple[Make, int]]] = {
    "text": (text, 45_000),
    "stream": (stream, 500),
    "call": (call, 1_500),
    "head": (head, 300),
    "parse frame": (text, 29_000),
    "parse publication": (lambda random: mutate(random, random.choice(PUBLICATIONS)), 13_200),
    "parse stream": (stream, 4_500),
    "verify token": (token, 6_000),
}
_NAMES: Final = list(KINDS)
_SHARES: Final = list(accumulate(share for _, share in KINDS.values()))


def generate(seed: int, number: int) -> tuple[str, bytes]:
    """The kind of the input of that number, and the input."""
    random = Random(seed << 40 | number)
    [kind] = random.choices(_NAMES, cum_weights=_SHARES)
    return kind, KINDS[kind][0](random)
