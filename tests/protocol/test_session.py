"""What one connection may do (protocol.md sections 5, 7 to 9)."""

import json
from itertools import cycle, islice
from typing import Any

import pytest

from chat.protocol.commands import Subscribe
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.events import Event
from chat.protocol.ids import before_instant
from chat.protocol.publication import Source
from chat.protocol.session import MAX_REMEMBERED, Session
from tokens.claims import Claims, parse_claims

ID = "JCnTZd_KoAMCF-A="
Channels = dict[str, dict[str, Any]]


def claims(scope: str, **stated: Any) -> Claims:
    payload = {"exp": 4_000_000_000, "scope": scope, **stated}
    return parse_claims(json.dumps(payload).encode(), scope=scope)


def session(channels: Channels | None = None, **stated: Any) -> Session:
    return Session(ID, claims("connect", channels=channels or {}, **stated))


def subscribe(session: Session, name: str, token: Claims | None = None, head_id: str = "") -> str:
    """Subscribes as the verb does, and gives the real name."""
    subscription = session.may_subscribe(Subscribe(name), token)
    subscription.head_id = head_id
    session.subscriptions[subscription.channel] = subscription
    return subscription.channel


def code(refused: pytest.ExceptionInfo[ProtocolError]) -> ErrorCode:
    return refused.value.code


# --- who may publish: the table of protocol.md section 5 ----------------------------------------

YES, DENIED, NOT_SUBSCRIBED = None, "PUBLISH_PERMISSION_DENIED", "NOT_SUBSCRIBED"


@pytest.mark.parametrize(
    ("directives", "subscribed", "not_subscribed"),
    [
        ({"publish": True}, YES, NOT_SUBSCRIBED),
        ({"publish": True, "broadcast": False}, YES, NOT_SUBSCRIBED),
        ({"broadcast": True}, YES, YES),
        ({"publish": True, "broadcast": True}, YES, YES),
        ({"publish": False}, DENIED, DENIED),
        ({"publish": False, "broadcast": True}, DENIED, DENIED),
        ({"publish": False, "broadcast": False}, DENIED, DENIED),
        ({}, DENIED, DENIED),
        ({"broadcast": False}, DENIED, DENIED),
    ],
)
def test_who_may_publish(
    directives: dict[str, bool], subscribed: str | None, not_subscribed: str | None
) -> None:
    one = session({"c": {"subscribe": True, "messages": {"e": directives}}})
    assert refusal_to_publish(one) == not_subscribed
    subscribe(one, "c")
    assert refusal_to_publish(one) == subscribed


def refusal_to_publish(session: Session, channel: str = "c", event: str = "e") -> str | None:
    try:
        session.may_publish(channel, event)
    except ProtocolError as refused:
        return refused.code
    return None


def test_an_event_that_no_directive_names_may_not_be_published() -> None:
    one = session({"c": {"subscribe": True, "messages": {"e": {"publish": True}}}})
    subscribe(one, "c")
    assert refusal_to_publish(one, event="other") == DENIED
    assert refusal_to_publish(one, channel="other") == DENIED


def test_a_subscribe_token_adds_rights_on_its_subscription_alone() -> None:
    one = session({"c": {}, "d": {"subscribe": True}}, uid="jim")
    rights = {"subscribe": True, "messages": {"e": {"publish": True}}}
    token = claims("subscribe", uid="jim", channels={"c": rights, "d": rights})
    assert refusal_to_publish(one) == DENIED
    subscribe(one, "c", token)
    assert refusal_to_publish(one) is YES
    subscribe(one, "d")
    assert refusal_to_publish(one, channel="d") == DENIED


def test_an_explicit_false_of_either_token_wins() -> None:
    allow, deny = (
        {"subscribe": True, "messages": {"e": {"publish": yes}}} for yes in (True, False)
    )
    for connect, subscribing in ((allow, deny), (deny, allow)):
        one = session({"c": connect}, uid="jim")
        subscribe(one, "c", claims("subscribe", uid="jim", channels={"c": subscribing}))
        assert refusal_to_publish(one) == DENIED


def test_broadcast_in_a_subscribe_token_is_void() -> None:
    one = session({"c": {"subscribe": True}}, uid="jim")
    rights = {"messages": {"e": {"broadcast": True}}}
    subscribe(one, "c", claims("subscribe", uid="jim", channels={"c": rights}))
    assert refusal_to_publish(one) == DENIED


def test_a_sender_is_its_subscription_where_there_is_one() -> None:
    events = {"messages": {"e": {"broadcast": True}}, "subscribe": True}
    one = session({"c": events, "d": events}, uid="jim", umd={"a": 1})
    token = claims("subscribe", connectionId=ID, uid="jimmy", umd={"b": 2}, channels={})
    subscribe(one, "c", token)
    _, as_subscribed = one.may_publish("c", "e")
    assert (as_subscribed.uid, as_subscribed.umd) == ("jimmy", '{"b":2}')
    assert as_subscribed.meta == b'{"uid":"jimmy","umd":{"b":2}}'
    _, as_connected = one.may_publish("d", "e")
    assert as_connected.meta == b'{"uid":"jim","umd":{"a":1}}'


# --- routes: what publishing comes to, found once ------------------------------------------------

BOTH = {"subscribe": True, "messages": {"e": {"publish": True}}}


def begin(session: Session, name: str, token: Claims | None = None) -> None:
    session.add(session.may_subscribe(Subscribe(name), token))


def test_a_route_is_found_once_and_forgotten_when_a_subscription_begins_or_ends() -> None:
    one = session({"c": BOTH, "d": BOTH})
    begin(one, "c")
    route = one.route("c", "e")
    assert one.route("c", "e") is route
    assert (route.channel, route.event) == ("c", "e")
    begin(one, "d")
    assert one.route("c", "e") is not route
    route = one.route("c", "e")
    one.remove("d")
    assert one.route("c", "e") is not route


def test_rights_of_a_subscribe_token_are_gone_with_its_subscription() -> None:
    one = session({"c": {"messages": {"e": {"broadcast": True, "echo": True}}}}, uid="jim")
    rights = {"subscribe": True, "messages": {"e": {"store": 60}, "f": {"publish": True}}}
    assert one.route("c", "e").rights.store == 0
    begin(one, "c", claims("subscribe", uid="jim", umd=1, channels={"c": rights}))
    assert one.route("c", "e").rights.store == 60
    assert one.route("c", "f").sender is one.subscriptions["c"]
    one.remove("c")
    assert one.route("c", "e").rights.store == 0
    assert one.route("c", "e").sender is one
    with pytest.raises(ProtocolError) as refused:
        one.route("c", "f")
    assert code(refused) is ErrorCode.PUBLISH_PERMISSION_DENIED


def test_a_right_to_publish_ends_with_its_subscription() -> None:
    one = session({"c": BOTH})
    begin(one, "c")
    one.route("c", "e")
    one.remove("c")
    with pytest.raises(ProtocolError) as refused:
        one.route("c", "e")
    assert code(refused) is ErrorCode.NOT_SUBSCRIBED


def test_an_alias_leads_elsewhere_once_its_subscription_has_ended() -> None:
    one = session({"*": BOTH}, uid="jim")
    messages = {"e": {"publish": True}}
    token = claims("subscribe", uid="jim", channels={"c": {"alias": "mine", "messages": messages}})
    begin(one, "mine", token)
    assert one.route("mine", "e").channel == "c"
    one.remove("c")
    begin(one, "mine")
    assert one.route("mine", "e").channel == "mine"


def test_changed_metadata_show_in_the_next_message() -> None:
    one = session({"c": BOTH, "d": {"messages": {"e": {"broadcast": True}}}}, uid="jim", umd=1)
    begin(one, "c")

    def metas() -> list[Any]:
        found = []
        for channel in "cd":
            route = one.route(channel, "e")
            frame = route.template.frame("0" * 26, b"null", route.sender.meta)
            found.append(json.loads(Event(frame).payload)["meta"]["umd"])
        return found

    assert metas() == [1, 1]
    one.take_on("2", ["c"], own=False)
    assert metas() == [2, 1]
    one.take_on("3", [], own=True)
    assert metas() == [2, 3]
    one.take_on("4", ["c", "d"], own=True)
    assert metas() == [4, 4]


def test_a_route_that_http_has_found_shows_later_metadata() -> None:
    one = session({"*": {"messages": {"*": {"broadcast": True}}}})
    one.route("c", "first")
    over_http = one.seen_from(Source("client.http", ID))
    assert over_http.route("c", "second").sender.meta == one.meta
    one.take_on('"new"', [], own=True)
    assert one.route("c", "second").sender.meta == one.meta


def test_routes_are_bounded_and_no_session_sees_anothers() -> None:
    one, other = session({"*": {"messages": {"*": {"broadcast": True}}}}), session()
    for names in (["c"], [f"c{number}" for number in range(MAX_REMEMBERED)]):
        for number, channel in enumerate(islice(cycle(names), MAX_REMEMBERED + 5)):
            assert one.route(channel, f"e{number}").event == f"e{number}"
        assert sum(map(len, one.routes.values())) <= MAX_REMEMBERED
    assert not other.routes


# --- subscribing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "bound"),
    [
        ({"connectionId": ID}, True),
        ({"connectionId": ID, "uid": "pam"}, True),
        ({"connectionId": "other"}, False),
        ({"connectionId": "other", "uid": "jim"}, False),
        ({"connectionId": "", "uid": "jim"}, False),
        ({"uid": "jim"}, True),
        ({"uid": "pam"}, False),
        ({"uid": ""}, False),
        ({}, False),
    ],
)
def test_a_subscribe_token_is_bound(token: dict[str, str], bound: bool) -> None:
    one = session(uid="jim")
    bearer = claims("subscribe", channels={"c": {"subscribe": True}}, **token)
    if bound:
        assert subscribe(one, "c", bearer) == "c"
    else:
        with pytest.raises(ProtocolError) as refused:
            subscribe(one, "c", bearer)
        assert code(refused) is ErrorCode.INVALID_SUBSCRIBE_TOKEN


@pytest.mark.parametrize("uid", [None, ""])
def test_no_uid_binds_nothing_to_a_connection_without_one(uid: str | None) -> None:
    token = claims("subscribe", channels={"c": {"subscribe": True}}, uid=uid)
    with pytest.raises(ProtocolError) as refused:
        subscribe(session(uid=uid), "c", token)
    assert code(refused) is ErrorCode.INVALID_SUBSCRIBE_TOKEN


@pytest.mark.parametrize("directives", [{}, {"subscribe": False}, {"messages": {}}])
def test_subscribing_needs_leave(directives: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as refused:
        subscribe(session({"c": directives}), "c")
    assert code(refused) is ErrorCode.SUBSCRIBE_PERMISSION_DENIED


def test_subscribing_twice_is_told_with_the_real_name() -> None:
    one = session({"c": {"subscribe": True, "alias": "mine"}})
    subscribe(one, "mine")
    for name in ("mine", "c"):
        with pytest.raises(ProtocolError) as refused:
            subscribe(one, name)
        assert code(refused) is ErrorCode.ALREADY_SUBSCRIBED
        assert refused.value.channel == "c"


@pytest.mark.parametrize("uid", [None, ""])
def test_a_presence_channel_needs_a_uid(uid: str | None) -> None:
    one = session({"presence.*": {"subscribe": True}}, uid=uid)
    with pytest.raises(ProtocolError) as refused:
        subscribe(one, "presence.room")
    assert code(refused) is ErrorCode.PRESENCE_CHANNEL_USER_ID_REQUIRED
    token = claims("subscribe", connectionId=ID, uid="pam", channels={})
    assert subscribe(one, "presence.room", token) == "presence.room"


def test_a_subscription_that_is_resumed_has_what_it_had() -> None:
    one = session({"c": {"subscribe": True, "messages": {"e": {"publish": True}}}}, uid="jim")
    token = claims("subscribe", uid="jim", umd=1, channels={"c": {"alias": "mine"}})
    subscribe(one, "c", token, head_id="01HF7YAT00ABCDEFGHJKMNPQRS")
    other = Session(ID, one.claims)
    other.resume("c", token, "01HF7YAT00ABCDEFGHJKMNPQRS", "1")
    had, has = one.subscriptions["c"], other.subscriptions["c"]
    for name in ("channel", "grants", "uid", "umd", "alias", "claims", "meta", "head_id"):
        assert getattr(had, name) == getattr(has, name)


# --- names --------------------------------------------------------------------------------------


def test_an_alias_means_its_channel() -> None:
    one = session({"c": {"subscribe": True, "alias": "mine"}, "d": {}})
    assert one.real_name("mine") == "c"
    assert one.real_name("c") == "c"
    assert one.real_name("other") == "other"
    subscribe(one, "mine")
    assert one.subscription("mine") is one.subscription("c")


def test_a_channel_named_in_the_token_comes_before_an_alias() -> None:
    one = session({"c": {"subscribe": True}, "d": {"subscribe": True}}, uid="jim")
    subscribe(one, "c", claims("subscribe", uid="jim", channels={"c": {"alias": "d"}}))
    assert one.real_name("d") == "d"


def test_the_alias_of_a_subscribe_token_lasts_as_long_as_its_subscription() -> None:
    one = session({"*": {"subscribe": True}}, uid="jim")
    token = claims("subscribe", uid="jim", channels={"c": {"alias": "mine"}})
    assert one.real_name("mine") == "mine"
    assert subscribe(one, "mine", token) == "c"
    assert one.real_name("mine") == "c"
    with pytest.raises(ProtocolError) as refused:
        subscribe(one, "mine")
    assert code(refused) is ErrorCode.ALREADY_SUBSCRIBED
    del one.subscriptions["c"]
    assert one.real_name("mine") == "mine"


def test_the_alias_of_a_subscribe_token_comes_before_the_connect_tokens() -> None:
    one = session({"c": {"subscribe": True, "alias": "old"}}, uid="jim")
    subscribe(one, "c", claims("subscribe", uid="jim", channels={"c": {"alias": "new"}}))
    assert one.subscriptions["c"].alias == "new"
    assert (one.real_name("new"), one.real_name("old")) == ("c", "c")


def test_who_is_not_subscribed_is_told_so() -> None:
    with pytest.raises(ProtocolError) as refused:
        session({"c": {"subscribe": True}}).subscription("c")
    assert code(refused) is ErrorCode.NOT_SUBSCRIBED


# --- history and reactions ----------------------------------------------------------------------


def test_history_begins_where_the_subscription_began() -> None:
    one = session({"c": {"subscribe": True}})
    subscribe(one, "c", head_id="01HF7YAT00ABCDEFGHJKMNPQRS")
    assert one.subscriptions["c"].window_start() == "01HF7YAT00ABCDEFGHJKMNPQRS"


@pytest.mark.parametrize("start", [0, 1_700_000_000, 1_700_000_000.5])
def test_history_begins_at_history_start_where_that_is_stated(start: float) -> None:
    one = session({"c": {"subscribe": True, "historyStart": start}})
    subscribe(one, "c", head_id="01HF7YAT00ABCDEFGHJKMNPQRS")
    assert one.subscriptions["c"].window_start() == before_instant(start)


def test_a_reaction_is_allowed_by_the_event_that_it_is_about() -> None:
    rights = {"chat": {"react": ["👍"]}, "any": {"react": True}, "none": {"react": False}}
    one = session({"c": {"subscribe": True, "messages": rights}})
    subscribe(one, "c")
    subscription = one.subscriptions["c"]
    assert subscription.may_react("chat", "👍")
    assert subscription.may_react("any", "👎")
    for event, reaction in (("chat", "👎"), ("none", "👍"), ("other", "👍")):
        assert not subscription.may_react(event, reaction)


@pytest.mark.parametrize("uid", [None, ""])
def test_reacting_needs_a_uid(uid: str | None) -> None:
    one = session({"c": {"subscribe": True}}, uid=uid)
    subscribe(one, "c")
    with pytest.raises(ProtocolError) as refused:
        one.subscriptions["c"].reacting_uid()
    assert code(refused) is ErrorCode.REACT_PERMISSION_DENIED
    subscribe(one := session({"c": {"subscribe": True}}, uid="jim"), "c")
    assert one.subscriptions["c"].reacting_uid() == "jim"


@pytest.mark.parametrize(
    ("directives", "echoes"),
    [({"echo": True}, True), ({}, False), ({"echo": True, "publish": False}, False)],
)
def test_own_reactions_come_back_with_echo(directives: dict[str, bool], echoes: bool) -> None:
    messages = {"hotsock.messageReaction": directives, "chat": {"echo": not echoes}}
    one = session({"c": {"subscribe": True, "messages": messages}})
    subscribe(one, "c")
    assert one.subscriptions["c"].rights("hotsock.messageReaction").echo is echoes
