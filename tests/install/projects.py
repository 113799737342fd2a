"""The wheel, environments that it is installed in, and Django projects of somebody else's."""

from __future__ import annotations

import difflib
import json
import os
import re
import secrets
import shlex
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
NAME, PASSWORD = "ada", secrets.token_hex(8)  # of whom `createsuperuser` makes
SUPERUSER = {"USERNAME": NAME, "EMAIL": "ada@example.org", "PASSWORD": PASSWORD}
CLEAN = {
    **{"PATH": os.environ["PATH"], "HOME": str(Path.home()), "LANG": "C.UTF-8"},
    **{f"DJANGO_SUPERUSER_{key}": value for key, value in SUPERUSER.items()},
}

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
CALL = """
from django.core.management import call_command
for call in {calls!r}:
    call_command(*call)
"""
# How a page shows a file: a block whose first line names it. One of settings goes to their end, one
# "instead of" a text takes the place of that line, any other is the whole file.
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^(?:#|//|\{#) ([\w/]+\.\w+)(?:: instead of ([\w.]+))?(?: #\})?\n")
COMMAND = re.compile(r"^python manage\.py (.+)$", re.MULTILINE)


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

    def call(self, calls: list[list[str]]) -> str:
        """What these commands say, in one process: to start one takes longer than most work."""
        return self.manage("shell", "--no-imports", "-c", CALL.format(calls=calls))

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


def shown(name: str, section: str = "") -> str:
    """A page of docs, or what stands below this heading of it."""
    text = (ROOT / "docs" / name).read_text("utf-8")
    return text.partition(f"\n## {section}\n")[2].partition("\n## ")[0] if section else text


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the text of each."""
    return BLOCK.findall(text)


def commands(text: str) -> list[list[str]]:
    """The arguments of `manage.py`, in order."""
    shells = [block for language, block in blocks(text) if language == "sh"]
    return [shlex.split(said) for shell in shells for said in COMMAND.findall(shell)]


def write(project: Project, text: str) -> int:
    """What a page shows as files. Gives how many lines it has changed of those that were there."""
    count = 0
    for _, block in blocks(text):
        if named := NAMED.match(block):
            file, instead = named.groups()
            path = project.directory / file
            before = path.read_text() if path.exists() else None
            project.write(file, _changed(file, before or "", instead, block))
            if before is not None:
                count += _new_lines(before, path.read_text())
    return count


def _changed(file: str, before: str, instead: str | None, block: str) -> str:
    if file == "mysite/settings.py":
        return before + block
    if instead is None:
        return block
    [line] = [line for line in before.splitlines() if f" {instead} " in line]
    return before.replace(line, block.partition("\n")[2].rstrip())


def _new_lines(before: str, after: str) -> int:
    """Without comments and blank ones, and whatever quotes `startproject` has."""
    lines = difflib.ndiff(*(text.replace("'", '"').splitlines() for text in (before, after)))
    return sum(bool(re.match(r"\+ +[^ #]", line)) for line in lines)


def with_chat(project: Project) -> None:
    """Makes the changes of docs/django.md."""
    write(project, shown("django.md", "Installing"))


def follow(project: Project, section: str) -> int:
    """Does all that a section of docs/django.md shows, but to install and to serve. Gives how many
    lines it has changed of files that were there."""
    text = shown("django.md", section)
    assert all(language == "sh" or NAMED.match(block) for language, block in blocks(text))
    changed = write(project, text)
    calls = [
        [name, *arguments, *["--no-input"] * (name == "createsuperuser")]
        for name, *arguments in commands(text)
        if name != "serve"
    ]
    project.call(calls)
    return changed
