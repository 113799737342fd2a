"""Whose call it is, and what is read of a connection for it (protocol.md sections 14 and 15)."""

import json

import pytest

from chat.actions.connections import secret_hash
from chat.http.credentials import api_key, read_session
from chat.protocol.errors import ProtocolError
from chat.store.operations.connections import HoldBack
from tests.support.configuring import Setter
from tests.support.written import do, new_id, node, opening, subscribing

SECRET = "secret"


@pytest.fixture
def connection_id(database: str, channel: str) -> str:
    """A connection subscribed to ten channels, to one of them with a subscribe token."""
    here = node()
    channels = {f"{channel}-{n}": {"subscribe": True} for n in range(9)}
    channels[f"{channel}-0"]["alias"] = f"{channel}-alias"  # type: ignore[assignment]
    claims = json.dumps({"exp": 2**31, "scope": "connect", "uid": "jim", "channels": channels})
    opened = opening(here.id, claims=claims, secret_hash=secret_hash(SECRET))
    theirs = {f"{channel}-9": {"subscribe": True, "alias": f"{channel}-other"}}
    token = json.dumps({"exp": 2**31, "scope": "subscribe", "uid": "jim", "channels": theirs})
    do(here)
    do(opened)
    do(*(subscribing(opened.id, name) for name in channels))
    do(subscribing(opened.id, f"{channel}-9", claims=token))
    return opened.id


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("-3", {"-3", "-9"}),
        ("-alias", {"-0", "-9"}),
        ("-other", {"-9"}),
        ("-unknown", {"-9"}),
        ("\x00", {"-9"}),
    ],
)
def test_only_the_subscriptions_that_may_be_meant_are_read(
    connection_id: str, channel: str, asked: str, meant: set[str]
) -> None:
    session, _ = read_session(connection_id, SECRET, "", f"{channel}{asked}")
    assert session.subscriptions.keys() == {f"{channel}{suffix}" for suffix in meant}


def test_all_are_read_where_no_channel_is_asked_for(connection_id: str) -> None:
    session, _ = read_session(connection_id, SECRET, "", None)
    assert len(session.subscriptions) == 10


def test_what_has_ended_is_not_served_while_its_rows_stay(connection_id: str, channel: str) -> None:
    do(HoldBack(connection_id, f"{channel}-3"))
    session, _ = read_session(connection_id, SECRET, "", None)
    assert session.subscriptions.keys() == {f"{channel}-{n}" for n in range(10) if n != 3}
    do(HoldBack(connection_id))
    with pytest.raises(ProtocolError):
        read_session(connection_id, SECRET, "", None)


@pytest.mark.parametrize("secret", ["", "secre", "secret ", "\ud800"])
def test_without_its_secret_nothing_is_read(connection_id: str, secret: str) -> None:
    for id in (connection_id, new_id(), "\x00"):
        with pytest.raises(ProtocolError):
            read_session(id, secret, "", None)


@pytest.mark.parametrize("refused", ["connect", "subscribe"])
def test_claims_that_only_an_older_process_accepted_open_nothing(
    database: str, channel: str, refused: str
) -> None:
    here = node()
    granted = {channel: {"subscribe": True}}
    many = granted | {f"#regex:{number}": {} for number in range(251)}
    claims = {
        scope: json.dumps({"exp": 2**31, "scope": scope, "uid": "jim", "channels": channels})
        for scope, channels in {"connect": granted, "subscribe": granted, refused: many}.items()
    }
    opened = opening(here.id, claims=claims["connect"], secret_hash=secret_hash(SECRET))
    do(here)
    do(opened)
    do(subscribing(opened.id, channel, claims=claims["subscribe"]))
    with pytest.raises(ProtocolError) as raised:
        read_session(opened.id, SECRET, "", None)
    assert raised.value.code == "INVALID_CONNECTION"


def test_an_api_key_is_either_of_two(set_tokens: Setter) -> None:
    set_tokens(API_SECRET_KEY_1="old", API_SECRET_KEY_2="new€")
    assert api_key(b"old") == 1
    assert api_key("new€".encode()) == 2
    for key in (b"", b"ol", b"olds", b"OLD", b"oldnew", b"\xff"):
        assert not api_key(key)


def test_a_key_that_is_not_set_is_none(set_tokens: Setter) -> None:
    set_tokens(API_SECRET_KEY_1="", API_SECRET_KEY_2="")
    assert not api_key(b"")
    set_tokens(API_SECRET_KEY_2="new")
    assert not api_key(b"")
    assert api_key(b"new") == 2
