"""`manage.py issue_token`: the token alone on stdout, words on stderr, 1 where it is none."""

import io
import json
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.support.servers import manage, server_environment
from tests.tokens.material import Pair
from tokens.claims import Claims
from tokens.permissions import Grants
from tokens.signing import verify


def issued(*arguments: str, scope: str = "connect") -> Claims:
    out = StringIO()
    call_command("issue_token", *arguments, stdout=out, stderr=StringIO())
    token = out.getvalue()
    assert token.endswith("\n")
    return verify(token.removesuffix("\n"), scope=scope, now=time.time())


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("issue_token", *arguments, stdout=StringIO(), stderr=StringIO())
    return str(caught.value)


def said(claims: Claims) -> Any:
    return json.loads(claims.payload)


def test_by_itself_it_opens_connections_for_five_minutes() -> None:
    claims = issued()
    assert said(claims).keys() == {"exp", "iat", "scope"}
    assert claims.scope == {"connect"}
    assert claims.iat is not None
    assert claims.exp - claims.iat == 300


def test_the_common_case() -> None:
    claims = issued(
        *("--uid", "jim", "--subscribe", "chat-*", "--publish", "chat", "is-typing", "--echo"),
        *("--store", "86400", "--react", "👍", "❤️", "--history-start", "0", "--lifetime", "60"),
    )
    directives = {"publish": True, "echo": True, "store": 86400, "react": ["👍", "❤️"]}
    assert said(claims)["channels"] == {
        "chat-*": {
            "subscribe": True,
            "historyStart": 0,
            "messages": {"chat": directives, "is-typing": directives},
        }
    }
    grants = Grants(claims)
    assert grants.channel("chat-x").subscribe
    assert grants.message("chat-x", "chat").publish
    assert (claims.uid, claims.exp - (claims.iat or 0)) == ("jim", 60)


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ("--subscribe a b", {"a": {"subscribe": True}, "b": {"subscribe": True}}),
        ("--subscribe a --subscribe b", {"a": {"subscribe": True}, "b": {"subscribe": True}}),
        ("--auto-subscribe a --alias x", {"a": {"autoSubscribe": True, "alias": "x"}}),
        ("--subscribe a --auto-subscribe a", {"a": {"subscribe": True, "autoSubscribe": True}}),
        ("--channel a --get-info", {"a": {"getInfo": True}}),
        (
            "--subscribe a --omit-from-sub-count",
            {"a": {"subscribe": True, "omitFromSubCount": True}},
        ),
        ("--channel a --broadcast e", {"a": {"messages": {"e": {"broadcast": True}}}}),
        (
            "--channel a --publish e --broadcast e f --event g --store -1",
            {
                "a": {
                    "messages": {
                        "e": {"publish": True, "broadcast": True, "store": -1},
                        "f": {"broadcast": True, "store": -1},
                        "g": {"store": -1},
                    }
                }
            },
        ),
        ("--channel a --event * --react-any", {"a": {"messages": {"*": {"react": True}}}}),
        (
            "--channel a --get k l --set k --observe *",
            {
                "a": {
                    "storage": {
                        "k": {"get": True, "set": True},
                        "l": {"get": True},
                        "*": {"observe": True},
                    }
                }
            },
        ),
    ],
)
def test_what_options_state(options: str, channels: dict[str, Any]) -> None:
    assert said(issued(*options.split()))["channels"] == channels


def test_what_the_bearer_is() -> None:
    claims = issued(
        *("--scope", "connect subscribe", "--uid", "jim", "--umd", '{"n": 1.5}', "--keep-alive"),
        *("--heartbeat-timeout", "30", "--umd-update", "--umd-propagate"),
    )
    assert claims.scope == {"connect", "subscribe"}
    assert (claims.uid, claims.umd, claims.heartbeat_timeout) == ("jim", '{"n":1.5}', 30)
    assert claims.keep_alive
    assert claims.umd_update
    assert claims.umd_propagate


def test_each_token_that_may_be_used_once_has_an_id_of_its_own() -> None:
    first, second = issued("--single-use"), issued("--single-use")
    assert first.single_use
    assert first.jti
    assert first.jti != second.jti


def test_a_token_for_one_connection() -> None:
    claims = issued("--scope", "subscribe", "--connection-id", "c=", scope="subscribe")
    assert claims.connection_id == "c="


# --- a file -------------------------------------------------------------------------------------


def test_claims_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    file.write_text('{"scope": "umd", "umd": {"é": 1}, "uid": "jim"}', encoding="utf-8")
    claims = issued("--claims", str(file), "--lifetime", "60", scope="umd")
    assert (claims.uid, claims.umd, claims.exp - (claims.iat or 0)) == ("jim", '{"é":1}', 60)


def test_claims_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"scope": "connect", "uid": "pam"}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert issued("--claims", "-").uid == "pam"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "The text is not JSON."),
        (b"\xff", "The text is not UTF-8."),
        (b"[]", "The claims must be a JSON object."),
        (b"{}", "scope is required"),
        (
            b'{"scope": "connect", "scope": "umd"}',
            "The text holds the same key twice in one object.",
        ),
    ],
)
def test_a_file_that_holds_no_claims(tmp_path: Path, text: bytes, sentence: str) -> None:
    file = tmp_path / "claims.json"
    file.write_bytes(text)
    assert refused("--claims", str(file)) == sentence


def test_a_file_that_is_not_there() -> None:
    assert refused("--claims", "/no/such") == "/no/such cannot be read: No such file or directory."


def test_a_file_says_all(tmp_path: Path) -> None:
    said = refused("--claims", "claims.json", "--uid", "jim")
    assert said == "--claims says all there is to say; it takes no --uid."


# --- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "--subscribe a --publish e --store soon",
            'channels["a"].messages["e"].store must be 0, -1 or 1 to 3155695200 seconds, not "so',
        ),
        (
            "--subscribe a --publish e --store 1.5",
            'channels["a"].messages["e"].store must be 0, -1 or 1 to 3155695200 seconds, not 1.5',
        ),
        ("--heartbeat-timeout 4", "heartbeatTimeout must be a whole number from 5 to 600, not 4"),
        ("--scope admin", "scope must be some of"),
        ("--subscribe #regex:(", 'channels["#regex:("] must compile as RE2: "missing ): ("'),
        ("--subscribe a* --alias b", 'channels["a*"].alias must not sit on a pattern'),
        ("--connection-id c", "connectionId must be absent from a token that opens a connection"),
        (f"--uid {'x' * 129}", "uid must be a string of at most 128 characters"),
        ("--umd {", "--umd is not JSON."),
        ("--lifetime 0", "--lifetime must be at least 1 second."),
        ("--publish e", "messages of what? Name it with --subscribe or --auto-subscribe or"),
        ("--subscribe a --store 1", "store of what? Name it with --publish or --broadcast or"),
    ],
)
def test_wrong_claims_get_the_servers_own_words(options: str, sentence: str) -> None:
    assert refused(*options.split()).startswith(sentence)


def test_without_a_key_there_is_no_token(configure: Any) -> None:
    configure()
    assert "make setup" in refused()


# --- as a program -------------------------------------------------------------------------------


def test_the_token_pipes_and_the_words_do_not(tmp_path: Path) -> None:
    """Neither a database nor anything but a key is needed."""
    env = server_environment(tmp_path, DATABASE_URL="postgres://nobody@127.0.0.1:1/none")
    outcome = manage(env, "issue_token", "--uid", "jim", "--subscribe", "a", "--explain")
    assert outcome.returncode == 0, outcome.stderr
    assert len(outcome.stdout.splitlines()) == 1
    assert outcome.stdout.count(".") == 2
    assert outcome.stderr.splitlines() == [
        "It may be used to open a connection.",
        'Its bearer is "jim".',
        *(line for line in outcome.stderr.splitlines() if " UTC." in line),
        'It may subscribe to the channel "a".',
    ]


def test_a_refusal_is_one_sentence_on_stderr_and_1(tmp_path: Path) -> None:
    outcome = manage(server_environment(tmp_path), "issue_token", "--scope", "admin")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    [line] = outcome.stderr.splitlines()
    assert line.startswith("CommandError: scope must be some of")


def test_it_reads_a_pipe(tmp_path: Path, signer: Pair) -> None:
    given = b'{"scope": "connect"}'
    outcome = manage(server_environment(tmp_path), "issue_token", "--claims", "-", given=given)
    outcome.check_returncode()
    assert outcome.stdout.count(".") == 2
