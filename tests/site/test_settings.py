"""Settings are typed; a malformed variable is named by the checks and never stops an import."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from chat import conf
from chat.checks import environment_problems
from tests.support import forked
from tests.support.configuring import Setter
from tests.support.servers import ROOT, manage, server_environment
from tokens.checks import key_problems

SHOW = """
import json
import re
from dataclasses import asdict
import chat.conf, tokens.conf
from chatsite import settings
site = {name: value for name, value in vars(settings).items() if name.isupper()}
apps = asdict(chat.conf.conf.current()) | asdict(tokens.conf.conf.current())
problems = settings.PROBLEMS + chat.conf.conf.problems() + tokens.conf.conf.problems()
print(json.dumps(site | apps | {"PROBLEMS": problems}, default=str))
"""
NUMBERS = {
    "CONNECTION_MAX_SECONDS": 7200,
    "CONNECTION_IDLE_SECONDS": 600,
    "KEEP_ALIVE_SECONDS": 570,
    "NODE_LEASE_SECONDS": 15,
    "CLIENT_FRAMES_PER_SECOND": 100,
    "CONNECTIONS_MAX": 0,
    "CONNECTIONS_PER_ADDRESS": 0,
    "QUOTA_CONNECTIONS": 1000,
    "QUOTA_STORED_BYTES": 1024**3,
    "QUOTA_STORAGE_KEYS": 10_000,
    "QUOTA_SCHEDULES": 10_000,
    "QUOTA_ACKS": 100_000,
    "TOKEN_LEEWAY_SECONDS": 0,
    "TOKEN_MAX_SECONDS": 0,
}


def configured(directory: Path, **env: str) -> dict[str, Any]:
    """The site's settings as `env` makes them."""
    outcome = forked.run(["-c", SHOW], cwd=ROOT, env=server_environment(directory, **env))
    assert outcome.returncode == 0, outcome.stderr
    shown: dict[str, Any] = json.loads(outcome.stdout)
    return shown


def test_a_variable_that_is_blank_has_its_default(tmp_path: Path) -> None:
    blank = dict.fromkeys([*NUMBERS, "DEBUG", "DEMO", "HTTPS", "ALLOWED_HOSTS", "REDIS_URL"], "")
    shown = configured(tmp_path, **blank)
    assert {name: shown[name] for name in NUMBERS} == NUMBERS
    assert (shown["DEBUG"], shown["DEMO"], shown["HTTPS"]) == (False, False, True)
    assert shown["ALLOWED_HOSTS"] == []
    assert shown["PROBLEMS"] == []


def test_variables_that_are_set_are_read_as_their_type(tmp_path: Path) -> None:
    shown = configured(
        tmp_path,
        **dict.fromkeys(NUMBERS, " 7 "),
        DEBUG="off",
        DEMO="Yes",
        ALLOWED_HOSTS="chat.example.org, www.example.org",
        SECRET_KEY="$tarts-like-a-reference",
    )
    assert {shown[name] for name in NUMBERS} == {7}
    assert (shown["DEBUG"], shown["DEMO"]) == (False, True)
    assert shown["ALLOWED_HOSTS"] == ["chat.example.org", "www.example.org"]
    assert shown["SECRET_KEY"] == "$tarts-like-a-reference"


def test_every_malformed_variable_is_named_and_has_its_default(tmp_path: Path) -> None:
    malformed = {
        **dict.fromkeys(NUMBERS, "abc"),
        "DEBUG": "maybe",
        "REDIS_URL": "http://secret@host",
        "DATABASE_URL": "mysql://secret@host/chat",
    }
    shown = configured(tmp_path, **malformed)
    assert {problem.split()[0] for problem in shown["PROBLEMS"]} == set(malformed)
    assert {name: shown[name] for name in NUMBERS} == NUMBERS
    assert (shown["DEBUG"], shown["REDIS_URL"]) == (False, "")
    assert shown["DATABASES"]["default"]["ENGINE"] == "chatsite.no_database"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECTION_MAX_SECONDS", "0"),
        ("CLIENT_FRAMES_PER_SECOND", "-1"),
        ("NODE_LEASE_SECONDS", "1.5"),
        ("DATABASE_URL", "postgres://chat:hunter2@host:port/chat"),
        ("DATABASE_URL", "hunter2"),
        ("REDIS_URL", "hunter2"),
        ("REDIS_URL", "redis://:hunter2@host:port"),
        ("BROKER_URL", "postgres://chat:hunter2%zz@host/chat"),
        ("BROKER_URL", "postgres://chat:hunter2@host:port/chat"),
    ],
)
def test_the_check_names_the_variable_and_not_its_value(
    tmp_path: Path, name: str, value: str
) -> None:
    outcome = manage(server_environment(tmp_path, **{name: value}), "check")
    assert outcome.returncode == 1
    assert re.search(rf"\(chat.E001\) {name} must (be|have) ", outcome.stderr)
    assert "hunter2" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("chat", "sentences"),
    [
        (None, []),
        ({"ALLOWED_ORIGINS": ["https://a.example"], "NODE_LEASE_SECONDS": "7"}, []),
        ({"NODE_LEASE": 7}, ["CHAT has an unknown key: NODE_LEASE."]),
        ({"NODE_LEASE_SECONDS": 0}, ["NODE_LEASE_SECONDS must be a whole number from 1 up."]),
        ({"LOG_LEVEL": "LOUD"}, ["LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR."]),
        ({"WEBHOOK_SECRET": b"hunter2"}, ["WEBHOOK_SECRET must be text."]),
        ({"METRICS_KEY": "hunter2"}, ["METRICS_KEY must be a key of 32 characters or more."]),
        (["hunter2"], ["CHAT must be a dict."]),
    ],
)
def test_what_another_site_may_write(
    settings: Settings, chat: object, sentences: list[str]
) -> None:
    settings.CHAT = chat
    assert environment_problems() == sentences
    assert conf.settings.CONNECTION_MAX_SECONDS == 7200
    assert (15 if sentences or not chat else 7) == conf.settings.NODE_LEASE_SECONDS


def test_a_malformed_key_of_the_tokens_keeps_it_from_serving(set_tokens: Setter) -> None:
    set_tokens(TOKEN_LEEWAY_SECONDS=-1, DEMO="perhaps", ISSUER="us")
    assert key_problems() == [
        "DEMO must be true or false.",
        "TOKEN_LEEWAY_SECONDS must be a whole number from 0 up.",
        "TOKENS has an unknown key: ISSUER.",
    ]


def test_it_must_name_its_asgi_application(settings: Settings) -> None:
    settings.ASGI_APPLICATION = None
    [sentence] = environment_problems()
    assert sentence.startswith("ASGI_APPLICATION must name the project's ASGI application")


PUBLISH = "import django; django.setup(); from chat import api; api.publish('c', 'e', 1, store=-1)"
COMMANDS = [
    *(["manage.py", name] for name in ("migrate", "purge_expired", "serve", "check")),
    ["manage.py", "shell", "-c", "pass"],
    ["manage.py", "publish", "c", "e"],
    ["-c", PUBLISH],
    ["-c", "import chatsite.asgi"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(each[-2:])[:20] for each in COMMANDS])
def test_without_a_database_nothing_goes_on_and_none_is_made(
    tmp_path: Path, command: list[str]
) -> None:
    before = {*ROOT.iterdir()}
    env = server_environment(tmp_path, DEBUG="false", DATABASE_URL="", ALLOWED_HOSTS="a.example")
    outcome = forked.run(command, cwd=ROOT, env=env)
    assert outcome.returncode == 1
    assert "DATABASE_URL is missing: it must be an address that begins with " in outcome.stderr
    if command[0] == "manage.py" and command[1] != "check":
        assert outcome.stderr.count("\n") == 1
    assert {*ROOT.iterdir()} == before


def test_a_relative_path_of_a_database_is_the_same_wherever_a_command_is_run(
    tmp_path: Path,
) -> None:
    shown = configured(tmp_path, DATABASE_URL="sqlite:///rows/db.sqlite3")
    assert shown["DATABASES"]["default"]["NAME"] == str(ROOT / "rows" / "db.sqlite3")


@pytest.mark.parametrize("option", [True, False])
def test_the_environment_may_be_in_a_file(tmp_path: Path, option: bool) -> None:
    file = tmp_path / "chatsite.env"
    file.write_text("CONNECTION_MAX_SECONDS=7\nTOKEN_ISSUER='us'\n")
    show = "from chat.conf import settings; print(settings.CONNECTION_MAX_SECONDS)"
    given, env = ([f"--env-file={file}"], {}) if option else ([], {"ENV_FILE": str(file)})
    env = {name: value for name, value in server_environment(tmp_path, **env).items() if value}
    outcome = manage(env, "shell", *given, "--verbosity=0", "-c", show)
    assert outcome.stdout == "7\n", outcome.stderr


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_named_in_a_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "chatsite.env"
    if content:
        file.write_bytes(content)
    outcome = manage(server_environment(tmp_path), "purge_expired", "--env-file", str(file))
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"{file} ")
    assert outcome.stderr.count("\n") == 1


def test_what_a_database_address_says_is_kept(tmp_path: Path) -> None:
    address = "postgres://chat:p%40ss@db:5433/chat?sslmode=require"
    database = configured(tmp_path, DATABASE_URL=address)["DATABASES"]["default"]
    assert (database["USER"], database["PASSWORD"], database["PORT"]) == ("chat", "p@ss", 5433)
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["OPTIONS"]["pool"]["timeout"] == 2


def test_it_is_fit_to_be_deployed(tmp_path: Path) -> None:
    env = {"DEBUG": "false", "ALLOWED_HOSTS": "chat.example.org", "TOKEN_AUDIENCE": "chat"}
    env["ALLOWED_ORIGINS"] = "https://www.example.org"
    check = "check", "--deploy", "--fail-level", "WARNING"
    outcome = manage(server_environment(tmp_path, **env), *check)
    assert outcome.returncode == 0, outcome.stderr
    env |= {"ALLOWED_ORIGINS": "*", "TOKEN_AUDIENCE": "", "DEMO": "true"}
    outcome = manage(server_environment(tmp_path, **env), "check", "--deploy")
    assert outcome.returncode == 1
    named = re.findall(r"\((\w+\.E\d+)\)", outcome.stderr)
    assert sorted(named) == ["chat.E003", "tokens.E004", "tokens.E005"]


@pytest.mark.parametrize(
    ("proxies", "warning"),
    [
        ("", "chat.W002"),  # as where nobody has thought of it
        ("lb.example.org", "chat.W002"),
        ("127.0.0.1", ""),
        ("10.0.0.0/8, ::1", ""),
        ("*", "chat.W003"),
        ("0.0.0.0/0", "chat.W003"),
    ],
)
def test_a_limit_for_each_address_needs_a_proxy_that_is_named(
    tmp_path: Path, proxies: str, warning: str
) -> None:
    limit = {"CONNECTIONS_PER_ADDRESS": "5", "FORWARDED_ALLOW_IPS": proxies}
    env = {"DEBUG": "false", "ALLOWED_HOSTS": "chat.example.org", **limit}
    outcome = manage(server_environment(tmp_path, **env), "check", "--deploy")
    assert re.findall(r"chat\.W\d+", outcome.stderr) == ([warning] if warning else [])
    assert manage(server_environment(tmp_path, **env), "check").stderr == ""


def test_whoever_believes_everybody_is_warned_without_a_limit(tmp_path: Path) -> None:
    """Bans, and the throttles of logins and API keys, go by addresses, too."""
    env = {"DEBUG": "false", "ALLOWED_HOSTS": "chat.example.org", "FORWARDED_ALLOW_IPS": "*"}
    outcome = manage(server_environment(tmp_path, **env), "check", "--deploy")
    assert re.findall(r"chat\.W\d+", outcome.stderr) == ["chat.W003"]


def test_missing_keys_do_not_keep_from_importing_or_migrating(tmp_path: Path) -> None:
    keyless = server_environment(
        tmp_path, SECRET_KEY="", SIGNING_KEY_1_METHOD="", SIGNING_KEY_1_ENCODED=""
    )
    assert manage(keyless, "migrate").returncode == 0
