"""`manage.py purge_expired`, as cron, a person and systemd run it."""

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import termios
import time
from contextlib import closing
from pathlib import Path
from select import select
from tempfile import TemporaryFile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from chat.models import Message
from chat.purge import KINDS, purge
from tests.purge import rows
from tests.purge.rows import DAY, NOTHING, SECOND, ago, survivors
from tests.support import forked
from tests.support.servers import ROOT, free_port, manage, server_environment

LIMIT_SECONDS = 20
DUE = NOTHING | {"messages": 5, "reactions": 10, "used_tokens": 1, "channels": 1}


@pytest.fixture
def environment(url: str, tmp_path: Path) -> dict[str, str]:
    return server_environment(tmp_path, DATABASE_URL=url)


@pytest.fixture
def due(url: str) -> dict[str, int]:
    """How many rows of each kind are due in the database, beside others that are not."""
    rows.messages(rows.channel(), [ago(DAY)] * DUE["messages"] + [None, ago(-DAY)], reactions=2)
    rows.used_token(ago(SECOND))
    rows.channel(ago(8 * DAY))
    return DUE


# --- what it says -------------------------------------------------------------------------------


def test_it_says_in_one_line_what_it_removed(
    environment: dict[str, str], due: dict[str, int]
) -> None:
    outcome = manage(environment, "purge_expired")
    assert re.fullmatch(
        r"Removed in \d+\.\d s: 5 messages, 10 reactions, 0 deletions, 0 storage entries, 0 former"
        r" members, 0 deduplications, 0 acknowledgements, 0 audit entries, 0 restrictions, 1 used"
        r" tokens, 1 channels\.\n",
        outcome.stdout,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert len(survivors().messages) == 2


def run(*arguments: str) -> str:
    """What the command writes in this process."""
    output = io.StringIO()
    call_command("purge_expired", *arguments, stdout=output)
    return output.getvalue()


def test_it_says_the_same_as_one_json_object(due: dict[str, int]) -> None:
    report = json.loads(run("--json"))
    assert report.pop("seconds") > 0
    assert report == {
        "dry_run": False,
        "removed": due,
        "left": {kind.name: 0 for kind in KINDS if kind.indexed},
        "stopped": None,
    }


def test_a_dry_run_counts_and_changes_nothing(due: dict[str, int]) -> None:
    before = survivors()
    report = json.loads(run("--dry-run", "--json"))
    assert report["dry_run"] is True
    assert report["left"] == due
    assert report["removed"] == NOTHING
    assert run("--dry-run") == (
        "Due, and untouched: 5 messages, 10 reactions, 0 deletions, 0 storage entries, 0 former"
        " members, 0 deduplications, 0 acknowledgements, 0 audit entries, 0 restrictions, 1 used"
        " tokens, 1 channels.\n"
    )
    assert survivors() == before


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_terminal_is_shown_a_bar_that_goes_away(environment: dict[str, str]) -> None:
    rows.messages(rows.channel(), [ago(DAY)] * 600, reactions=0)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = ["manage.py", "purge_expired", "--batch-size", "2"]
    with (
        open(ours, "rb", buffering=0) as screen,
        open(theirs, "wb", buffering=0) as terminal,
        TemporaryFile() as nothing,
        TemporaryFile() as output,
    ):
        standard = (nothing, output, terminal)
        process = forked.start(command, cwd=ROOT, env=environment, standard=standard)
        assert process.wait(LIMIT_SECONDS) == 0
        shown = b""
        while select([screen], [], [], 0)[0]:
            shown += screen.read(1 << 16)
        output.seek(0)
        assert output.read().startswith(b"Removed in ")
    assert re.search(rb" \d+%\|.+\| \d+/600 \[\d+:\d+<\d+:\d+, +[\d.]+ rows/s\]", shown)
    assert re.search(rb"\r +\r$", shown)


# --- when it stops ------------------------------------------------------------------------------


def test_it_stops_in_time_and_says_what_is_left(environment: dict[str, str]) -> None:
    rows.messages(rows.channel(), [ago(DAY)] * 5000, reactions=0)
    began = time.monotonic()
    outcome = manage(environment, "purge_expired", "--batch-size", "1", "--max-seconds", "0.2")
    assert time.monotonic() - began < LIMIT_SECONDS
    assert outcome.returncode == 0
    found = re.fullmatch(
        r"Out of time; removed in 0\.\d s: (\d+) messages, .*\. Still due: ([\d,]+) messages\.\n",
        outcome.stdout,
    )
    assert found, outcome.stdout
    removed, left = (int(count.replace(",", "")) for count in found.groups())
    assert removed + left == 5000
    assert Message.objects.count() == left


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGINT, r"Interrupted; removed .* Still due: .*\n"),
        (signal.SIGTERM, r"Told to stop; removed .* Still due: .*\n"),
        (signal.SIGKILL, r""),
    ],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_whatever_interrupts_it_leaves_whole_transactions(
    environment: dict[str, str], number: signal.Signals, said: str
) -> None:
    total = 3000
    rows.messages(rows.channel(), [ago(DAY)] * total, reactions=2)
    command = ["manage.py", "purge_expired", "--batch-size", "1"]
    with TemporaryFile() as nothing, TemporaryFile() as output, TemporaryFile() as errors:
        standard = (nothing, output, errors)
        process = forked.start(command, cwd=ROOT, env=environment, standard=standard)
        deadline = time.monotonic() + LIMIT_SECONDS
        while Message.objects.count() > total - 3 and time.monotonic() < deadline:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
        process.send_signal(number)
        assert process.wait(LIMIT_SECONDS) == (-number if number == signal.SIGKILL else 0)
        stdout, stderr = (file.seek(0) or file.read().decode() for file in (output, errors))
    assert re.fullmatch(said, stdout)
    assert stderr == ""
    left = survivors()
    assert 0 < len(left.messages) < total
    assert len(left.reactions) == 2 * len(left.messages)
    assert purge().removed["messages"] == len(left.messages)
    assert survivors().reactions == set()


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--batch-size", value) for value in ("0", "-1", "1.5", "", "many")),
        *(("--max-seconds", value) for value in ("0", "-1", "nan", "inf", "", "soon")),
    ],
)
def test_an_option_out_of_range_is_named(option: str, value: str) -> None:
    with pytest.raises(CommandError, match=f"^{option} must be .*, not {value!r}\\.$"):
        call_command("purge_expired", f"{option}={value}")


def failure(environment: dict[str, str]) -> str:
    """The one sentence that it ends with."""
    outcome = manage(environment, "purge_expired", "--json")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    [sentence] = outcome.stderr.splitlines()
    assert sentence.endswith(".")
    return sentence.removeprefix("CommandError: ")


def test_a_database_without_tables(tmp_path: Path) -> None:
    environment = server_environment(tmp_path)
    assert failure(environment) == "The database is not up to date: run `manage.py migrate`."


def test_a_database_that_is_away(tmp_path: Path) -> None:
    address = f"postgres://nobody@127.0.0.1:{free_port()}/none"
    said = failure(server_environment(tmp_path, DATABASE_URL=address))
    assert said.startswith("The database cannot be used: connection failed")


def test_an_address_of_no_database(tmp_path: Path) -> None:
    said = failure(server_environment(tmp_path, DATABASE_URL="mysql://nowhere"))
    assert said.startswith("DATABASE_URL must be an address that begins with sqlite:///")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_database_that_another_program_keeps_locked(
    url: str, due: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = survivors()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
    said = re.escape(
        "The database cannot be used: database is locked; 0 rows were removed before, and another"
        " run goes on from there."
    )
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CommandError, match=f"^{said}$"):
            run()
    assert survivors() == before
