"""What Linux says about a server's process and its sockets."""

import os
from pathlib import Path

LOOPBACK_TABLE = Path("/proc/net/tcp")
TIME_WAIT, LISTEN = 6, 10


def memory(pid: int) -> int:
    """Bytes of a process, its share of what it has in common with others (PSS). What the kernel
    keeps of its sockets is not in it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def sockets(port: int) -> dict[tuple[str, int], int]:
    """The peers to which a server's port has a socket, and that socket's inode: 0 where the
    process has closed it and only the kernel still holds it."""
    found = {}
    for line in LOOPBACK_TABLE.read_text().splitlines()[1:]:
        fields = line.split()
        (_, local), peer, state = _address(fields[1]), _address(fields[2]), int(fields[3], 16)
        if local == port and state not in (TIME_WAIT, LISTEN):
            found[peer] = int(fields[9])
    return found


def _address(text: str) -> tuple[str, int]:
    """`0100007F:1F90` is 127.0.0.1, 8080."""
    host, _, port = text.partition(":")
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(host))), int(port, 16)
