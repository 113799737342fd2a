"""Each claim and directive has a sentence, in words that nobody has to look up."""

import json
from typing import Any

import pytest

from tokens import directives, explain
from tokens.claims import Claims, parse_claims

EXP = 2_000_000_000
BASE: dict[str, Any] = {"exp": EXP, "scope": "connect"}


def parsed(claims: dict[str, Any], scope: str = "connect") -> Claims:
    return parse_claims(json.dumps(BASE | claims).encode(), scope=scope)


def sentences(claims: dict[str, Any], scope: str = "connect") -> list[str]:
    return list(explain.explain(parsed(claims, scope)))


def about(channels: dict[str, Any], scope: str = "connect") -> list[str]:
    return sentences({"channels": channels}, scope)[2:]


def test_the_least_that_a_token_says() -> None:
    assert sentences({}) == [
        "It may be used to open a connection.",
        "It may be used until 2033-05-18 03:33:20 UTC.",
    ]


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        (
            {"scope": "connect subscribe umd"},
            "It may be used to open a connection and to subscribe and to change metadata.",
        ),
        ({"uid": "jim"}, 'Its bearer is "jim".'),
        ({"umd": {"a": "{0}"}}, """Its bearer's metadata is {"a":"{0}"}."""),
        ({"nbf": EXP - 60}, "It may not be used before 2033-05-18 03:32:20 UTC."),
        ({"iat": 0.5}, "It was issued at 1970-01-01 00:00:00 UTC."),
        ({"aud": ["b", "a"]}, 'It is meant for "a", "b".'),
        ({"iss": "us"}, 'It was issued by "us".'),
        ({"jti": "x", "singleUse": True}, "It may be used once."),
        ({"keepAlive": True}, "Its connection is kept from idling out."),
        (
            {"heartbeatTimeout": 30},
            "Its connection is closed where 30 seconds pass without a heartbeat.",
        ),
        ({"umdUpdate": True}, "It may change the metadata of the connection."),
        ({"umdPropagate": True}, "What it changes holds for all subscriptions of the connection."),
    ],
)
def test_a_claim(claims: dict[str, Any], sentence: str) -> None:
    assert sentence in sentences(claims)


def test_a_claim_for_one_connection() -> None:
    said = sentences({"scope": "subscribe", "connectionId": "c="}, "subscribe")
    assert 'Only the connection "c=" may use it.' in said


def test_a_jti_is_not_told() -> None:
    assert not [sentence for sentence in sentences({"jti": "unique-id"}) if "unique-id" in sentence]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("chat", 'the channel "chat"'),
        ("chat-*", 'channels that fit "chat-*"'),
        ("*", "every channel"),
        ("#regex:^a{1}$", 'channels that match the regular expression "^a{1}$"'),
        ('{0}"', 'the channel "{0}\\""'),
        ("a\u009b\u202eb", 'the channel "a\\u009b\\u202eb"'),
    ],
)
def test_which_channels(key: str, named: str) -> None:
    assert about({key: {"subscribe": True}}) == [f"It may subscribe to {named}."]


@pytest.mark.parametrize(
    ("directive", "value", "sentence"),
    [
        ("subscribe", False, 'It may never subscribe to the channel "c".'),
        ("autoSubscribe", True, 'It is subscribed to the channel "c" as soon as it is connected.'),
        ("alias", "d", 'It may call the channel "c" by the name "d".'),
        ("getInfo", True, 'It may ask how many listen to the channel "c".'),
        ("historyStart", 0, 'It may read the whole history of the channel "c".'),
        (
            "historyStart",
            EXP,
            'It may read the history of the channel "c" since 2033-05-18 03:33:20 UTC.',
        ),
        ("omitFromSubCount", True, 'It is not counted among those who listen to the channel "c".'),
        ("umdUpdate", True, 'It may change the metadata of the subscription to the channel "c".'),
    ],
)
def test_a_directive_of_a_channel(directive: str, value: Any, sentence: str) -> None:
    assert about({"c": {directive: value}}) == [sentence]


ON = 'the event "e" on the channel "c"'


@pytest.mark.parametrize(
    ("directive", "value", "sentence"),
    [
        ("publish", True, f"It may publish {ON} while it is subscribed."),
        ("publish", False, f"It may never publish {ON}."),
        ("broadcast", True, f"It may publish {ON} without being subscribed."),
        ("echo", True, f"It gets its own copy of what it publishes as {ON}."),
        ("store", 0, f"What it publishes as {ON} is not stored."),
        ("store", -1, f"What it publishes as {ON} is kept for ever."),
        ("store", 86400, f"What it publishes as {ON} is kept for 1 day."),
        ("store", 5400, f"What it publishes as {ON} is kept for 90 minutes."),
        ("store", 61, f"What it publishes as {ON} is kept for 61 seconds."),
        ("react", True, f"It may react to {ON} with anything."),
        ("react", False, f"It may not react to {ON}."),
        ("react", [], f"It may not react to {ON}."),
        ("react", ["👍", "{0}"], f'It may react to {ON} with "{{0}}", "👍".'),
        ("scheduleBefore", EXP, f"It may schedule {ON} for times until 2033-05-18 03:33:20 UTC."),
        ("emitPubSubEvent", True, f"What it publishes as {ON} is reported to the site's backend."),
    ],
)
def test_a_directive_of_an_event(directive: str, value: Any, sentence: str) -> None:
    assert about({"c": {"messages": {"e": {directive: value}}}}) == [sentence]


@pytest.mark.parametrize(
    ("directive", "value", "sentence"),
    [
        ("get", True, 'It may read the storage key "k" of the channel "c".'),
        ("set", False, 'It may never write the storage key "k" of the channel "c".'),
        ("observe", True, 'It is told of changes to the storage key "k" of the channel "c".'),
        ("store", -1, 'What it writes to the storage key "k" of the channel "c" is kept for ever.'),
    ],
)
def test_a_directive_of_a_storage_key(directive: str, value: Any, sentence: str) -> None:
    assert about({"c": {"storage": {"k": {directive: value}}}}) == [sentence]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (explain.CHANNEL, directives.CHANNEL.keys() - {"messages", "storage"}),
        (explain.MESSAGE, directives.MESSAGE.keys()),
        (explain.STORAGE, directives.STORAGE.keys()),
    ],
    ids=["channel", "message", "storage"],
)
def test_no_directive_goes_without_a_word(told: dict[str, Any], known: set[str]) -> None:
    assert told.keys() == known


def test_a_long_name_does_not_stand_in_each_sentence() -> None:
    messages = {f"e{number}": {"publish": True, "misspelt": 1} for number in range(1000)}
    said = about({"k" * 20_000: {"messages": messages}})
    assert len(said) == 2000
    assert max(map(len, said)) < 400


def test_no_claim_goes_without_a_word() -> None:
    fields = set(Claims.__dataclass_fields__) - {"payload", "size", "channels"}
    assert explain.CLAIMS.keys() == fields


def test_what_is_not_known_is_said_to_be_without_effect() -> None:
    said = sentences(
        {
            "uuid": 1,
            "channels": {
                "c": {
                    "subscibe": True,
                    "messages": {"e": {"pubish": True}, "f": None},
                    "storage": {"k": {"read": 1}},
                },
                "d": None,
            },
        }
    )
    assert said[2:] == [
        "uuid is not known here and has no effect.",
        'channels["c"].subscibe is not known here and has no effect.',
        'channels["c"].messages["e"].pubish is not known here and has no effect.',
        'channels["c"].storage["k"].read is not known here and has no effect.',
    ]


def test_what_counts_in_connect_tokens_alone_is_not_told_of_others() -> None:
    channels = {"c": {"autoSubscribe": True, "messages": {"e": {"broadcast": True}}}}
    said = sentences({"scope": "subscribe", "channels": channels}, "subscribe")
    assert len(said) == 2


def test_the_order_is_that_of_the_token() -> None:
    said = about({"b": {"getInfo": True, "subscribe": True}, "a": {"subscribe": True}})
    assert ['"b"' in sentence for sentence in said] == [True, True, False]
