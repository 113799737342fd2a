"""Two hosts of two processes each, behind a real nginx, which reads docs/deploy/nginx.conf: here
every test's server. They are on PostgreSQL alone or, with BROKER=redis, linked through Redis.

Most tests are those of tests/wire and tests/browser. The ones that start servers of their own would
see nothing of nginx and are left out.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support import client
from tests.support.servers import (
    ROOT,
    Postgres,
    Program,
    Server,
    StartError,
    free_port,
    keys_of,
    start_server,
)

REDIS = os.environ.get("BROKER") == "redis"
OWN = {"tmp_path", "own_server"} if REDIS else {"tmp_path", "own_server", "redis_url"}
CONFIGURATION = ROOT / "docs" / "deploy" / "nginx.conf"
AROUND = """
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log off;
    include {directory}/chatsite.conf;
}}
"""


@pytest.fixture(autouse=True)
def _between_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LINK_SECONDS", 0.05)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    left_out = [item for item in items if here in item.path.parents and not _goes_through(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _goes_through(item: pytest.Item) -> bool:
    names = set(getattr(item, "fixturenames", ()))
    return "nginx" in names and not names & OWN


@dataclass
class Nginx(Server):
    """As a client sees it, a server; `hosts` are behind it, and `tls_port` speaks TLS."""

    ending: ClassVar[signal.Signals] = signal.SIGTERM  # its workers too
    hosts: tuple[Server, ...] = ()
    tls_port: int = 0
    directory: Path = Path()

    def _begun(self, nothing: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """A program like any other, not one of Python's."""
        begun = Program._begun(self, nothing, log)
        assert isinstance(begun, subprocess.Popen)
        return begun

    @property
    def access_log(self) -> str:
        return (self.directory / "chatsite.log").read_text()

    @property
    def error_log(self) -> str:
        return (self.directory / "chatsite.error.log").read_text()


@pytest.fixture(scope="session")
def hosts(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """Two groups of processes of one site, each on a port of its own."""
    directory = tmp_path_factory.mktemp("hosts")
    env = {"DATABASE_URL": postgres.database()}
    env["REDIS_URL"] = request.getfixturevalue("redis_url") if REDIS else ""
    with (
        start_server("workers", directory, **env) as one,
        start_server("workers", directory, **env, **keys_of(one)) as other,
    ):
        yield one, other


@pytest.fixture(scope="session")
def nginx(hosts: tuple[Server, Server]) -> Iterator[Nginx]:
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-nginx-") as directory,
        start_nginx(Path(directory), hosts) as nginx,
    ):
        yield nginx


@pytest.fixture
def server(nginx: Nginx) -> Server:
    return nginx


@pytest.fixture
def any_server(nginx: Nginx) -> Server:
    return nginx


@pytest.fixture
def every_server(nginx: Nginx) -> Server:
    return nginx


@pytest.fixture
def processes(nginx: Nginx) -> tuple[Server, Server]:
    """Whichever host a connection comes to: none knows, and none needs to."""
    return nginx, nginx


def start_nginx(directory: Path, hosts: tuple[Server, Server]) -> Nginx:
    """Runs as nobody where we are root; all that it reads and writes is in `directory`."""
    port, tls_port = free_port(), free_port()
    _write_certificate(directory)
    configuration = configured(directory, port, tls_port, hosts)
    (directory / "chatsite.conf").write_text(configuration)
    (directory / "nginx.conf").write_text(AROUND.format(directory=directory))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, user)
    command = [_program(), "-p", str(directory), "-c", "nginx.conf", "-g", "daemon off;"]
    log = directory / "output.log"
    env = hosts[0].env
    nginx = Nginx(
        command, port, log, env, user=user, hosts=hosts, tls_port=tls_port, directory=directory
    )
    nginx.start(nginx.healthy)
    return nginx


def configured(directory: Path, port: int, tls_port: int, hosts: tuple[Server, Server]) -> str:
    """docs/deploy/nginx.conf with other addresses and places, and nothing else changed."""
    text = CONFIGURATION.read_text()
    for stated, here in {
        "10.0.0.11:8000": f"127.0.0.1:{hosts[0].port}",
        "10.0.0.12:8000": f"127.0.0.1:{hosts[1].port}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;",
        "/etc/ssl/": f"{directory}/",
        "/var/log/nginx/": f"{directory}/",
    }.items():
        assert stated in text
        text = text.replace(stated, here)
    return text


def _write_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.example.org")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate = made.sign(key, hashes.SHA256())
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "chat.example.org.key").write_bytes(key.private_bytes(*form))
    (directory / "chat.example.org.crt").write_bytes(certificate.public_bytes(Encoding.PEM))


def _program() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise StartError("nginx is missing: apt-get install nginx")
    return found
