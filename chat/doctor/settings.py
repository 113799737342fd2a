"""What the system checks say of settings and keys, and whether static files are collected.

The rules are theirs: `chat/checks.py`, `tokens/checks.py`, Django's own.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import django
from django.conf import settings as django_settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.checks import ERROR, CheckMessage, run_checks

from chat import checks
from chat.cluster.leases import VERSION
from chat.doctor.findings import Finding, Observed, Version, error, warning

SAID: Final = {"security.W020"}  # by deployment_problems, too
IGNORED: Final = StaticFilesConfig.ignore_patterns  # by collectstatic
COLLECT: Final = "manage.py collectstatic --no-input"
CORRECT: Final = "Correct it in the environment or in the file of --env-file, and restart."
REFERENCE: Final = "https://docs.djangoproject.com/en/stable/ref/checks/#security explains it."
WHY: Final = {
    "chat.E001": "`serve` refuses to start.",
    "chat.E002": "`serve` refuses to start: backend events could not be signed or sent.",
    "chat.E003": "Whoever comes by a token can use it in a page of their own.",
    "chat.E010": "`serve` refuses to start.",
    "chat.W001": "The tables grow without end, and what has expired is still on the disk.",
    "chat.W002": "One client can keep all others out.",
    "chat.W003": "Limits and bans of addresses keep nobody out.",
    "chat.W004": "Moderators see no search, though it is switched on.",
    "chat.W011": "What a view publishes comes late, and pages fail.",
    "chat.W012": "A database that is slow or hangs keeps all clients waiting.",
    "tokens.E001": "`serve` refuses to start: whoever guesses a key is let in as anybody.",
    "tokens.E002": "`serve` refuses to start.",
    "tokens.E003": "`serve` refuses to start.",
    "tokens.E004": "A token that was issued for another service is accepted here.",
    "tokens.E005": "Strangers can write to your database, and read what others write there.",
}
OF_DJANGO: Final = "Django wants it of every site that others reach."
DO: Final = {
    "security.W018": "DEBUG=false",
    **dict.fromkeys(
        ["security.W004", "security.W008", "security.W012", "security.W016"], "HTTPS=true"
    ),
}


def configuration() -> Iterator[Observed]:
    yield Version("chat", VERSION)
    yield Version("Python", sys.version.split()[0])
    yield Version("Django", django.get_version())
    found = run_checks(include_deployment_checks=True)
    yield from as_findings(message for message in found if message.id not in SAID)
    importable = not checks.environment_problems()  # as `serve` looks
    for problem in checks.application_problems() if importable else ():
        yield error("chat.no-websockets", problem, "`serve` refuses to start.", CORRECT)
    for problem in checks.deployment_problems():
        uncollected = "collectstatic" in problem
        yield error(
            "static.not-collected" if uncollected else "chat.no-hosts",
            problem,
            "`serve` refuses to start.",
            COLLECT if uncollected else CORRECT,
        )


def as_findings(messages: Iterable[CheckMessage]) -> Iterator[Finding]:
    for message in messages:
        if not message.is_silenced():
            found = error if message.level >= ERROR else warning
            id = message.id or ""
            do = message.hint or DO.get(id) or (CORRECT if id in WHY else REFERENCE)
            yield found(id, message.msg, WHY.get(id, OF_DJANGO), do)


# --- static files -------------------------------------------------------------------------------


def static_files() -> Iterator[Finding]:
    """Whether those that are collected are all there, and of this version of the code."""
    storage = staticfiles_storage
    if django_settings.DEBUG or not isinstance(storage, ManifestFilesMixin):
        return
    root, named = Path(storage.location), storage.hashed_files.values()
    if not named:  # a check says so
        return
    if missing := sorted(name for name in named if not (root / name).is_file()):
        yield _incomplete(f"{len(missing)} files are missing in {root}, {missing[0]} the first.")
    elif changed := sorted(_changed(root)):
        yield _incomplete(
            f"{len(changed)} files in {root} are of another version, {changed[0]} the first."
        )


def _incomplete(problem: str) -> Finding:
    why = "Pages and clients miss what they load, or load what does not fit the server."
    return error("static.incomplete", f"Static files: {problem}", why, f"{COLLECT} --clear")


def _changed(root: Path) -> set[str]:
    """Of several files of one path, the first is collected."""
    sources: dict[str, Path] = {}
    for path, storage in chain.from_iterable(finder.list(IGNORED) for finder in get_finders()):
        sources.setdefault(path, Path(storage.path(path)))
    return {path for path, source in sources.items() if not _is_same(source, root / path)}


def _is_same(source: Path, collected: Path) -> bool:
    return collected.is_file() and source.read_bytes() == collected.read_bytes()
