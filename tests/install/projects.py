"""The wheel, environments that it is installed in, and Django projects of somebody else's."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.support.servers import ROOT, Program, free_port

LIMIT_SECONDS = 120
UV = shutil.which("uv", path=ROOT / ".uv" / "bin") or shutil.which("uv") or "uv"
CLEAN = {"PATH": os.environ["PATH"], "HOME": str(Path.home()), "LANG": "C.UTF-8"}

# The project before it has heard of the chat: as `startproject` makes it, and a user model.
PERSON = """
from django.contrib.auth.models import AbstractUser


class Person(AbstractUser):
    pass
"""
USERS = """
INSTALLED_APPS += ["people"]
AUTH_USER_MODEL = "people.Person"
"""
# What docs/django.md tells to change: in each file, each text becomes another.
CHANGES = {
    "mysite/settings.py": {
        USERS: f"""{USERS}INSTALLED_APPS += ["tokens", "chat"]
ASGI_APPLICATION = "mysite.asgi.application"
"""
    },
    "mysite/asgi.py": {"django.core.asgi": "chat.asgi"},
    "mysite/urls.py": {
        "import path\n": "import include, path\n",
        "    path('admin/', admin.site.urls),\n": """    path('admin/', admin.site.urls),
    path("live/", include("chat.urls")),
    path("demo/", include("chat.demo_urls")),
""",
    },
}


def uv(*arguments: str | Path) -> None:
    """With whatever the environment says of registries."""
    run(UV, *arguments, cwd=ROOT, env=dict(os.environ))


def run(*command: str | Path, cwd: Path, env: dict[str, str] = CLEAN) -> str:
    """What it says; AssertionError where it fails."""
    outcome = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout + outcome.stderr


def build(directory: Path) -> Path:
    """The wheel of this code."""
    uv("build", "--quiet", "--wheel", "--out-dir", directory, ROOT)
    [wheel] = directory.glob("*.whl")
    return wheel


def environment(directory: Path, *packages: str | Path, empty: bool = False) -> Path:
    """A new one with these packages, whose Python it gives. Unless it is to be `empty`, what they
    need are those of this process, which are compiled already."""
    uv("venv", "--quiet", "--python", sys.executable, directory)
    python = directory / "bin" / "python"
    alone = [] if empty else ["--no-deps"]
    uv("pip", "install", "--quiet", "--compile-bytecode", *alone, "--python", python, *packages)
    if not empty:
        [site] = directory.glob("lib/python*/site-packages")
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


@dataclass
class Project:
    directory: Path
    python: Path
    port: int = field(default_factory=free_port)

    def write(self, file: str, text: str) -> None:
        path = self.directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, file: str, old: str, new: str) -> None:
        text = (self.directory / file).read_text()
        assert old in text
        self.write(file, text.replace(old, new))

    def manage(self, *arguments: str) -> str:
        """What a command says; AssertionError where it fails."""
        return run(self.python, "manage.py", *arguments, cwd=self.directory)

    def refused(self, *arguments: str) -> str:
        """What a command says that fails."""
        try:
            said = self.manage(*arguments)
        except AssertionError as failure:
            return str(failure)
        raise AssertionError(f"It did not fail: {said}")

    @contextmanager
    def serving(self, *options: str) -> Iterator[Program]:
        command = [str(self.python), "manage.py", "serve", "--port", str(self.port), *options]
        log = self.directory / "serve.log"
        with Program(command, self.port, log, CLEAN, self.directory) as program:
            program.start(self.answers)
            yield program

    def ask(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        """GET or, with a body, POST."""
        url = f"http://127.0.0.1:{self.port}{path}"
        if body is None:
            return httpx.get(url, headers=headers)
        return httpx.post(url, json=body, headers=headers)

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return bool(self.ask("/").status_code)
        return False

    @contextmanager
    def connected(self, path: str, token: str) -> Iterator[ClientConnection]:
        with connect(f"ws://127.0.0.1:{self.port}{path}?token={token}", proxy=None) as client:
            yield client


def received(client: ClientConnection, event: str) -> dict[str, Any]:
    """The next frame of this event."""
    while True:
        frame: dict[str, Any] = json.loads(client.recv(timeout=LIMIT_SECONDS))
        if frame["event"] == event:
            return frame


def started(directory: Path, python: Path) -> Project:
    """A fresh project with a user model of its own."""
    directory.mkdir()
    run(python, "-m", "django", "startproject", "mysite", ".", cwd=directory)
    project = Project(directory, python)
    project.write("people/__init__.py", "")
    project.write("people/models.py", PERSON)
    settings = (directory / "mysite/settings.py").read_text()
    project.write("mysite/settings.py", settings + USERS)
    project.manage("makemigrations", "people")
    return project


def with_chat(project: Project) -> int:
    """Makes CHANGES. Gives how many lines they have changed."""
    count = 0
    for file, changes in CHANGES.items():
        before = (project.directory / file).read_text()
        for old, new in changes.items():
            project.change(file, old, new)
        after = (project.directory / file).read_text()
        lines = difflib.ndiff(before.splitlines(), after.splitlines())
        count += sum(bool(re.match(r"\+ .", line)) for line in lines)
    return count
