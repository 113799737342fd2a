"""A channel under another name (protocol.md sections 5 and 17)."""

from tests.support.client import PLACE
from tests.support.connecting import connect, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server, token

DENIED = "PUBLISH_PERMISSION_DENIED"


async def test_an_alias_may_be_used_wherever_a_channel_may(
    any_server: Server, channel: str
) -> None:
    alias = f"{channel}-alias"
    messages = {"chat": STORED, "hotsock.messageReaction": {"echo": True}}
    channels = room(channel, messages, alias=alias, historyStart=0)
    async with connect(any_server, uid="jim", channels=channels) as client:
        meta = {"uid": "jim", "umd": None, "channelAlias": alias}
        about = {"channel": channel, "data": {}, "meta": meta}
        joined = {"event": "hotsock.subscribed", **about, "data": PLACE}
        assert await client.subscribe(alias) == joined
        await client.publish(alias, "hi")
        said = await client.receive("chat")
        assert (said["channel"], said["meta"]) == (channel, {"uid": "jim", "umd": None})
        await client.react(alias, said["id"])
        assert (await client.receive("hotsock.messageReactionAdded"))["channel"] == channel
        [message] = await client.history(alias)
        assert message["channel"] == channel
        reactions = {"channel": alias, "messageId": said["id"]}
        assert len((await client.call("listReactions", reactions)).json["reactions"]) == 1
        answered = await client.call("publishMessage", {"channel": alias, "event": "chat"})
        assert answered.json == {"channel": channel, "event": "chat"}
        await client.receive("chat")
        assert await client.unsubscribe(alias) == {"event": "hotsock.unsubscribed", **about}


async def test_the_real_name_works_beside_the_alias(any_server: Server, channel: str) -> None:
    channels = room(channel, alias=f"{channel}-alias")
    async with connect(any_server, channels=channels) as client:
        frame = await client.subscribe(channel)
        assert frame["meta"]["channelAlias"] == f"{channel}-alias"
        await client.publish(f"{channel}-alias")
        assert (await client.receive("chat"))["channel"] == channel
        await client.publish(channel)
        assert (await client.receive("chat"))["channel"] == channel


async def test_errors_carry_the_name_that_was_sent(any_server: Server, channel: str) -> None:
    alias = f"{channel}-alias"
    async with connect(any_server, channels=room(channel, alias=alias)) as client:
        await client.publish(alias)
        await client.error("NOT_SUBSCRIBED", "chat", alias)
        await client.publish(alias, event="unknown")
        await client.error(DENIED, "unknown", alias)
        await client.send({"event": "hotsock.unsubscribe", "channel": alias})
        await client.error("NOT_SUBSCRIBED", "hotsock.unsubscribe", alias)
        await client.subscribe(alias)
        await client.send({"event": "hotsock.subscribe", "channel": alias})
        await client.error("ALREADY_SUBSCRIBED", "hotsock.subscribe", channel)
    async with connect(any_server, channels={channel: {"alias": alias}}) as client:
        await client.send({"event": "hotsock.subscribe", "channel": alias})
        await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", alias)


async def test_a_channel_named_in_the_token_comes_before_an_alias(
    any_server: Server, channel: str
) -> None:
    """A subscribe token makes an alias of what the connect token has as a channel: the alias
    does not hide the channel."""
    other = f"{channel}-other"
    jwt = token(any_server, scope="subscribe", uid="jim", channels=room(other, alias=channel))
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        assert (await client.subscribe(other, jwt))["channel"] == other
        assert (await client.subscribe(channel))["channel"] == channel
        await client.publish(channel)
        assert (await client.receive("chat"))["channel"] == channel


async def test_a_subscribe_tokens_alias_does_not_take_a_channels_name(
    any_server: Server, channel: str
) -> None:
    """Also where that very token comes with the name."""
    other = f"{channel}-other"
    jwt = token(any_server, scope="subscribe", uid="jim", channels=room(other, alias=channel))
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        assert (await client.subscribe(channel, jwt))["channel"] == channel


async def test_a_subscribe_tokens_alias_works_while_its_subscription_lasts(
    any_server: Server, channel: str
) -> None:
    alias = f"{channel}-alias"
    jwt = token(any_server, scope="subscribe", uid="jim", channels=room(channel, alias=alias))
    async with connect(any_server, uid="jim") as client:
        frame = await client.subscribe(alias, jwt)
        assert (frame["channel"], frame["meta"]["channelAlias"]) == (channel, alias)
        await client.publish(alias)
        assert (await client.receive("chat"))["channel"] == channel
        assert (await client.history(alias))[0]["channel"] == channel
        await client.unsubscribe(alias)
        await client.publish(alias)
        await client.error(DENIED, "chat", alias)
        refused = await client.call("listMessages", {"channel": alias})
        assert refused.refusal == (403, "NOT_SUBSCRIBED")


async def test_a_subscribe_tokens_alias_goes_before_the_connect_tokens(
    any_server: Server, channel: str
) -> None:
    jwt = token(any_server, scope="subscribe", uid="jim", channels={channel: {"alias": "theirs"}})
    async with connect(any_server, uid="jim", channels=room(channel, alias="ours")) as client:
        assert (await client.subscribe(channel, jwt))["meta"]["channelAlias"] == "theirs"
        await client.publish("theirs")
        assert (await client.receive("chat"))["channel"] == channel


async def test_an_alias_needs_no_subscription_to_broadcast(
    any_server: Server, channel: str
) -> None:
    """Also where a pattern would give leave to a channel of the alias's name."""
    alias = f"{channel}-alias"
    channels = {
        channel: {"alias": alias, "messages": {"news": {"broadcast": True}}},
        f"{channel}*": {"subscribe": True},
    }
    async with (
        subscribed(any_server, channel) as listener,
        connect(any_server, channels=channels) as client,
    ):
        await client.publish(alias, "hi", "news")
        assert (await listener.receive("news"))["channel"] == channel
        assert (await client.subscribe(alias))["channel"] == channel
