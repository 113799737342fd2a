"""What this host lets a process have: descriptors, and memory and queues of its kernel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chat.conf import settings
from chat.doctor.findings import Finding, error, warning
from chat.runtime.connection import max_connections
from chat.server.run import raise_descriptor_limit

FEW: Final = 3_000  # connections
BACKLOG: Final = 2_048  # uvicorn's: how many connections may wait to be accepted
SOCKET_BYTES: Final = 8 * 1024  # of the kernel's: a page each way
PAGE_BYTES: Final = 4096
KERNEL: Final = Path("/proc/sys/net")


def host() -> Iterator[Finding]:
    yield from _descriptors()
    yield from _kernel()


def _descriptors() -> Iterator[Finding]:
    """By the limit that this command has, raised as `serve` raises its own."""
    raise_descriptor_limit()
    possible, wanted = max_connections(), settings.CONNECTIONS_MAX
    if possible < (wanted or FEW):
        found, name = (
            (error, f"CONNECTIONS_MAX is {wanted:,}") if wanted else (warning, "That is few")
        )
        yield found(
            "host.descriptors",
            f"A process may have {possible:,} connections by its limit of descriptors. {name}.",
            "Whoever comes then gets a 503.",
            f"LimitNOFILE={2 * (wanted or FEW)} in the unit of systemd, or `ulimit -n` as root,"
            " before `serve` and before this command",
        )


def _kernel() -> Iterator[Finding]:
    waiting = _numbers("core/somaxconn")
    if waiting and waiting[0] < BACKLOG:
        yield warning(
            "host.backlog",
            f"The kernel lets {waiting[0]:,} connections wait to be accepted (net.core.somaxconn).",
            "When many clients come back at once, some are dropped, and try again after seconds.",
            f"sysctl -w net.core.somaxconn={2 * BACKLOG}, and the same in /etc/sysctl.d/",
        )
    memory, sockets = _numbers("ipv4/tcp_mem"), settings.CONNECTIONS_MAX
    if memory and memory[-1] * PAGE_BYTES < sockets * SOCKET_BYTES:
        pages = sockets * SOCKET_BYTES // PAGE_BYTES
        yield warning(
            "host.tcp-memory",
            f"The kernel has {memory[-1] * PAGE_BYTES / 1024**2:,.0f} MiB for all of TCP"
            f" (net.ipv4.tcp_mem), and CONNECTIONS_MAX is {sockets:,}.",
            "Beyond that it drops what sockets send and receive.",
            f"sysctl -w net.ipv4.tcp_mem='{pages} {pages * 3 // 2} {pages * 2}', and the same in"
            " /etc/sysctl.d/",
        )


def _numbers(name: str) -> list[int]:
    """None where the kernel does not tell."""
    try:
        return [int(number) for number in (KERNEL / name).read_text().split()]
    except (OSError, ValueError):
        return []
