"""`manage.py publish`: from a shell, beside a running server (docs/python.md)."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.connecting import subscribed
from tests.support.servers import Server, manage
from tests.support.stored import rows
from tests.support.ulids import ULID


def publish(server: Server, *arguments: str, stdin: bytes = b"", **env: str) -> tuple[int, str]:
    """Its exit code, and what it said: on standard output where it is 0, else on the other."""
    outcome = manage(server.env | env, "publish", *arguments, given=stdin)
    return outcome.returncode, outcome.stderr if outcome.returncode else outcome.stdout


def stored(server: Server, channel: str) -> list[tuple[str, bool]]:
    """The data of a channel's messages, and whether they are kept for ever."""
    sql = "SELECT data, expires_at FROM chat_message m JOIN chat_channel c ON c.id = m.channel_id"
    found = rows(server, f"{sql} WHERE c.name = ? ORDER BY m.id", channel)
    return [(data, expires is None) for data, expires in found]


async def test_its_message_reaches_who_listens_to_a_running_server(
    server: Server, channel: str
) -> None:
    async with subscribed(server, channel) as client:
        code, said = publish(server, channel, "chat", '{"n": 18446744073709551616}')
        assert code == 0
        frame = await client.receive("chat")
        assert said == f"{frame['id']}\n"
        assert '"data":{"n": 18446744073709551616}' in frame.text
        assert "meta" not in frame
    assert stored(server, channel) == [('{"n": 18446744073709551616}', True)]


@pytest.mark.parametrize(
    ("arguments", "stdin", "data"),
    [
        ((), b"", "null"),
        (("7",), b"", "7"),
        (("hello, world",), b"", '"hello, world"'),
        (("NaN",), b"", '"NaN"'),
        (('{"a":',), b"", '"{\\"a\\":"'),
        (('"quoted"',), b"", '"quoted"'),
        (("-",), b"[1,\n2]\n", "[1,\n2]\n"),
        (("-",), "für alle\n".encode(), '"für alle"'),
        (("-",), b"", '""'),
    ],
    ids=str,
)
def test_data_is_json_or_a_string(
    server: Server, channel: str, arguments: tuple[str, ...], stdin: bytes, data: str
) -> None:
    code, said = publish(server, channel, "chat", *arguments, stdin=stdin)
    assert code == 0, said
    [(raw, _)] = stored(server, channel)
    assert raw.strip() == data.strip()


def test_on_postgresql(postgres_server: Server, channel: str) -> None:
    code, said = publish(postgres_server, channel, "chat", "--store", "60")
    assert code == 0, said
    assert ULID.fullmatch(said.strip())
    assert stored(postgres_server, channel) == [("null", False)]


def test_options(server: Server, channel: str) -> None:
    once = ("--deduplication-id", "x", "--json")
    _, first = publish(server, channel, "chat", "1", *once)
    _, repeat = publish(server, channel, "chat", "2", *once)
    assert json.loads(first) == {
        "channel": channel,
        "event": "chat",
        "id": json.loads(first)["id"],
    }
    assert repeat == first
    assert stored(server, channel) == [("1", True)]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("at(%Y-%m-%dT%H:%M:%S)")
    code, arn = publish(server, channel, "chat", "--at", tomorrow, "--timezone", "Europe/Paris")
    assert code == 0, arn
    assert rows(server, "DELETE FROM chat_schedule WHERE id = ? RETURNING id", arn.strip())
    event = "hotsock.channelStorageSet"
    assert publish(server, channel, event, "1", "--key", "k") == (0, "\n")
    sql = "SELECT s.data FROM chat_storageentry s JOIN chat_channel c ON c.id = s.channel_id"
    assert rows(server, f"{sql} WHERE c.name = ? AND key = 'k'", channel) == [("1",)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a b", "chat"), "channel must be a name"),
        (("c", "hotsock.ping"), 'There is no event "hotsock.ping"'),
        (("c", "chat", "x" * 32_767), "data takes more than 32768 bytes"),
        (("c", "chat", "[" * 200 + "]" * 200), "nested more than 100 levels"),
        (("c", "chat", '"\\u0000"'), "NUL"),
        (("c", "chat", "--store", "-2"), "store must be"),
        (("c", "chat", "--store", "0"), "a store, such as -1"),
        (("c", "chat", "--at", "soon"), "scheduleExpression must have the form"),
        (("c", "hotsock.channelStorageSet"), "key must have"),
    ],
    ids=str,
)
def test_a_refusal_is_one_sentence(
    server: Server, arguments: tuple[str, ...], sentence: str
) -> None:
    code, said = publish(server, *arguments)
    assert code == 1
    assert sentence in said
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("stdin", [b"\xff", b"a\x00b"])
def test_input_that_is_no_text_is_refused(server: Server, stdin: bytes) -> None:
    code, said = publish(server, "c", "chat", "-", stdin=stdin)
    assert code == 1
    assert said.count("\n") == 1


def test_a_database_that_is_not_there_is_one_sentence(server: Server) -> None:
    for url in ("sqlite:////nowhere/db.sqlite3", "postgres://x@127.0.0.1:1/x"):
        code, said = publish(server, "c", "chat", DATABASE_URL=url)
        assert code == 1
        assert said.startswith("CommandError: The database ")
        assert said.count("\n") == 1, said
