"""Many clients in a process of their own, to be killed or cut off all at once.

The program reads a port and tokens, opens a connection with each, prints `ready` when each is
subscribed to all its token says, and then reads what comes for as long as it lives.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tests.support.servers import ROOT

SUBSCRIBED = b'"event":"hotsock.subscribed"'
READY = b"ready\n"
LIMIT_SECONDS = 60
CHUNK = 1 << 16


class Crowd:
    """`inside` is what the program is run by, such as `ip netns exec NAME`."""

    def __init__(self, inside: Sequence[str] = ()) -> None:
        command = [*inside, sys.executable, "-m", "tests.faults.crowd"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def connect(self, port: int, subscriptions: int, tokens: Sequence[str]) -> None:
        """Returns when every client has so many subscriptions."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process.stdin as told:
            told.write("\n".join([str(port), str(subscriptions), *tokens]).encode())
        said = self._process.stdout.readline()
        assert said == READY, "the clients of another process did not get in"

    def stop(self) -> None:
        """Its sockets stay open, and nobody reads or answers."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextlib.contextmanager
def crowd(inside: Sequence[str] = ()) -> Iterator[Crowd]:
    """Killed at the end, where it was not before."""
    clients = Crowd(inside)
    try:
        yield clients
    finally:
        clients.kill()


def _main() -> None:
    port, subscriptions, *tokens = sys.stdin.read().split()
    opened = [_open(int(port), jwt) for jwt in tokens]
    for client in opened:
        _await_subscriptions(client, int(subscriptions))
    print("ready", flush=True)
    _read_for_ever(opened)


def _open(port: int, jwt: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
    client.sendall(request(jwt))
    return client


def _await_subscriptions(client: socket.socket, number: int) -> None:
    heard = b""
    while heard.count(SUBSCRIBED) < number:
        part = client.recv(CHUNK)
        if not part:
            raise SystemExit(f"refused: {heard[:300]!r}")
        heard += part


def _read_for_ever(clients: Sequence[socket.socket]) -> None:
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            client = key.fileobj
            assert isinstance(client, socket.socket)
            if not client.recv(CHUNK):
                selector.unregister(client)


def request(jwt: str) -> bytes:
    return (
        f"GET /v1?token={jwt} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


if __name__ == "__main__":
    _main()
