"""A network namespace whose only way out leads to this machine's 127.0.0.1, and can be cut.

Packets to 127.0.0.1 are let through one pair of devices (`route_localnet`), so that a server need
not listen anywhere else. It takes root and `ip netns`.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Namespace:
    name: str
    device: str

    @property
    def inside(self) -> list[str]:
        """What a program that runs in it is run by."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """From now on nothing comes out or in, and nobody is told."""
        _run(*self.inside, "ip", "route", "flush", "dev", self.device)
        _run("ip", "-n", self.name, "link", "set", self.device, "down")


@contextlib.contextmanager
def namespace() -> Iterator[Namespace | None]:
    """None where it is not permitted."""
    mark = secrets.token_hex(3)
    made = Namespace(f"faults-{mark}", f"in{mark}")
    try:
        _run("ip", "netns", "add", made.name)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        _connect(made, f"out{mark}")
        yield made
    finally:
        _run("ip", "netns", "del", made.name)


def _connect(made: Namespace, outer: str) -> None:
    third, fourth = secrets.randbelow(256), secrets.randbelow(63) * 4
    here, there = (f"10.213.{third}.{fourth + n}" for n in (1, 2))
    _run(
        "ip", "link", "add", outer, "type", "veth", "peer", "name", made.device, "netns", made.name
    )
    _run("ip", "addr", "add", f"{here}/30", "dev", outer)
    _run("ip", "link", "set", outer, "up")
    _run("sysctl", "-qw", f"net.ipv4.conf.{outer}.route_localnet=1")
    _run("ip", "-n", made.name, "addr", "add", f"{there}/30", "dev", made.device)
    _run("ip", "-n", made.name, "link", "set", made.device, "up")
    _run(*made.inside, "sysctl", "-qw", f"net.ipv4.conf.{made.device}.route_localnet=1")
    _run("ip", "-n", made.name, "route", "add", "127.0.0.1", "via", here, "dev", made.device)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
