"""Who may look may not touch, and who may touch needs the right to it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from chat.models import Connection, Message, StorageEntry
from tests.admin import stored
from tests.admin.conftest import VIEWED, staff
from tests.admin.reading import Page, list_url, page_url, tick

MODELS = VIEWED
DELETABLE = ("message", "storageentry")


@pytest.fixture
def shown(rows: str) -> dict[str, Any]:
    message, connection = stored.message(), stored.connection()
    return {
        "message": message,
        "channel": message.channel,
        "reaction": stored.reaction(message),
        "connection": connection,
        "subscription": stored.subscription(connection),
        "node": connection.node,
        "member": stored.member(),
        "schedule": stored.schedule(),
        "storageentry": stored.entry(),
        "auditentry": stored.audit_entry(),
        "restriction": stored.restriction(),
    }


@pytest.mark.parametrize("model", MODELS)
def test_who_may_look_sees_no_button(viewer: Client, shown: dict[str, Any], model: str) -> None:
    listed = Page(viewer, list_url(model))
    page = Page(viewer, page_url(model, shown[model].pk))
    for html in (listed.html, page.html):
        assert 'name="action"' not in html
        assert "deletelink" not in html
        assert "addlink" not in html
        assert 'name="_save"' not in html
    assert "action-select" not in listed.html


@pytest.mark.parametrize("model", MODELS)
def test_who_may_look_is_refused_when_trying(
    viewer: Client, shown: dict[str, Any], model: str
) -> None:
    key = shown[model].pk
    for action in ("delete_selected", "close_selected", "cancel_selected", "ban_uid", "lift"):
        assert tick(viewer, list_url(model), action, [key], post="yes").status_code == 403
        forged = {"CHANGE_FORM-action": action, "_selected_action": key, "index": "0"}
        assert viewer.post(page_url(model, key), forged).status_code == 403
    assert viewer.post(page_url(model, key), {"uid": "eve", "_save": "1"}).status_code == 403
    for url in (page_url(model, key, "delete"), list_url(model).replace("?", "add/")):
        assert viewer.get(url).status_code == 403
        assert viewer.post(url, {"post": "yes"}).status_code == 403
    assert type(shown[model]).objects.filter(pk=key).exists()
    assert not Connection.objects.filter(revoked=True).exists()
    assert StorageEntry.objects.live().exists()
    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize("model", MODELS)
def test_nobody_changes_anything_or_adds_but_restrictions(
    root: Client, shown: dict[str, Any], model: str
) -> None:
    key = shown[model].pk
    if model != "restriction":
        assert root.get(list_url(model).replace("?", "add/")).status_code == 403
        assert root.post(list_url(model).replace("?", "add/"), {}).status_code == 403
    assert root.post(page_url(model, key), {"uid": "eve", "_save": "1"}).status_code == 403


@pytest.mark.parametrize("model", [name for name in MODELS if name not in DELETABLE])
def test_nothing_but_messages_and_storage_can_be_deleted(
    root: Client, shown: dict[str, Any], model: str
) -> None:
    key = shown[model].pk
    assert root.post(page_url(model, key, "delete"), {"post": "yes"}).status_code == 403
    tick(root, list_url(model), "delete_selected", [key], post="yes")
    assert type(shown[model]).objects.filter(pk=key).exists()


@pytest.mark.parametrize("model", MODELS)
def test_who_has_no_right_sees_nothing(rows: str, shown: dict[str, Any], model: str) -> None:
    nobody = staff("nobody")
    suffixes = ["export.csv", "export.jsonl"] if model == "message" else []
    for url in (
        list_url(model),
        page_url(model, shown[model].pk),
        page_url(model, shown[model].pk, "history"),
        *(f"/admin/chat/message/{suffix}" for suffix in suffixes),
    ):
        assert nobody.get(url).status_code == 403
    outside = Client().get(list_url(model))
    assert (outside.status_code, "/admin/login/" in outside["Location"]) == (302, True)


def test_each_right_is_a_right_of_its_own(rows: str, shown: dict[str, Any]) -> None:
    """Who may delete messages may close no connection, and the other way round; neither may
    delete what is kept or cancel what is scheduled."""
    views = ("view_message", "view_connection", "view_storageentry", "view_schedule")
    deleter = staff("deleter", *views, "delete_message")
    closer = staff("closer", *views, "delete_connection")
    message, connection = shown["message"].pk, shown["connection"].pk
    refused = tick(deleter, list_url("connection"), "close_selected", [connection])
    assert refused.status_code == 403
    refused = tick(closer, list_url("message"), "delete_selected", [message], post="yes")
    assert refused.status_code == 403
    assert not Connection.objects.get().revoked
    for client in (deleter, closer):
        for model, action in (("storageentry", "delete_selected"), ("schedule", "cancel_selected")):
            key = shown[model].pk
            assert tick(client, list_url(model), action, [key], post="yes").status_code == 403
    tick(closer, list_url("connection"), "close_selected", [connection])
    assert Connection.objects.get().revoked
    tick(deleter, list_url("message"), "delete_selected", [message], post="yes")
    assert not Message.objects.exists()
