"""The code of a commit in a directory of its own, run through `manage.py` and the environment only.

So it does not matter where its modules are. It runs on this project's virtual environment, unless
its `uv.lock` differs.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from benchmarks import cpu
from tests.support.servers import ROOT, Program, Server, StartError, free_port, server_environment

TRIES: Final = 3


@dataclass
class Fresh(Server):
    """A server in a new interpreter, which `command` names first; `Server` forks one."""

    def _begun(self, nothing: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
        process = Program._begun(self, nothing, log)
        assert isinstance(process, subprocess.Popen)  # noqa: S101
        return process


@dataclass(frozen=True)
class Checkout:
    """`name` is its heading in tables, `path` has its `manage.py`, and `through` goes between
    `python` and `manage.py serve`."""

    name: str
    path: Path
    python: str = sys.executable
    through: tuple[str, ...] = ()

    def start(self, directory: Path, **env: str) -> Server:
        """A server that answers, with production settings; StartError where it does not come up."""
        settings = self._production() | env
        environment = server_environment(directory, **settings)
        self._migrate(environment["DATABASE_URL"])
        for left in reversed(range(TRIES)):
            port = free_port()
            command = [*(self.python, *self.through), "manage.py", "serve", "--port", str(port)]
            log = directory / f"serve-{port}.log"
            server = Fresh(command, port, log, environment, cwd=self.path)
            try:
                with cpu.pinned(cpu.SERVER):
                    server.start(server.healthy)
            except StartError:  # another took the port, or the machine is too busy
                if not left:
                    raise
            else:
                return server
        raise AssertionError("unreachable")

    @functools.cache  # noqa: B019  # there are two
    def _production(self) -> dict[str, str]:
        settings = {"DEBUG": "false", "HTTPS": "false", "ALLOWED_HOSTS": "127.0.0.1"}
        settings["STATIC_ROOT"] = str(self.path / "staticfiles")
        self._manage(server_environment(self.path, **settings), "collectstatic", "--no-input")
        return settings

    def _migrate(self, url: str) -> None:
        """Brings the database up to date; a new SQLite file is a copy of one that already is."""
        scheme, _, path = url.partition(":///")
        if scheme != "sqlite":
            self._migrate_database(url)
        elif not Path(path).exists():
            migrated = self.path / "migrated.sqlite3"
            self._migrate_database(f"sqlite:///{migrated}")
            shutil.copyfile(migrated, path)

    @functools.cache  # noqa: B019
    def _migrate_database(self, url: str) -> None:
        self._manage(server_environment(self.path, DATABASE_URL=url), "migrate", "--no-input")

    def _manage(self, env: Mapping[str, str], *arguments: str) -> None:
        _run([self.python, "manage.py", *arguments], self.path, env)


CHECKOUT: Final[ContextVar[Checkout | None]] = ContextVar("CHECKOUT", default=None)
"""The code that `Ours` starts; None: this project, as the tests start it."""


def working_tree(directory: Path, *through: str) -> Checkout:
    """A copy of the files that git tracks or would add: edits during a run change nothing."""
    listed = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not deleted since
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    return Checkout("this", directory, through=through)


def commit(revision: str, directory: Path) -> Checkout:
    """The files of a revision; raises ValueError where there is no such commit."""
    try:
        name = _run(["git", "rev-parse", "--short", "--verify", f"{revision}^{{commit}}"], ROOT)
    except StartError:
        raise ValueError(f"There is no commit {revision!r}.") from None
    name = name.strip()
    archive = directory.with_suffix(".tar")
    _run(["git", "archive", "--output", str(archive), name], ROOT)
    shutil.unpack_archive(archive, directory, filter="data")
    if (directory / "uv.lock").read_bytes() == (ROOT / "uv.lock").read_bytes():
        return Checkout(name, directory)
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": ".venv"}
    _run(
        [uv, "sync", "--quiet", "--locked", "--no-dev", "--python", sys.executable], directory, env
    )
    return Checkout(name, directory, str(directory / ".venv" / "bin" / "python"))


def _run(command: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Gives what the command printed; raises StartError with its output where it fails."""
    outcome = subprocess.run(  # noqa: S603
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    if outcome.returncode:
        raise StartError(f"{' '.join(command)} failed:\n{outcome.stdout}{outcome.stderr}")
    return outcome.stdout
