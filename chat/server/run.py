"""How uvicorn runs here: its limits and its shutdown (design.md section 5)."""

import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import uvicorn
from django.conf import settings

from chat.protocol.frames import MAX_FRAME_BYTES
from chat.runtime.connection import PING_SECONDS
from chat.runtime.metrics import share
from chat.runtime.node import running
from chat.server.http_protocol import HttpConnection
from chat.server.websocket import AsgiWebSocket, WebSocket

HEAD_BYTES: Final = 128 * 1024
UNACKNOWLEDGED_SECONDS: Final = 30
RECEIVE_BYTES: Final = 32 * 1024  # the kernel takes twice that; a read of a socket brings no more
GRACEFUL_SHUTDOWN_SECONDS: Final = 2
EXIT_SECONDS: Final = 9  # a supervisor that asked has 10
FAILED: Final = 1  # the exit code
DESCRIPTORS: Final = 1 << 20  # what Linux gives a process at most, unless it is told otherwise
# Messages of a batch are under way together: with Python's 2,000 they were looked through again
# and again.
YOUNG_OBJECTS: Final = 20_000
LIBC: Final = ctypes.CDLL(None)
M_MMAP_THRESHOLD: Final = -3  # as in glibc's malloc.h
M_ARENA_MAX: Final = -8
MAPPED_BYTES: Final = 128 * 1024  # glibc's own bound, until the first such block is freed
TRIM_TICKS: Final = 600  # of 0.1 s
SWITCH_INTERVAL_SECONDS: Final = 0.0005  # of a busy thread's hold on the interpreter (design.md 4)


class Server(uvicorn.Server):
    """Shuts down gracefully on the first signal, within EXIT_SECONDS; exits on the second. So it
    does, `failed`, where a background task has failed too often. SIGHUP restarts it, unless it
    comes because its terminal is closed."""

    failed: bool = False

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._at_terminal = os.isatty(0)
        self.restarting = False
        self.kept: socket.socket | None = None  # the listening one: who comes meanwhile waits

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, which raises the signals again at the end: the exit code would be -15."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        handlers = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        hangup = sig == signal.SIGHUP
        if self.should_exit and hangup:
            return
        if self.should_exit and not self.restarting:
            os._exit(128 + sig)
        began, self.restarting = self.restarting, hangup and os.isatty(0) == self._at_terminal
        if began:  # and ends in order instead
            return
        super().handle_exit(sig, frame)
        watchdog = threading.Timer(EXIT_SECONDS, os._exit, [128 + sig])
        watchdog.daemon = True
        watchdog.start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.servers += await share()
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        node = running()
        if node is not None and node.failed and not self.should_exit:
            self.failed = True
            self.handle_exit(signal.SIGTERM, None)
        if counter % TRIM_TICKS == 0:
            trim_malloc()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.restarting and sockets:
            self.kept = sockets[0].dup()
        for server in self.servers:
            server.close()
        # One connection after another; uvicorn then closes all that are still open at once.
        if (node := running()) is not None:
            await node.drain()
        await super().shutdown(sockets)


def raise_descriptor_limit() -> None:
    """To what this process may have; systemd and shells begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def limit_malloc() -> None:
    """Give freed memory back sooner, where malloc is glibc's (docs/decisions/0015). To be called
    before the process has threads.

    By default each thread gets an arena of its own, up to eight a core, which keeps what was freed
    in it. And once a large block has been freed, blocks of its size are no longer mapped and given
    back, but taken from the heap (mallopt(3)).
    """
    mallopt = getattr(LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)  # who allocates holds Python's lock, nearly always
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def trim_malloc() -> None:
    """Give back the pages that are free within the heap, where malloc is glibc's (malloc_trim(3)):
    what waited in a burst, for one."""
    malloc_trim = getattr(LIBC, "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError, with a message to show, where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)  # of all it accepts
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        milliseconds = UNACKNOWLEDGED_SECONDS * 1000
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listening


def run(
    listening: socket.socket,
    trusted_proxies: str,
    on_started: Callable[[], None],
    *,
    direct: bool = True,
) -> socket.socket | None:
    """Serve the project's ASGI_APPLICATION until SIGINT or SIGTERM; until SIGHUP, and then gives
    the socket for a new start. Calls `on_started` once requests are answered. Exits with FAILED
    where the process cannot go on.

    `trusted_proxies`: addresses whose X-Forwarded-For and -Proto headers are believed. `direct`:
    whether applications are offered the WebSocket extension, or ASGI alone as on other servers.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.freeze()  # what is loaded by now stays
    gc.set_threshold(YOUNG_OBJECTS)
    raise_descriptor_limit()
    application = ":".join(settings.ASGI_APPLICATION.rsplit(".", 1))
    server = Server(configured(application, trusted_proxies, direct=direct), on_started)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # before and after the server's own handler
    server.run([listening])
    if server.failed:
        sys.exit(FAILED)
    return server.kept if server.restarting else None


def configured(application: object, trusted_proxies: str, *, direct: bool = True) -> uvicorn.Config:
    """For an ASGI application, or the address of one; the rest as `run` has it."""
    return uvicorn.Config(
        application,  # type: ignore[arg-type]
        http=HttpConnection,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws=WebSocket if direct else AsgiWebSocket,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=PING_SECONDS,
        log_config=None,
        access_log=False,  # chat/http/access.py says more
        server_header=False,
        forwarded_allow_ips=trusted_proxies,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )
