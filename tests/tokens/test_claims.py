import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.material import payload
from tokens.claims import Claims, TokenError, check_claims, parse_claims
from tokens.directives import MAX_INSTANT

MAX_STORE = 3_155_695_200


def parsed(use: str = "connect", **claims: Any) -> Claims:
    """The claims of a good token, for the use that is its scope unless `claims` say otherwise."""
    return parse_claims(payload(**{"scope": use} | claims), scope=use)


def outcome_of(raw: bytes) -> Claims | str:
    try:
        return parse_claims(raw, scope="connect")
    except TokenError as error:
        return str(error)


def refusal(raw: bytes, scope: str = "connect") -> str:
    with pytest.raises(TokenError) as caught:
        parse_claims(raw, scope=scope)
    return str(caught.value)


def test_the_smallest_token() -> None:
    claims = parsed()
    assert claims.scope == {"connect"}
    assert claims.exp == 4_102_444_800.0
    assert (claims.nbf, claims.iat, claims.jti, claims.uid, claims.iss) == (None,) * 5
    assert (claims.umd, claims.aud, claims.channels) == ("null", (), ())
    assert (claims.keep_alive, claims.single_use) == (False, False)
    assert (claims.umd_update, claims.umd_propagate) == (False, False)
    assert claims.heartbeat_timeout is claims.connection_id is None


def test_every_claim_is_read() -> None:
    claims = parsed(
        "subscribe", nbf=1, iat=2.5, jti="j", uid="jim", umd={"n": 1}, connectionId="c=",
        keepAlive=True, heartbeatTimeout=30, singleUse=True, umdUpdate=True, umdPropagate=True,
        aud=["a", "b"], iss="i",
    )  # fmt: skip
    assert (claims.nbf, claims.iat, claims.jti, claims.uid) == (1.0, 2.5, "j", "jim")
    assert (claims.umd, claims.connection_id) == ('{"n":1}', "c=")
    assert (claims.keep_alive, claims.heartbeat_timeout, claims.single_use) == (True, 30, True)
    assert (claims.umd_update, claims.umd_propagate) == (True, True)
    assert (claims.aud, claims.iss) == (("a", "b"), "i")


def test_directives_are_kept_by_name() -> None:
    message = {"publish": True, "broadcast": False, "echo": True, "store": -1, "react": ["a", "a"],
               "scheduleBefore": 5, "emitPubSubEvent": True}  # fmt: skip
    stored = {"get": True, "set": False, "observe": True, "store": 1, "scheduleBefore": 6,
              "emitPubSubEvent": False}  # fmt: skip
    channel = {"subscribe": True, "autoSubscribe": True, "alias": "x", "getInfo": False,
               "historyStart": 0, "omitFromSubCount": True, "umdUpdate": True}  # fmt: skip
    nested = {"messages": {"chat*": message}, "storage": {"#regex:k": stored}}
    [entry] = parsed(channels={"c": channel | nested}).channels
    assert entry.pattern.key == "c"
    assert entry.directives == channel
    assert entry.messages[0].pattern.key == "chat*"
    assert entry.messages[0].directives == message | {"react": ("a", "a")}
    assert entry.storage[0].pattern.key == "#regex:k"
    assert entry.storage[0].directives == stored


def test_entries_keep_the_order_of_the_token() -> None:
    keys = ["b*", "a", "#regex:z", "*"]
    messages: dict[str, Any] = {key: {} for key in keys}
    claims = parsed(channels={key: {"messages": messages} for key in keys})
    assert [entry.pattern.key for entry in claims.channels] == keys
    assert [entry.pattern.key for entry in claims.channels[0].messages] == keys


BOOLEANS = ["true", 0, 1, "", [], {}]
INSTANTS = ["1", True, False, [], {}]
TEXTS = [1, True, [], {}]
REFUSED_CLAIMS: dict[str, list[Any]] = {
    "exp": INSTANTS,
    "nbf": INSTANTS,
    "iat": INSTANTS,
    "scope": [*TEXTS, ["connect"], "connect admin", "Connect", "connect\tumd", "connect,umd"],
    "aud": [1, True, {}, [1], ["a", None]],
    "iss": TEXTS,
    "jti": TEXTS,
    "uid": [*TEXTS, "x" * 129],
    "umd": ["x" * 1023, {"k": "x" * 1017}, ["é"] * 205],
    "keepAlive": BOOLEANS,
    "heartbeatTimeout": ["30", True, 4, 601, 30.5, -5, [], 10**30],
    "singleUse": BOOLEANS,
    "umdUpdate": BOOLEANS,
    "umdPropagate": BOOLEANS,
    "channels": ["chat", [], ["chat"], True, 1],
}
REFUSED_CHANNEL: dict[str, list[Any]] = {
    "subscribe": BOOLEANS,
    "autoSubscribe": BOOLEANS,
    "alias": [1, True, [], {}, "", "a b", "a*", "#a", "a,b", "x" * 257],
    "getInfo": BOOLEANS,
    "historyStart": INSTANTS,
    "omitFromSubCount": BOOLEANS,
    "umdUpdate": BOOLEANS,
    "messages": ["chat", [], True],
    "storage": ["key", [], 1],
}
REFUSED_MESSAGE: dict[str, list[Any]] = {
    "publish": BOOLEANS,
    "broadcast": BOOLEANS,
    "echo": BOOLEANS,
    "store": ["86400", True, -2, MAX_STORE + 1, 1.5, [], 10**30],
    "react": ["👍", 1, {}, [1], [None], ["a", True]],
    "scheduleBefore": INSTANTS,
    "emitPubSubEvent": BOOLEANS,
}
REFUSED_STORAGE: dict[str, list[Any]] = {
    "get": BOOLEANS,
    "set": BOOLEANS,
    "observe": BOOLEANS,
    "store": ["1", True, 0, -2, MAX_STORE + 1, 0.5],
    "scheduleBefore": INSTANTS,
    "emitPubSubEvent": BOOLEANS,
}


def each(table: dict[str, list[Any]]) -> list[Any]:
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("claim", "value"), each(REFUSED_CLAIMS))
def test_a_claim_of_the_wrong_type_or_out_of_range_spoils_the_token(claim: str, value: Any) -> None:
    assert refusal(payload(**{claim: value})).startswith(f"{claim} must be ")


@pytest.mark.parametrize(("directive", "value"), each(REFUSED_CHANNEL))
def test_so_does_a_directive_of_a_channel(directive: str, value: Any) -> None:
    raw = payload(channels={"good": {}, "c": {directive: value}})
    assert refusal(raw).startswith(f'channels["c"].{directive} must be ')


@pytest.mark.parametrize(("directive", "value"), each(REFUSED_MESSAGE))
def test_so_does_a_directive_of_a_message(directive: str, value: Any) -> None:
    raw = payload(channels={"c-*": {"messages": {"#regex:.": {directive: value}}}})
    path = f'channels["c-*"].messages["#regex:."].{directive} must be '
    assert refusal(raw).startswith(path)


@pytest.mark.parametrize(("directive", "value"), each(REFUSED_STORAGE))
def test_so_does_a_directive_of_storage(directive: str, value: Any) -> None:
    raw = payload(channels={"c": {"storage": {"k": {directive: value}}}})
    assert refusal(raw).startswith(f'channels["c"].storage["k"].{directive} must be ')


@pytest.mark.parametrize("place", ["channel", "messages", "storage"])
@pytest.mark.parametrize("value", [True, 1, "x", []])
def test_an_entry_is_an_object(place: str, value: Any) -> None:
    channel = value if place == "channel" else {place: {"k": value}}
    expected = 'channels["c"]' if place == "channel" else f'channels["c"].{place}["k"]'
    assert refusal(payload(channels={"c": channel})).startswith(f"{expected} must be an object")


ACCEPTED: list[dict[str, Any]] = [
    {"exp": 4102444800.25},
    {"exp": 1e300},
    {"exp": 10**300},
    {"scope": " umd  connect "},
    {"scope": "subscribe connect umd connect"},
    {"aud": "one"},
    {"aud": []},
    {"uid": ""},
    {"uid": "💬" * 128},
    {"umd": "x" * 1022},
    {"umd": "é" * 511},
    {"heartbeatTimeout": 5},
    {"heartbeatTimeout": 600.0},
    {"channels": {}},
    {"channels": {"c": {"historyStart": 1.5, "alias": "x" * 256}}},
    *(
        {"channels": {"c": {"messages": {"e": {"store": store}}}}}
        for store in (0, -1, 1, MAX_STORE)
    ),
    *({"channels": {"c": {"messages": {"e": {"react": react}}}}} for react in (True, False, [])),
    *({"channels": {"c": {"storage": {"k": {"store": store}}}}} for store in (-1, 1, MAX_STORE)),
]


@pytest.mark.parametrize("claims", ACCEPTED)
def test_what_lies_just_inside_the_ranges(claims: dict[str, Any]) -> None:
    assert isinstance(parsed(**claims), Claims)


def test_an_integral_float_is_an_integer() -> None:
    claims = parsed(heartbeatTimeout=30.0, channels={"c": {"messages": {"e": {"store": 86400.0}}}})
    assert repr(claims.heartbeat_timeout) == "30"
    assert repr(claims.channels[0].messages[0].directives["store"]) == "86400"


@pytest.mark.parametrize(
    ("stated", "meant"), [(-5, 0), (1e300, MAX_INSTANT), (10**400, MAX_INSTANT)]
)
def test_instants_are_kept_where_a_datetime_can_hold_them(stated: float, meant: float) -> None:
    claims = parsed(channels={"c": {"historyStart": stated}})
    assert claims.channels[0].directives["historyStart"] == meant


NULLS = {
    "claims": dict.fromkeys([*REFUSED_CLAIMS, "connectionId"]),
    "channel": {"channels": {"*": dict.fromkeys(REFUSED_CHANNEL)}},
    "message": {"channels": {"c": {"messages": {"e": dict.fromkeys(REFUSED_MESSAGE)}}}},
    "storage": {"channels": {"c": {"storage": {"k": dict.fromkeys(REFUSED_STORAGE)}}}},
}


@pytest.mark.parametrize("claims", NULLS.values(), ids=NULLS)
def test_null_counts_as_absent(claims: dict[str, Any]) -> None:
    document = json.dumps(claims | {"exp": 1, "scope": "connect"})
    read = parse_claims(document.encode(), scope="connect")
    nested = [deep for entry in read.channels for deep in (*entry.messages, *entry.storage)]
    assert all(not entry.directives for entry in (*read.channels, *nested))
    assert (read.umd, read.uid, read.keep_alive, read.connection_id) == ("null", None, False, None)


def test_an_entry_that_is_null_is_no_entry() -> None:
    [entry] = parsed(channels={"a": None, "b": {"messages": {"e": None}}}).channels
    assert (entry.pattern.key, entry.messages) == ("b", ())


def test_what_is_unknown_is_ignored() -> None:
    unknown = {"future": {"nested": [1, {"x": None}]}, "publish": "yes"}
    channel = unknown | {"messages": {"e": unknown | {"publish": True}}}
    claims = parsed(**unknown, channels={"c": channel})
    assert claims.channels[0].directives == {}
    assert claims.channels[0].messages[0].directives == {"publish": True}


@pytest.mark.parametrize("claim", ["exp", "scope"])
def test_required_claims(claim: str) -> None:
    assert refusal(payload(**{claim: None})) == f"{claim} is required"


@pytest.mark.parametrize("scope", ["subscribe", "umd", "", " ", "subscribe umd"])
def test_the_scope_in_use_must_be_among_the_tokens(scope: str) -> None:
    assert refusal(payload(scope=scope)) == 'scope must include "connect"'


@pytest.mark.parametrize("scope", ["connect", "subscribe"])
@pytest.mark.parametrize("jti", [None, ""])
def test_single_use_needs_a_jti(scope: str, jti: str | None) -> None:
    raw = payload(scope=scope, singleUse=True, jti=jti)
    assert refusal(raw, scope) == "jti is required where singleUse is true"


def test_single_use_is_ignored_in_umd_tokens() -> None:
    assert parsed("umd", singleUse=True).jti is None


@pytest.mark.parametrize("value", ["JCnTZd_KoAMCF-A=", ""])
def test_a_token_that_opens_a_connection_is_not_bound_to_one(value: str) -> None:
    assert refusal(payload(connectionId=value)).startswith("connectionId must be absent")
    assert parsed("subscribe", connectionId=value).connection_id == value
    assert parsed("umd", connectionId=value).connection_id == value


@pytest.mark.parametrize("key", ["*", "c*", "#regex:^c$"])
@pytest.mark.parametrize(
    ("directive", "value"), [("autoSubscribe", True), ("autoSubscribe", False), ("alias", "a")]
)
@pytest.mark.parametrize("scope", ["connect", "subscribe", "umd"])
def test_plain_names_only(scope: str, directive: str, value: Any, key: str) -> None:
    raw = payload(scope=scope, channels={key: {directive: value}})
    path = f"channels[{json.dumps(key)}].{directive}"
    assert refusal(raw, scope) == f"{path} must not sit on a pattern"


@pytest.mark.parametrize(
    "channels",
    [
        {"a": {"alias": "x"}, "b": {"alias": "x"}},
        {"a": {"alias": "a"}},
        {"a": {"alias": "b"}, "b": {}},
        {"b": {}, "a": {"alias": "b"}},
    ],
)
def test_an_alias_is_taken_once(channels: dict[str, Any]) -> None:
    assert "alias must be neither a channel of this token nor an alias" in refusal(
        payload(channels=channels)
    )


def test_an_alias_may_equal_a_channel_that_a_pattern_covers() -> None:
    assert len(parsed(channels={"a": {"alias": "b-1"}, "b-*": {}}).channels) == 2


@pytest.mark.parametrize("place", ["channels", "messages", "storage"])
def test_a_regex_that_does_not_compile_spoils_the_token(place: str) -> None:
    keyed = {"#regex:a(": {}}
    channels = keyed if place == "channels" else {"c": {place: keyed}}
    prefix = "channels" if place == "channels" else f'channels["c"].{place}'
    assert refusal(payload(channels=channels)).startswith(
        f'{prefix}["#regex:a("] must compile as RE2: "missing )'
    )


def named(channels: int, messages: int, storage: int) -> dict[str, Any]:
    nested = {
        "messages": {f"m{number}": {} for number in range(messages)},
        "storage": {f"s{number}*": None for number in range(storage)},
    }
    return {f"c{number}": nested if number == 1 else {} for number in range(channels)}


@pytest.mark.parametrize("names", [(2000, 0, 0), (2, 1998, 0), (500, 700, 800)])
def test_a_token_has_at_most_2000_names(names: tuple[int, int, int]) -> None:
    channels, *nested = names
    assert len(parsed(channels=named(*names)).channels) == channels
    assert refusal(payload(channels=named(channels, nested[0] + 1, nested[1]))).endswith(
        " makes more than 2000 names in all"
    )


def test_a_token_has_at_most_250_regular_expressions() -> None:
    channels = {f"#regex:^room-{number}-[a-z]+$": {} for number in range(251)}
    assert refusal(payload(channels=channels)) == (
        'channels["#regex:^room-250-[a-z]+$"] makes more than 250 of its kind'
    )
    del channels["#regex:^room-250-[a-z]+$"]
    assert len(parsed(channels=channels).channels) == 250


def test_regexes_that_are_too_large_together_are_refused_before_they_cost_much() -> None:
    channels = {f"#regex:{number}\\pL{{2}}": {} for number in range(250)}
    assert refusal(payload(channels=channels)).endswith(
        "makes the regular expressions too large together"
    )


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "payload is not JSON"),
        (b"{", "payload is not JSON"),
        (b"[]", "payload must be an object"),
        (b"null", "payload must be an object"),
        (b'"connect"', "payload must be an object"),
        (b'{"exp":1}{}', "payload is not JSON"),
        (b'\xef\xbb\xbf{"exp":1}', "payload is not JSON"),
        ('{"exp":1}'.encode("utf-16"), "payload is not UTF-8"),
        (b'{"x":"\xff"}', "payload is not UTF-8"),
        (b'{"x":"\xed\xa0\x80"}', "payload is not UTF-8"),
        (b'{"x":"\x01"}', "payload is not JSON"),
        (b'{"x":NaN}', "payload holds NaN, which is not JSON"),
        (b'{"x":-Infinity}', "payload holds -Infinity, which is not JSON"),
        (b'{"exp":1e999}', "payload holds a number out of range"),
        (b'{"x":[1e999]}', "payload holds a number out of range"),
        (rb'{"x":"\u0000"}', "payload holds NUL or a lone surrogate in a string"),
        (rb'{"x":["\ud800"]}', "payload holds NUL or a lone surrogate in a string"),
        (rb'{"\udc00":1}', "payload holds NUL or a lone surrogate in a string"),
        (rb'{"x":{"y":[{"\u0000":1}]}}', "payload holds NUL or a lone surrogate in a string"),
        (b'{"exp":1,"exp":1}', "payload holds the same key twice in one object"),
        (b'{"exp":1,"\\u0065xp":1}', "payload holds the same key twice in one object"),
        (b'{"x":[{"y":1,"y":1}]}', "payload holds the same key twice in one object"),
        (b'{"channels":{"c":{},"c":{}}}', "payload holds the same key twice in one object"),
        (b'{"x":' + b"[" * 102 + b"]" * 102 + b"}", "payload is nested deeper than 100 levels"),
        (b'{"x":' * 60_000, "payload holds too many objects and arrays"),
        (b'{"x":' + b"[" * 60_000, "payload holds too many objects and arrays"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_is_not_strict_json_is_refused(raw: bytes, sentence: str) -> None:
    assert refusal(raw) == sentence


def test_a_surrogate_pair_is_one_character() -> None:
    assert (
        parse_claims(rb'{"exp":1,"scope":"connect","uid":"\ud83d\udc4d"}', scope="connect").uid
        == "👍"
    )


def test_a_umd_may_nest_100_levels() -> None:
    umd = b"[" * 100 + b"1" + b"]" * 100
    raw = b'{"exp":1,"scope":"connect","umd":' + umd + b"}"
    assert parse_claims(raw, scope="connect").umd == umd.decode()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'{ "b" : 1 , "a" : [ ] }', '{"b":1,"a":[]}'),
        (rb'"\u00e9"', '"é"'),
        ("e\u0301".join('""').encode(), '"e\u0301"'),
        (b"18446744073709551616", "18446744073709551616"),
        (b"false", "false"),
        (b'""', '""'),
    ],
)  # fmt: skip
def test_umd_is_compact_and_exact(raw: bytes, text: str) -> None:
    document = b'{"exp":1,"scope":"connect","umd":' + raw + b"}"
    assert parse_claims(document, scope="connect").umd == text


def test_a_payload_can_be_parsed_again() -> None:
    first = parsed(uid="é💬", umd={"a": 1}, channels={"c": {"historyStart": 3}})
    again = parse_claims(first.payload.encode(), scope="connect")
    assert (again.uid, again.umd) == (first.uid, first.umd)
    assert again.channels[0].directives == first.channels[0].directives


def test_a_sentence_says_where_and_why() -> None:
    raw = payload(channels={"chat-*": {"messages": {"chat": {"store": "86400"}}}})
    assert refusal(raw) == (
        'channels["chat-*"].messages["chat"].store must be 0, -1 or 1 to 3155695200 seconds, '
        'not "86400"'
    )


def test_a_sentence_stays_short_and_on_one_line() -> None:
    raw = payload(
        channels={"\n\r\u2028\u0085\u202e" + "c" * 5000: {"subscribe": "\u2028\n" * 5000}}
    )
    sentence = refusal(raw)
    assert len(sentence) < 250
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("times", "now", "leeway", "sentence"),
    [
        ({"exp": 100}, 99.999, 0, None),
        ({"exp": 100}, 100, 0, "exp must lie in the future, but passed 0.000 s ago"),
        ({"exp": 100.5}, 100.499, 0, None),
        ({"exp": 100.5}, 100.5, 0, "exp must lie in the future, but passed 0.000 s ago"),
        ({"exp": 100}, 101.5, 2, None),
        ({"exp": 100}, 102, 2, "exp must lie in the future, but passed 2.000 s ago"),
        ({"exp": -1}, 1, 0, "exp must lie in the future, but passed 1.000 s ago"),
        ({"nbf": 100}, 100, 0, None),
        ({"nbf": 100.25}, 100.2, 0, "nbf must have passed, but lies 0.050 s ahead"),
        ({"nbf": 100.25}, 100.25, 0, None),
        ({"nbf": 100}, 98, 2, None),
        ({"nbf": 100}, 97.9, 2, "nbf must have passed, but lies 2.100 s ahead"),
        ({"iat": 160}, 100, 0, None),
        ({"iat": 162.5}, 100, 2, "iat must have passed, but lies 62.500 s ahead"),
        ({"iat": 160.5}, 100, 0, "iat must have passed, but lies 60.500 s ahead"),
    ],
)  # fmt: skip
def test_times(times: dict[str, float], now: float, leeway: float, sentence: str | None) -> None:
    claims = parsed(**times)
    if sentence is None:
        assert check_claims(claims, now=now, leeway=leeway) is None
        return
    with pytest.raises(TokenError) as caught:
        check_claims(claims, now=now, leeway=leeway)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        ({"exp": 400, "iat": 100}, None),
        ({"exp": 400.5, "iat": 100}, "exp must be at most 300 s after iat, not 300.500"),
        ({"exp": 500}, None),  # 300 s from now
        ({"exp": 501}, "exp must be at most 300 s after now, not 301.000"),
    ],
)
def test_how_long_a_token_may_live(times: dict[str, float], sentence: str | None) -> None:
    claims = parsed(**times)
    check_claims(claims, now=200)
    if sentence is None:
        check_claims(claims, now=200, longest=300)
        return
    with pytest.raises(TokenError) as caught:
        check_claims(claims, now=200, longest=300)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("claims", "audience", "issuer", "path"),
    [
        ({}, "", "", None),
        ({"aud": "other", "iss": "other"}, "", "", None),
        ({"aud": "chat"}, "chat", "", None),
        ({"aud": ["x", "chat"]}, "chat", "", None),
        ({"iss": "us"}, "", "us", None),
        ({}, "chat", "", "aud"),
        ({"aud": []}, "chat", "", "aud"),
        ({"aud": "chats"}, "chat", "", "aud"),
        ({"aud": "ch at"}, "chat", "", "aud"),
        ({"aud": "chat"}, "chat", "us", "iss"),
        ({"aud": "chat", "iss": "them"}, "chat", "us", "iss"),
    ],
)  # fmt: skip
def test_audience_and_issuer(
    claims: dict[str, Any], audience: str, issuer: str, path: str | None
) -> None:
    expected = pytest.raises(TokenError) if path else contextlib.nullcontext()
    with expected as caught:
        check_claims(parsed(**claims), now=0, audience=audience, issuer=issuer)
    assert (caught.value.path if caught else None) == path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)
NAMED = st.sampled_from(["c", "a*", "#regex:x", "#regex:("])
SHAPED = st.dictionaries(
    st.sampled_from([*REFUSED_CHANNEL]),
    JSON | st.dictionaries(NAMED, st.dictionaries(st.sampled_from([*REFUSED_MESSAGE]), JSON)),
)


@given(st.dictionaries(st.sampled_from([*REFUSED_CLAIMS]), JSON), st.dictionaries(NAMED, SHAPED))
def test_any_json_gives_claims_or_one_sentence(claims: dict[str, Any], channels: Any) -> None:
    document = {"exp": 1, "scope": "connect"} | claims | {"channels": channels}
    outcome = outcome_of(json.dumps(document).encode())
    starts = ("channels", *REFUSED_CLAIMS, "payload")
    assert isinstance(outcome, Claims) or outcome.startswith(starts)


@given(st.binary(max_size=60))
def test_any_bytes_give_one_sentence(raw: bytes) -> None:
    assert refusal(raw).startswith(("payload", "exp", "scope"))
