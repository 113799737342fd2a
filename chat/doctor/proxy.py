"""Whether a client reaches the server through its own address, as the proxy passes it on."""

import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from django.core.exceptions import ImproperlyConfigured
from msgspec import DecodeError, json
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from chat.conf import settings
from chat.doctor.findings import Finding, Probe, error, sentence, warning
from chat.models import Connection
from chat.protocol.addresses import is_among
from chat.store.databases import connection
from tokens.api import issue

ANSWER_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 12.0  # longer than from one ping of the server's to the next
TOKEN_SECONDS: Final = 30
URL_BYTES: Final = 60 * 1024
CLAIMED: Final = "192.0.2.77"  # nobody has it: RFC 5737
LOOK_SECONDS: Final = 4 * ANSWER_SECONDS + SILENCE_SECONDS
EXAMPLE: Final = "as in docs/deploy/nginx.conf; then reload the proxy"


def proxy(url: str) -> Probe:
    return partial(_proxy, url.rstrip("/"))


def _proxy(url: str) -> Iterator[Finding]:
    with httpx.Client(timeout=ANSWER_SECONDS, verify=ssl.create_default_context()) as http:
        try:
            answer = http.get(f"{url}/readyz")
        except httpx.HTTPError as failure:
            yield _away(url, sentence(failure))
            return
        yield from _not_ready(url, answer)
        if "status" in _object(answer.content):
            yield from _redirected(http.get(f"{url}/"))
            yield from _too_long(http, url)
            yield from _websocket(url)


# --- HTTP ---------------------------------------------------------------------------------------


def _away(url: str, problem: str) -> Finding:
    return error(
        "proxy.away",
        f"{url} does not answer: {problem}.",
        "Clients do not reach the server.",
        f"curl -v {url}/readyz shows how far it comes: the name, the certificate, the proxy.",
    )


def _object(body: bytes | bytearray) -> dict[str, Any]:
    """The JSON object that an answer of the server is; else an empty one."""
    try:
        return json.decode(body, type=dict[str, Any])
    except DecodeError:
        return {}


def _not_ready(url: str, answer: httpx.Response) -> Iterator[Finding]:
    said = _object(answer.content)
    if "status" not in said:
        yield _away(url, f"/readyz is {answer.status_code}, and not this server's answer")
    elif said["status"] != "ok":
        found = warning if said["status"] == "degraded" else error
        yield found(
            "proxy.not-ready",
            f"The server is {said['status']}: {' '.join(said['problems'])}",
            "docs/deploy.md says what goes on meanwhile, and what does not.",
            "Mend what it names; the log has the reason.",
        )


def _redirected(answer: httpx.Response) -> Iterator[Finding]:
    """To itself, where the server takes it for plain HTTP."""
    if answer.is_redirect and answer.headers["location"] == str(answer.url):
        yield error(
            "proxy.scheme",
            "The server sends https to https, again and again: it takes it for plain HTTP.",
            "No page opens, and no call is answered.",
            "Let the proxy set X-Forwarded-Proto, and FORWARDED_ALLOW_IPS name the proxy's"
            f" address, {EXAMPLE}.",
        )
    elif answer.status_code == httpx.codes.BAD_REQUEST:
        host = urlsplit(str(answer.url)).hostname
        yield error(
            "proxy.host",
            f"The server does not answer for the host {host}.",
            "No page opens, and no call is answered.",
            f"Add {host} to ALLOWED_HOSTS and restart, or let the proxy pass the Host header on,"
            f" {EXAMPLE}.",
        )


def _too_long(http: httpx.Client, url: str) -> Iterator[Finding]:
    answer = http.get(f"{url}/healthz", params={"long": "x" * URL_BYTES})
    if answer.status_code != httpx.codes.OK:
        yield warning(
            "proxy.request-line",
            f"A request line of {URL_BYTES // 1024} KiB is refused with {answer.status_code}.",
            "Tokens travel in it, and may have 64 KiB: who has a long one is not let in.",
            f"large_client_header_buffers 4 128k, {EXAMPLE}.",
        )


# --- a WebSocket --------------------------------------------------------------------------------


def _websocket(url: str) -> Iterator[Finding]:
    try:
        with _connected(url) as socket:
            yield from _delayed(socket)
    except InvalidStatus as refused:
        if "error" not in _object(refused.response.body or b""):
            yield _no_upgrade(f"the handshake is answered {refused.response.status_code}")
    except (InvalidHandshake, TimeoutError, OSError) as failure:
        yield _no_upgrade(sentence(failure))


def _connected(url: str) -> ClientConnection:
    """With a token of this site's; where it has no key to sign one, the server refuses the
    handshake, and that it does is enough."""
    try:
        token = issue({"scope": "connect"}, lifetime=TOKEN_SECONDS)
    except ImproperlyConfigured:
        token = ""
    return connect(
        f"ws{url.removeprefix('http')}/v1?token={token}",
        additional_headers={"X-Forwarded-For": CLAIMED},
        open_timeout=ANSWER_SECONDS,
        close_timeout=1,
        ping_interval=None,
        proxy=None,
    )


def _no_upgrade(problem: str) -> Finding:
    return error(
        "proxy.upgrade",
        f"A WebSocket cannot be opened: {problem}.",
        "No client connects.",
        f"Let the proxy pass `Upgrade` and `Connection` on over HTTP/1.1, {EXAMPLE}.",
    )


def _delayed(socket: ClientConnection) -> Iterator[Finding]:
    try:
        opened = json.decode(socket.recv(ANSWER_SECONDS))
        answered = socket.ping().wait(ANSWER_SECONDS)
    except TimeoutError:
        answered = False
    if not answered:
        yield error(
            "proxy.buffers",
            f"A frame does not come through the proxy within {ANSWER_SECONDS:g} s.",
            "What is published comes late, or when the connection ends.",
            "Switch its buffering of this site off (nginx: proxy_buffering off), and whatever"
            " inspects WebSockets.",
        )
        return
    yield from _address(socket, opened["data"]["connectionId"])
    yield from _cut(socket)


def _cut(socket: ClientConnection) -> Iterator[Finding]:
    try:
        socket.recv(SILENCE_SECONDS)
    except TimeoutError:
        return
    except ConnectionClosed as closed:
        yield error(
            "proxy.cuts",
            f"A connection that is silent ends within {SILENCE_SECONDS:g} s: {sentence(closed)}.",
            "Clients connect again and again.",
            "Let the proxy wait for a minute (nginx: proxy_read_timeout 60s): the server sends a"
            " ping every 10 s.",
        )


def _address(socket: ClientConnection, connection_id: str) -> Iterator[Finding]:
    """The address that the server took for this client's. Where this host is one of the proxies,
    nothing can be told from it."""
    trusted = settings.FORWARDED_ALLOW_IPS
    row = Connection.objects.filter(pk=connection_id)
    seen = row.values_list("address", flat=True).first()
    connection.close()
    if seen is None or is_among(str(socket.local_address[0]), trusted):
        return
    if seen == CLAIMED:
        problem = "The server takes the address for a client's that the client itself states."
    elif is_among(seen, trusted):
        problem = f"The server takes the address of the proxy, {seen}, for the client's."
    else:
        return
    yield error(
        "proxy.address",
        problem,
        "Limits and bans of addresses meet the wrong ones, or nobody.",
        f"proxy_set_header X-Forwarded-For $remote_addr, {EXAMPLE}; FORWARDED_ALLOW_IPS must name"
        " the proxy alone.",
    )
