"""Servers to measure, ours and others, each started by `make bench` itself."""

from .base import Missing, Peer, Running
from .nchan import Nchan
from .node import NodeWs, SocketIo, UWebSockets
from .ours import Ours
from .replay import Replay
from .tutorial import Tutorial

PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Ours, NodeWs, UWebSockets, SocketIo, Nchan, Tutorial, Replay)
}

__all__ = ["PEERS", "Missing", "Peer", "Replay", "Running"]
