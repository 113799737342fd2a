import itertools
import tracemalloc
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.material import payload
from tokens.claims import Claims, parse_claims
from tokens.permissions import MAX_REMEMBERED_BYTES, Grants, grants

NO_REACTION = frozenset[str]()
Channels = dict[str, Any]


def claims(channels: Channels, scope: str = "connect") -> Claims:
    return parse_claims(payload(scope=scope, channels=channels), scope=scope)


def granted(connect: Channels, subscribe: Channels | None = None) -> Grants:
    second = None if subscribe is None else claims(subscribe, "subscribe")
    return Grants(claims(connect), second)


def on_event(**directives: Any) -> Channels:
    return {"messages": {"e": directives}}


# --- protocol.md section 5: who may publish ----------------------------------------

WHO_MAY_PUBLISH = [
    # publish, broadcast, subscribed, not subscribed
    (True, None, True, False),
    (True, False, True, False),
    (None, True, True, True),
    (True, True, True, True),
    (False, None, False, False),
    (False, False, False, False),
    (False, True, False, False),
    (None, None, False, False),
    (None, False, False, False),
]


@pytest.mark.parametrize(("publish", "broadcast", "subscribed", "other"), WHO_MAY_PUBLISH)
@pytest.mark.parametrize("keys", [("c", "c"), ("c", "*"), ("*", "c"), ("#regex:c", "c*")])
def test_who_may_publish(
    publish: bool | None, broadcast: bool | None, subscribed: bool, other: bool, keys: Any
) -> None:
    """Whether one entry says both, or two entries of any kind say one each."""
    first, second = keys
    channels: Channels = {first: {"messages": {"e": {"publish": publish}}}}
    channels.setdefault(second, {"messages": {"e": {}}})["messages"]["e"]["broadcast"] = broadcast
    rights = granted(channels).message("c", "e")
    assert (bool(rights.publish or rights.broadcast), rights.broadcast) == (subscribed, other)


def test_publish_tells_an_explicit_false_from_nothing() -> None:
    messages = {"yes": {"publish": True}, "no": {"publish": False}, "silent": {}}
    rights = granted({"c": {"messages": messages}})
    assert [rights.message("c", event).publish for event in ("yes", "no", "silent", "x")] == [
        True,
        False,
        None,
        None,
    ]


def test_echo_and_backend_events_do_nothing_where_publish_is_false() -> None:
    both = {"echo": True, "emitPubSubEvent": True, "store": 60, "react": ["x"]}
    some = granted({"c": on_event(**both), "*": on_event(publish=False)})
    rights = some.message("c", "e")
    assert (rights.echo, rights.emit_pubsub_event) == (False, False)
    assert (rights.store, some.reactions("c", "e")) == (60, {"x"})


def test_echo_needs_no_publish() -> None:
    messages = {"hotsock.messageReaction": {"echo": True}}
    rights = granted({"c": {"messages": messages}}).message("c", "hotsock.messageReaction")
    assert (rights.publish, rights.echo) == (None, True)


# --- defaults ----------------------------------------


def test_nothing_is_allowed_by_default() -> None:
    none = granted({})
    channel, message, storage = none.channel("c"), none.message("c", "e"), none.storage("c", "k")
    assert (channel.subscribe, channel.auto_subscribe, channel.get_info) == (False, False, False)
    assert (channel.omit_from_sub_count, channel.umd_update) == (False, False)
    assert (channel.alias, channel.history_start) == (None, None)
    assert (message.publish, message.broadcast, message.echo) == (None, False, False)
    assert (message.store, message.schedule_before) == (0, None)
    assert message.emit_pubsub_event is storage.emit_pubsub_event is False
    assert (storage.get, storage.set, storage.observe) == (False, False, False)
    assert (storage.store, storage.schedule_before) == (-1, None)


def test_each_directive_reaches_its_right() -> None:
    channel = {"subscribe": True, "alias": "x", "getInfo": True, "historyStart": 7,
               "omitFromSubCount": True, "umdUpdate": True}  # fmt: skip
    message = {"publish": True, "broadcast": True, "echo": True, "store": 5, "react": True,
               "scheduleBefore": 8, "emitPubSubEvent": True}  # fmt: skip
    storage = {"get": True, "set": True, "observe": True, "store": 6, "scheduleBefore": 9,
               "emitPubSubEvent": True}  # fmt: skip
    all_of = granted({"c": channel | {"messages": {"e": message}, "storage": {"k": storage}}})
    on_channel = all_of.channel("c")
    assert (on_channel.subscribe, on_channel.auto_subscribe, on_channel.alias) == (True, False, "x")
    assert (on_channel.get_info, on_channel.history_start) == (True, 7.0)
    assert (on_channel.omit_from_sub_count, on_channel.umd_update) == (True, True)
    on_message = all_of.message("c", "e")
    assert (on_message.publish, on_message.broadcast, on_message.echo) == (True, True, True)
    assert (on_message.store, on_message.schedule_before) == (5, 8.0)
    assert on_message.emit_pubsub_event is True
    stored = all_of.storage("c", "k")
    assert (stored.get, stored.set, stored.observe) == (True, True, True)
    assert (stored.store, stored.schedule_before, stored.emit_pubsub_event) == (6, 9.0, True)


def test_rights_hold_for_the_names_that_match_alone() -> None:
    channels = {"c-*": {"subscribe": True, "messages": {"#regex:^e": {"publish": True}},
                        "storage": {"k*": {"get": True}}}}  # fmt: skip
    some = granted(channels)
    assert [some.channel(name).subscribe for name in ("c-1", "c", "d-1")] == [True, False, False]
    assert [some.message("c-1", event).publish for event in ("e1", "xe")] == [True, None]
    assert some.message("d-1", "e1").publish is None
    assert [some.storage("c-1", key).get for key in ("k1", "x")] == [True, False]
    assert some.storage("d-1", "k1").get is False


def test_whether_anything_is_observed_is_told_without_a_key() -> None:
    storage = {"k": {"observe": True}, "l": {"get": True}}
    some = granted({"c-*": {"storage": storage}, "c-1": {"storage": {"k": {"observe": False}}},
                    "d": {"storage": {"l": {"get": True}}}, "e": {}})  # fmt: skip
    assert [some.may_observe(name) for name in ("c-2", "d", "e", "f")] == [True] + [False] * 3


# --- values: the most specific entry that states it ----------------------------------------

SPECIFICITY = [
    # (entries in the token's order, the one that decides)
    (["c-1", "c-*", "#regex:c"], "c-1"),
    (["#regex:c", "c-*", "c-1"], "c-1"),
    (["#regex:c", "*", "c-*"], "c-*"),
    (["*", "*-1", "c*"], "*-1"),
    (["c*1", "c-*", "*-1"], "c*1"),
    (["*-1", "c-*", "c*1"], "*-1"),
    (["#regex:^c-1$", "#regex:c"], "#regex:^c-1$"),
    (["#regex:c", "#regex:^c-1$"], "#regex:c"),
    (["#regex:^c-1$", "*"], "*"),
    (["d-*", "*"], "*"),
]


@pytest.mark.parametrize(("keys", "decides"), SPECIFICITY)
def test_a_value_comes_from_the_most_specific_channel(keys: list[str], decides: str) -> None:
    channels = {
        key: {"historyStart": place, "messages": {"e": {"store": place, "scheduleBefore": place}},
              "storage": {"k": {"store": place, "scheduleBefore": place}}}
        for place, key in enumerate(keys, start=1)
    }  # fmt: skip
    some, place = granted(channels), keys.index(decides) + 1
    assert some.channel("c-1").history_start == place
    message, storage = some.message("c-1", "e"), some.storage("c-1", "k")
    assert (message.store, message.schedule_before) == (place, place)
    assert (storage.store, storage.schedule_before) == (place, place)


@pytest.mark.parametrize(("keys", "decides"), SPECIFICITY)
def test_within_a_channel_it_comes_from_the_most_specific_event(
    keys: list[str], decides: str
) -> None:
    messages = {key: {"store": place} for place, key in enumerate(keys, start=1)}
    some, place = granted({"*": {"messages": messages, "storage": messages}}), keys.index(decides)
    assert some.message("any", "c-1").store == place + 1
    assert some.storage("any", "c-1").store == place + 1


def test_the_channels_rank_counts_before_the_events() -> None:
    channels = {"*": {"messages": {"e": {"store": 1}}}, "c": {"messages": {"*": {"store": 2}}}}
    assert granted(channels).message("c", "e").store == 2


def test_among_channels_of_one_rank_the_events_rank_decides() -> None:
    channels = {"*c": {"messages": {"*": {"store": 1}}}, "c*": {"messages": {"e": {"store": 2}}}}
    assert granted(channels).message("c", "e").store == 2


def test_an_entry_that_states_nothing_decides_nothing() -> None:
    channels = {"c": {"messages": {"e": {"echo": True}}}, "*": on_event(store=5)}
    assert granted(channels).message("c", "e").store == 5
    assert (
        granted({"c": {"historyStart": None}, "*": {"historyStart": 3}}).channel("c").history_start
        == 3
    )


@pytest.mark.parametrize(
    ("specific", "general", "store"),
    [(0, 60, 0), (-1, 60, -1), (60, 0, 60)],
)
def test_a_store_of_zero_is_stated_too(specific: int, general: int, store: int) -> None:
    channels = {"*": on_event(store=general), "c": on_event(store=specific)}
    assert granted(channels).message("c", "e").store == store


def test_history_from_zero_is_stated_too() -> None:
    channels = {"*": {"historyStart": 5}, "c": {"historyStart": 0}}
    assert granted(channels).channel("c").history_start == 0


# --- reactions ----------------------------------------


@pytest.mark.parametrize(
    ("stated", "react"),
    [
        ([], NO_REACTION),
        ([[]], NO_REACTION),
        ([["👍"]], {"👍"}),
        ([["👍"], ["👎", "👍"]], {"👍", "👎"}),
        ([["👍"], True], True),
        ([True], True),
        ([True, False], NO_REACTION),
        ([["👍"], False], NO_REACTION),
        ([False], NO_REACTION),
    ],
)
def test_reactions(stated: list[Any], react: Any) -> None:
    for order in itertools.permutations(stated):
        channels = {"c" + "*" * place: on_event(react=value) for place, value in enumerate(order)}
        assert granted(channels).reactions("c", "e") == react


# --- autoSubscribe, aliases, two tokens ----------------------------------------


@pytest.mark.parametrize(
    ("subscribe", "auto_subscribe", "leave"),
    [(None, True, True), (True, True, True), (False, True, False), (None, False, False),
     (True, False, True), (None, None, False)],
)  # fmt: skip
def test_auto_subscribe_implies_leave(subscribe: Any, auto_subscribe: Any, leave: bool) -> None:
    channels = {"c": {"autoSubscribe": auto_subscribe}, "*": {"subscribe": subscribe}}
    rights = granted(channels).channel("c")
    assert (rights.subscribe, rights.auto_subscribe) == (leave, bool(auto_subscribe))
    assert granted(channels).channel("d").subscribe is bool(subscribe)


def test_auto_channels_keep_the_order_of_the_connect_token() -> None:
    auto: Channels = {key: {"autoSubscribe": True} for key in ("b", "c", "a")}
    auto |= {"off": {"autoSubscribe": False}, "plain": {"subscribe": True}}
    assert granted(auto, {"z": {"autoSubscribe": True}}).auto_channels() == ("b", "c", "a")


def test_real_names_before_aliases() -> None:
    channels = {"a": {"alias": "x"}, "b": {}, "room-*": {"subscribe": True}}
    some = granted(channels)
    assert [some.real_name(name) for name in ("a", "x", "b", "room-1", "?")] == [
        "a", "a", "b", "room-1", "?",
    ]  # fmt: skip
    assert [some.names(name) for name in ("a", "b", "x", "room-1")] == [True, True, False, False]


def test_a_subscribe_tokens_alias_takes_precedence() -> None:
    both = granted({"a": {"alias": "old"}, "b": {"alias": "new"}}, {"a": {"alias": "new"}})
    assert both.channel("a").alias == "new"
    assert both.real_name("new") == "a"
    assert both.real_name("old") == "a"


def test_a_name_in_either_token_is_no_alias() -> None:
    assert granted({"a": {"alias": "b"}}, {"b": {}}).real_name("b") == "b"
    assert granted({"b": {}}, {"a": {"alias": "b"}}).real_name("b") == "b"


def test_entries_of_both_tokens_are_taken_together() -> None:
    connect = {"c": {"subscribe": True, "messages": {"e": {"echo": True, "react": ["a"]}}}}
    subscribe = {"*": {"historyStart": 5, "messages": {"e": {"publish": True, "react": ["b"]}}}}
    both = granted(connect, subscribe)
    assert both.channel("c").subscribe is True
    assert both.channel("c").history_start == 5
    message = both.message("c", "e")
    assert (message.publish, message.echo, both.reactions("c", "e")) == (True, True, {"a", "b"})


@pytest.mark.parametrize("falls", ["connect", "subscribe"])
def test_an_explicit_false_in_either_token_wins(falls: str) -> None:
    says = {"connect": True, "subscribe": True} | {falls: False}
    both = granted(*({"c": {"subscribe": says[scope]} | on_event(publish=says[scope])}
                     for scope in ("connect", "subscribe")))  # fmt: skip
    assert both.channel("c").subscribe is False
    assert both.message("c", "e").publish is False


@pytest.mark.parametrize("key", ["c", "*", "#regex:c"])
def test_at_equal_rank_the_subscribe_token_comes_first(key: str) -> None:
    both = granted({key: {"historyStart": 1} | on_event(store=1)},
                   {key: {"historyStart": 2} | on_event(store=2)})  # fmt: skip
    assert both.channel("c").history_start == 2
    assert both.message("c", "e").store == 2


def test_a_higher_rank_in_the_connect_token_comes_before_it() -> None:
    both = granted({"c": on_event(store=1)}, {"*": on_event(store=2)})
    assert both.message("c", "e").store == 1


def test_the_events_rank_comes_before_the_order_of_the_tokens() -> None:
    both = granted({"c": on_event(store=1)}, {"c": {"messages": {"*": {"store": 2}}}})
    assert both.message("c", "e").store == 1


@pytest.mark.parametrize("said", [True, False])
def test_broadcast_and_auto_subscribe_count_only_in_connect_tokens(said: bool) -> None:
    subscribe = {"c": {"autoSubscribe": said} | on_event(broadcast=said)}
    both = granted({"c": {"autoSubscribe": not said} | on_event(broadcast=not said)}, subscribe)
    assert both.message("c", "e").broadcast is not said
    assert both.channel("c").auto_subscribe is not said
    assert granted({}, subscribe).message("c", "e").broadcast is False
    assert granted({}, subscribe).channel("c").subscribe is False


# --- memory ----------------------------------------


def test_what_is_remembered_is_bounded() -> None:
    """Also where names are long, and however many reactions there are."""
    messages = {"*": {"publish": True, "react": [str(number) for number in range(10_000)]}}
    some = granted({"*": {"subscribe": True, "messages": messages}, "👍*": {"messages": messages}})
    tracemalloc.start()
    for number in range(3000):
        channel, name = f"👍{number}".ljust(256, "x"), f"👍{number}".ljust(128, "x")
        assert some.message(channel, name).publish is True
        assert some.channel(channel).subscribe is True
        assert some.storage(channel, name).get is False
    remembered, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert remembered < 1.5 * MAX_REMEMBERED_BYTES


def test_the_same_claims_share_their_grants() -> None:
    connect, other = claims({"c": {}}), claims({"c": {}})
    subscribe = claims({}, "subscribe")
    assert grants(connect) is grants(connect)
    assert grants(connect) is not grants(other)
    assert grants(connect, subscribe) is grants(connect, subscribe) is not grants(connect)


def test_what_grants_remember_goes_with_the_last_who_uses_them() -> None:
    """Not with their claims, of which a thousand are remembered."""
    connect, subscribe = claims({"c": {}}), claims({}, "subscribe")
    used = grants(connect, subscribe)
    assert grants(connect, subscribe) is used
    gone = ref(used)
    del used
    assert gone() is None


# --- properties ----------------------------------------

MATCHING = ["c", "*", "c*", "*c", "**", "#regex:c", "#regex:^c$", "#regex:.*"]
OTHERS = ["d", "d*", "#regex:^d"]
KEYS = st.sampled_from(MATCHING + OTHERS)
CHANNEL_BOOLEANS = ["subscribe", "getInfo", "omitFromSubCount", "umdUpdate"]
MESSAGE_BOOLEANS = ["publish", "broadcast", "echo", "emitPubSubEvent"]
STORAGE_BOOLEANS = ["get", "set", "observe", "emitPubSubEvent"]
STORES = st.none() | st.sampled_from([-1, 1, 60])
TIMES = st.none() | st.integers(0, 5)


def booleans(names: list[str], values: st.SearchStrategy[Any]) -> dict[str, Any]:
    return dict.fromkeys(names, values)


def tokens(said: st.SearchStrategy[Any]) -> st.SearchStrategy[Channels]:
    """`channels` claims whose booleans come from `said`."""
    lists = st.lists(st.sampled_from("xyz"), max_size=2)
    message = st.fixed_dictionaries({}, optional={
        **booleans(MESSAGE_BOOLEANS, said), "react": said | lists, "store": STORES,
        "scheduleBefore": TIMES,
    })  # fmt: skip
    storage = st.fixed_dictionaries({}, optional={
        **booleans(STORAGE_BOOLEANS, said), "store": STORES, "scheduleBefore": TIMES,
    })  # fmt: skip
    channel = st.fixed_dictionaries({}, optional={
        **booleans(CHANNEL_BOOLEANS, said), "historyStart": TIMES,
        "messages": st.dictionaries(KEYS, message, max_size=3),
        "storage": st.dictionaries(KEYS, storage, max_size=3),
    })  # fmt: skip
    return st.dictionaries(KEYS, channel, max_size=5)


ANY = tokens(st.none() | st.booleans())
WITHOUT_FALSE = tokens(st.none() | st.just(True))
FIELDS = {
    "subscribe": "subscribe", "getInfo": "get_info", "omitFromSubCount": "omit_from_sub_count",
    "umdUpdate": "umd_update", "publish": "publish", "broadcast": "broadcast", "echo": "echo",
    "emitPubSubEvent": "emit_pubsub_event", "get": "get", "set": "set", "observe": "observe",
}  # fmt: skip


def allowed(some: Grants) -> set[str]:
    """All that is allowed on channel c, its event c and its key c."""
    places = {
        "channel": (CHANNEL_BOOLEANS, some.channel("c")),
        "message": (MESSAGE_BOOLEANS, some.message("c", "c")),
        "storage": (STORAGE_BOOLEANS, some.storage("c", "c")),
    }
    rights = {
        f"{place}.{directive}"
        for place, (directives, rights) in places.items()
        for directive in directives
        if getattr(rights, FIELDS[directive])
    }
    reactions = some.reactions("c", "c")
    return rights | {f"react {each}" for each in ("xyz?" if reactions is True else reactions)}


def stated(tokens: list[Channels], place: str, directive: str) -> list[Any]:
    """What every matching entry says: a reading of section 5 that knows no order."""
    channels = [entry for token in tokens for key, entry in token.items() if key in MATCHING]
    if place != "channel":
        nested = "messages" if place == "message" else "storage"
        channels = [
            entry
            for channel in channels
            for key, entry in channel.get(nested, {}).items()
            if key in MATCHING
        ]
    return [entry[directive] for entry in channels if entry.get(directive) is not None]


@given(ANY, ANY)
def test_an_explicit_false_always_wins(connect: Channels, subscribe: Channels) -> None:
    rights = allowed(granted(connect, subscribe))
    both = [connect, subscribe]
    for place, directives in [
        ("channel", CHANNEL_BOOLEANS), ("message", MESSAGE_BOOLEANS), ("storage", STORAGE_BOOLEANS),
    ]:  # fmt: skip
        for directive in directives:
            said = stated([connect] if directive == "broadcast" else both, place, directive)
            right = f"{place}.{directive}"
            if False in said or True not in said:
                assert right not in rights
            elif place != "message" or False not in stated(both, "message", "publish"):
                assert right in rights
    if False in stated(both, "message", "react"):
        assert not any(right.startswith("react") for right in rights)


@given(ANY, KEYS, WITHOUT_FALSE)
def test_an_entry_without_false_takes_nothing_away(
    connect: Channels, key: str, added: Channels
) -> None:
    new = {name: entry for name, entry in added.items() if name not in connect}
    assert allowed(granted(connect)) <= allowed(granted(connect | new))
    assert allowed(granted(connect)) <= allowed(granted(connect, added))


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[Channels, Channels]:
    """A token, and the same one with every object's members in another order."""

    def shuffle(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: shuffle(value[key]) for key in draw(st.permutations(list(value)))}

    token = draw(ANY)
    return token, shuffle(token)


@given(shuffled())
def test_what_is_allowed_does_not_depend_on_order(tokens: tuple[Channels, Channels]) -> None:
    first, second = map(granted, tokens)
    assert allowed(first) == allowed(second)


# One key of each rank, so that the order of the token never decides.
RANKS = ["c", "c*", "*", "#regex:c"]


@given(
    st.permutations(RANKS),
    st.permutations(RANKS),
    st.dictionaries(st.tuples(*[st.sampled_from(RANKS)] * 2), st.sampled_from([-1, 1, 2, 3])),
)
def test_values_do_not_depend_on_order_where_ranks_differ(
    channels: list[str], events: list[str], stores: dict[tuple[str, str], int]
) -> None:
    token = {
        channel: {"messages": {event: {"store": stores.get((channel, event))} for event in events}}
        for channel in channels
    }
    best = min(stores, key=lambda keys: [RANKS.index(key) for key in keys], default=None)
    assert granted(token).message("c", "c").store == (0 if best is None else stores[best])


@given(ANY, ANY)
def test_asking_twice_gives_the_same(connect: Channels, subscribe: Channels) -> None:
    some = granted(connect, subscribe)
    first = (some.channel("c"), some.message("c", "c"), some.storage("c", "c"))
    assert first == (some.channel("c"), some.message("c", "c"), some.storage("c", "c"))
    fresh = granted(connect, subscribe)
    assert first == (fresh.channel("c"), fresh.message("c", "c"), fresh.storage("c", "c"))
