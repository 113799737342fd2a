"""`chat.rows`: what becomes of a model's rows, published (docs/django-models.md)."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, models, transaction
from django.db.models import F
from django.db.models.signals import pre_save
from django.test.utils import CaptureQueriesContext, override_settings

from chat import api
from chat.models import Message, OutboxEntry
from chat.rows import PUBLISHES, publish_rows, publishes
from chat.testing import Publications, recording

# Django follows relations of the models of installed apps alone; this app has none of its own.
APP = "staticfiles"


class Shop(models.Model):
    class Meta:
        app_label = APP


@publishes(channel=lambda order: order.where.split(), fields=["status", "total", "shop", "label"])
class Order(models.Model):
    where = models.CharField(max_length=100, default="orders")
    status = models.CharField(max_length=20, default="new")
    total = models.IntegerField(default=0)
    note = models.TextField(default="")
    shop = models.ForeignKey(Shop, models.CASCADE, null=True)

    class Meta:
        app_label = APP

    @property
    def label(self) -> str:
        return f"{self.status}: {self.total}"


class Express(Order):
    class Meta:
        app_label = APP
        proxy = True


class Subscription(Order):
    months = models.IntegerField(default=12)

    class Meta:
        app_label = APP


@publishes(channel="papers", name="paper", template="_paper.html")
class Paper(models.Model):
    text = models.TextField(default="")

    class Meta:
        app_label = APP
        abstract = True


class Letter(Paper):
    class Meta(Paper.Meta):
        app_label = APP
        abstract = False


@publishes(channel=lambda gift: "gifts", fields=["status"])
class Gift(Order):
    class Meta:
        app_label = APP


class Note(models.Model):
    text = models.TextField(default="")
    seen = models.BooleanField(default=False)
    author = models.ForeignKey(Shop, models.CASCADE, null=True)

    class Meta:
        app_label = APP


class Draft(Note):
    class Meta:
        app_label = APP
        proxy = True


publishes(channel="notes", fields=["text", "author"])(Note)  # as for a model of somebody else's

MODELS = [Shop, Order, Subscription, Gift, Letter, Note]
NEW = {"status": "new", "total": 0, "shop": None, "label": "new: 0"}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"_paper.html": "<li id='paper-{{ paper.pk }}'>{{ object.text }}</li>"},
                )
            ]
        },
    }
]


@pytest.fixture
def tables(database: str) -> Iterator[None]:
    with connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    yield
    with connection.schema_editor() as editor:
        for model in reversed(MODELS):
            editor.delete_model(model)


@pytest.fixture
def published(tables: None) -> Iterator[Publications]:
    with recording() as publications:
        yield publications


def told(published: Publications) -> list[tuple[str, str, Any]]:
    """Channel, event and data of what was published since the last time."""
    found = [(each.channel, each.event, each.data) for each in published]
    published.clear()
    return found


# --- what is published --------------------------------------------------------------------------


def test_a_row_that_comes_changes_and_goes(published: Publications) -> None:
    order = Order.objects.create()
    [entry] = published
    assert entry.store == 3600
    assert told(published) == [("orders", "order.created", {"id": order.pk, **NEW})]
    order.status = "paid"
    order.save()
    paid = {"status": "paid", "label": "paid: 0"}
    assert told(published) == [("orders", "order.changed", {"id": order.pk, **NEW, **paid})]
    id = order.pk
    order.delete()
    assert told(published) == [("orders", "order.deleted", {"id": id})]


def test_the_row_is_told_as_it_is_stored(published: Publications) -> None:
    order = Order.objects.create(total="7")
    Order.objects.filter(pk=order.pk).update(status="paid")
    order.total = F("total") + 1
    order.save(update_fields=["total"])
    data = [what[2] for what in told(published)]
    assert [(row["status"], row["total"]) for row in data] == [("new", 7), ("paid", 8)]


@pytest.mark.parametrize(
    ("saved", "is_told"), [("seen", False), ("text", True), ("author_id", True)]
)
def test_only_what_concerns_the_fields_is_told(
    published: Publications, saved: str, is_told: bool
) -> None:
    note = Note.objects.create()
    published.clear()
    note.save(update_fields=[saved])
    assert bool(told(published)) is is_told


def test_a_property_may_change_with_any_field(published: Publications) -> None:
    order = Order.objects.create()
    published.clear()
    order.save(update_fields=["note"])
    assert len(told(published)) == 1


def test_a_row_may_have_several_channels_and_move(published: Publications) -> None:
    order = Order.objects.create(where="a b b")
    assert [what[:2] for what in told(published)] == [
        ("a", "order.created"),
        ("b", "order.created"),
    ]
    order.where = "b c"
    order.save()
    assert [what[:2] for what in told(published)] == [
        ("b", "order.changed"),
        ("c", "order.created"),
        ("a", "order.deleted"),
    ]
    order.where = ""
    order.save()
    assert {what[:2] for what in told(published)} == {
        ("b", "order.deleted"),
        ("c", "order.deleted"),
    }


def test_a_template_is_rendered_with_the_row(published: Publications) -> None:
    with override_settings(TEMPLATES=TEMPLATES):
        letter = Letter.objects.create(text="<b>")
    html = f"<li id='paper-{letter.pk}'>&lt;b&gt;</li>"
    assert told(published) == [("papers", "paper.created", {"id": letter.pk, "html": html})]


# --- which rows ---------------------------------------------------------------------------------


def test_cascades_and_querysets_tell_of_each_deletion(published: Publications) -> None:
    shop = Shop.objects.create()
    ids = {Order.objects.create(shop=shop).pk, Order.objects.create(shop=shop).pk}
    other = Order.objects.create()
    published.clear()
    shop.delete()
    deleted = told(published)
    assert {(event, data["id"]) for _, event, data in deleted} == {
        ("order.deleted", id) for id in ids
    }
    Order.objects.all().delete()
    assert told(published) == [("orders", "order.deleted", {"id": other.pk})]


@pytest.mark.parametrize("model", [Express, Subscription])
def test_proxies_and_children_are_told_once_as_the_model(
    published: Publications, model: type[Order]
) -> None:
    order = model.objects.create()
    id = order.pk
    order.save()
    order.delete()
    assert [(event, data["id"]) for _, event, data in told(published)] == [
        ("order.created", id),
        ("order.changed", id),
        ("order.deleted", id),
    ]


def test_a_child_may_be_published_in_its_own_way(published: Publications) -> None:
    gift = Gift.objects.create()
    with CaptureQueriesContext(connection) as queries:
        gift.save()
    reads = [query for query in queries if re.match('SELECT .*"status"', query["sql"])]
    assert len(reads) == 2  # where it was, and what it is
    gift.delete()
    assert [what[:2] for what in told(published)] == [
        ("gifts", "gift.created"),
        ("gifts", "gift.changed"),
        ("gifts", "gift.deleted"),
        ("orders", "order.deleted"),
    ]


def test_proxies_that_were_there_before_are_told(published: Publications) -> None:
    Draft.objects.create().delete()
    assert [what[1] for what in told(published)] == ["note.created", "note.deleted"]


def test_the_asynchronous_face(published: Publications) -> None:
    async def act() -> None:
        note = await Note.objects.acreate()
        await note.asave()

    async_to_sync(act)()
    assert [what[1] for what in told(published)] == ["note.created", "note.changed"]


def test_fixtures_tell_nothing(published: Publications) -> None:
    text = serializers.serialize("json", [Order(pk=7)])
    for each in serializers.deserialize("json", text):
        each.save()
    assert Order.objects.get().pk == 7
    assert told(published) == []


def test_what_sends_no_signals_is_told_on_request(published: Publications) -> None:
    publish_rows(Order.objects.bulk_create([Order(), Order()]), "created")
    assert [what[1] for what in told(published)] == ["order.created"] * 2
    Order.objects.update(status="shipped")
    assert told(published) == []
    publish_rows(Order.objects.all())
    assert [(what[1], what[2]["status"]) for what in told(published)] == [
        ("order.changed", "shipped")
    ] * 2
    with pytest.raises(TypeError, match=r"Shop.*publishes"):
        publish_rows([Shop()])


def test_a_field_that_is_not_there_is_found_at_once() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Shop has no field 'nme'"):
        publishes(channel="shops", fields=["nme"])(Shop)


# --- with the row's transaction -----------------------------------------------------------------


def test_what_is_rolled_back_is_not_told(published: Publications) -> None:
    with suppress(LookupError), transaction.atomic():
        Order.objects.create()
        raise LookupError
    assert told(published) == []


def change(order: Order) -> None:
    order.where = "a*"
    order.save()


def delete(order: Order) -> None:
    order.where = "a*"
    order.delete()


@pytest.mark.parametrize("act", [change, delete])
def test_what_cannot_be_published_is_not_done(
    published: Publications, act: Callable[[Order], None]
) -> None:
    order = Order.objects.create()
    with pytest.raises(
        api.ProtocolError, match=rf"Order {order.pk} cannot be published: .*channel"
    ):
        act(order)
    assert Order.objects.get().where == "orders"


def test_sqlite_refuses_what_is_not_stored_and_does_not_save(
    tables: None, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Note, PUBLISHES, publishes(channel="notes", store=0))
    if database == "sqlite":
        with pytest.raises(api.ProtocolError, match="Note 1 cannot be published: On SQLite"):
            Note.objects.create()
    else:
        Note.objects.create()
    assert Note.objects.count() == (database != "sqlite")


def test_it_is_stored_in_the_rows_transaction(tables: None, channel: str) -> None:
    with transaction.atomic():
        order = Order.objects.create(where=channel)
        order.save()
        rows = Message.objects.of(channel).count(), OutboxEntry.objects.filter(channel=channel)
        assert rows[0] or rows[1].count() == 2
        transaction.set_rollback(True)
    assert not Message.objects.of(channel).exists()
    assert not OutboxEntry.objects.filter(channel=channel).exists()


@pytest.fixture
def elsewhere(sqlite: None, tmp_path: Path) -> Iterator[Path]:
    """Rows in a database of their own, with Django's own options but for WAL."""
    file = tmp_path / "rows.sqlite3"
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA journal_mode=WAL")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        options = {**connections.settings["default"], "NAME": str(file), "OPTIONS": {}}
        patch.setitem(connections.settings, "rows", options)
        stack.callback(connections["rows"].close)
        with connections["rows"].schema_editor() as editor:
            editor.create_model(Shop)
            editor.create_model(Order)
        yield file


def test_what_another_database_has_is_told_after_its_commit(elsewhere: Path) -> None:
    with recording() as published:
        with suppress(LookupError), transaction.atomic(using="rows"):
            Order.objects.using("rows").create()
            raise LookupError
        with transaction.atomic(using="rows"):
            Order.objects.using("rows").create()
            assert told(published) == []
        assert [what[1] for what in told(published)] == ["order.created"]
        with pytest.raises(api.ProtocolError):
            Order.objects.using("rows").create(where="a*")
        assert Order.objects.using("rows").count() == 1


def test_a_save_reads_before_its_transaction(elsewhere: Path) -> None:
    """SQLite lets no transaction write that has read what another has changed since."""

    def write(**kwargs: object) -> None:
        with closing(sqlite3.connect(elsewhere, isolation_level=None)) as other:
            other.execute(f"INSERT INTO {Shop._meta.db_table} DEFAULT VALUES")

    with recording():
        order = Order.objects.using("rows").create()
        pre_save.connect(write, sender=Order)
        try:
            order.save()
        finally:
            pre_save.disconnect(write, sender=Order)
