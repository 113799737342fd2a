"""nginx with nchan: publishers and subscribers have addresses of their own."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from .base import Missing, Peer, Role, Running, program

MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIGURATION: Final = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log error;
events {{ worker_connections 32768; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    nchan_shared_memory_size 256M;
    nchan_store_messages off;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location ~ ^/publish/(.+)$ {{
            nchan_publisher websocket;
            nchan_channel_id $1;
        }}
        location ~ ^/both/(.+)$ {{
            nchan_pubsub websocket;
            nchan_channel_id $1;
        }}
        location ~ ^/(.+)$ {{
            nchan_subscriber websocket;
            nchan_channel_id $1;
        }}
    }}
}}
"""


class Nchan(Peer):
    name = "nchan"
    title = "nginx with nchan"
    # Of more than 32,767 messages of one channel in a second (a number of 15 bits, it seems) some
    # come twice, and then none at all.
    chunks: ClassVar = {"fanout-1": 1}

    @contextlib.contextmanager
    def start(self, directory: Path) -> Iterator[Running]:
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if nginx is None or not MODULE.exists():
            raise Missing("nchan is missing: apt-get install libnginx-mod-nchan")
        configuration = directory / "nchan.conf"

        def command(port: int) -> list[str]:
            text = CONFIGURATION.format(module=MODULE, directory=directory, port=port)
            configuration.write_text(text)
            return [nginx, "-e", "stderr", "-c", str(configuration)]

        shown = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True)  # noqa: S603
        version = re.search(r"nginx/(\S+)", shown.stderr)
        with program(command, directory, dict(os.environ), directory) as started:
            yield Running(started.port, [started.pid], f"nginx {version[1] if version else ''}")

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        return {"publisher": "/publish/", "both": "/both/", "member": "/"}[role] + room

    def echoes(self, role: Role) -> bool:
        return role == "both"
