"""Settings of a server that sees itself as process 1 of a host that others are called, too, as in a
container."""

import os
import socket

from chatsite.settings import *  # noqa: F403

os.getpid = lambda: 1
socket.gethostname = lambda: "container"
