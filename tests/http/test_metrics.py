"""`/metrics` gives those who have the key what the server counts (docs/metrics.md)."""

import re

import httpx
import pytest
from django.http import Http404
from django.test import RequestFactory

from chat.http.metrics import metrics as view
from tests.support.configuring import Setter
from tests.support.connecting import Refused, connect, subscribed
from tests.support.metrics import Metrics, families, metrics, text
from tests.support.servers import ROOT, Server

PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
EPHEMERAL = 64  # of so many one is timed
GROWN = {  # by how much at least, where one has been refused and two have talked
    "chat_client_handshakes_total outcome=accepted": 2,
    "chat_client_handshakes_total outcome=401": 1,
    "chat_client_num_reply_errors_total way=websocket code=UNKNOWN_EVENT": 1,
    "chat_transport_messages_received_total kind=stored": 1,
    "chat_transport_messages_received_total kind=ephemeral": EPHEMERAL,
    "chat_transport_messages_received_total kind=hotsock.subscribe": 2,
    "chat_transport_messages_sent_total kind=publication": 2 + EPHEMERAL,
    "chat_transport_messages_sent_total kind=reply": 2 + 2 + 1,
    "chat_publish_seconds_count kind=stored": 1,
    "chat_publish_seconds_count kind=ephemeral": 1,
    "chat_fanout_subscribers_count": 1 + EPHEMERAL,
    "chat_writer_batch_operations_sum": 2 + 2 + 1,
    "chat_writer_commit_seconds_count": 1,
}
OPEN = {"chat_node_num_clients": 2, "chat_node_num_subscriptions": 2, "chat_node_num_channels": 1}


def value(found: Metrics, series: str) -> float:
    name, *labels = series.split(" ")
    return found(name, **dict(label.split("=") for label in labels))


async def test_what_happens_is_counted(any_server: Server, channel: str) -> None:
    before = metrics(any_server)
    with pytest.raises(Refused):
        async with connect(any_server, jwt="none"):
            pass
    async with (
        subscribed(any_server, channel) as one,
        subscribed(any_server, channel) as other,
    ):
        await one.publish(channel, "stored")
        await one.until("stored")
        for number in range(EPHEMERAL):
            await one.publish(channel, number, "typing")
        await other.until(EPHEMERAL - 1)
        await one.send({"event": "hotsock.nothing"})
        await one.error("UNKNOWN_EVENT", "hotsock.nothing", None)
        after = metrics(any_server)
    less = {
        series: grown
        for series, least in GROWN.items()
        if (grown := value(after, series) - value(before, series)) < least
    }
    assert less == {}
    assert {name: after(name) for name in OPEN if after(name) < OPEN[name]} == {}
    left = "chat_client_num_client_disconnects_total"
    while metrics(any_server)(left) < before(left) + 2:
        pass


def test_the_page_has_each_metric_and_no_other(server: Server) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert dict(rows) == families(text(server))
    assert len(rows) == len(dict(rows))


def test_it_is_for_those_who_have_the_key(server: Server) -> None:
    for key in ("none", server.env["API_SECRET_KEY_1"], server.env["METRICS_KEY"] + "x"):
        answer = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "INVALID_API_KEY"


async def test_without_a_key_there_is_no_page(set_chat: Setter) -> None:
    set_chat(METRICS_KEY="")
    with pytest.raises(Http404):
        await view(RequestFactory().get("/metrics", headers={"Authorization": "Bearer "}))
