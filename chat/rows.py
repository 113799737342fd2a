"""Rows of a project's models that publish what becomes of them (docs/django-models.md).

from chat.rows import publishes

@publishes(channel=lambda order: f"shop-{order.shop_id}", fields=["status", "total"])
class Order(models.Model): ...
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Final, Literal

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import router, transaction
from django.db.models import Model
from django.db.models.signals import class_prepared, post_delete, post_save
from django.template.loader import render_to_string

from chat import api
from chat.conf import settings

STORE_SECONDS: Final = 3600
PUBLISHES: Final = "_chat_rows"  # of a model: how it publishes
CHANNELS: Final = "_chat_channels"  # of an instance that is being saved: where its row was

Change = Literal["created", "changed", "deleted"]
Channels = str | Iterable[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class publishes:
    """Publishes `order.created`, `order.changed` and `order.deleted` for the rows of the model
    Order, its proxies and its children. A save or deletion that cannot be published raises
    ProtocolError and, where the row is in the chat's database, is rolled back."""

    channel: Channels | Callable[[Any], Channels]
    """A channel, several, none, or what gives them for a row."""
    fields: Sequence[str] = ()
    """Fields and properties for the data, beside `id`. With `update_fields` that name none of
    them, nothing is published."""
    template: str = ""
    """Rendered with the row as `object` and by its model's name; in the data as `html`."""
    name: str = ""
    """What stands for `order`, in the events and in the template."""
    store: int = STORE_SECONDS
    """As `chat.api.publish` has it."""

    def __call__[M: type[Model]](self, model: M) -> M:
        """Raises ImproperlyConfigured where the model has no such field."""
        for field in self.fields:
            if not hasattr(model, field):
                raise ImproperlyConfigured(f"{model.__name__} has no field {field!r} to publish.")
        if not hasattr(model, PUBLISHES):  # else its parent's does it
            model.save = _in_transaction(model.save)  # type: ignore[method-assign]
        setattr(model, PUBLISHES, self)
        _watch(model)
        return model

    def publish(self, row: Model, change: Change, channels: Sequence[str], using: str) -> None:
        if not channels:
            return
        name = self.name or str(_root(type(row))._meta.model_name)
        data: dict[str, object] = {"id": row.pk}
        if change != "deleted":
            data |= {field: row.serializable_value(field) for field in self.fields}
            if self.template:
                data["html"] = render_to_string(self.template, {"object": row, name: row})
        try:
            text = api._json(data)
            for channel in channels:
                what = api._publication(channel, f"{name}.{change}", text, store=self.store)
                if using == settings.DATABASE:
                    api._publish(what)
                else:
                    transaction.on_commit(partial(api._publish, what), using=using)
        except api.ProtocolError as refusal:
            said = f"{row._meta.label} {row.pk} cannot be published: {refusal.message}"
            raise api.ProtocolError(refusal.code, said) from refusal

    def channels_of(self, row: Model) -> list[str]:
        found = self.channel(row) if callable(self.channel) else self.channel
        return [found] if isinstance(found, str) else list(dict.fromkeys(found or ()))

    def is_touched(self, model: type[Model], update_fields: frozenset[str] | None) -> bool:
        touched = {"", *(_field(model, name) for name in update_fields or ())}
        own = {_field(model, name) for name in self.fields}
        return update_fields is None or not own or not own.isdisjoint(touched)


def publish_rows(rows: Iterable[Model], change: Change = "changed") -> None:
    """Publishes rows, as they are given, for which Django sends no signals: after `bulk_create`,
    `bulk_update`, `QuerySet.update` or SQL. Raises ProtocolError as a save does."""
    for row in rows:
        how: publishes | None = getattr(type(row), PUBLISHES, None)
        if how is None:
            raise TypeError(f"Rows of {row._meta.label} are not published: it has no `publishes`.")
        how.publish(row, change, how.channels_of(row), row._state.db or settings.DATABASE)


def _in_transaction(save: Callable[..., None]) -> Callable[..., None]:
    """Of saving and publishing, where it is the same database."""

    @wraps(save)
    def saving(self: Model, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        # Before the transaction: where one has read, SQLite may refuse to let it write.
        vars(self)[CHANNELS] = _stored_channels(self, using)
        with transaction.atomic(using=using, savepoint=False):
            save(self, *args, **kwargs)

    return saving


def _stored_channels(row: Model, using: str) -> list[str] | None:
    """None where they are not known, or the same for all rows."""
    how: publishes = getattr(type(row), PUBLISHES)
    if row._state.adding or row.pk is None or not callable(how.channel):
        return None
    stored = type(row)._base_manager.using(using).filter(pk=row.pk).first()
    return how.channels_of(stored) if stored else None


def _saved(
    sender: type[Model],
    instance: Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    """Publishes the row as it is stored: the instance may have expressions, or older values."""
    how: publishes = getattr(sender, PUBLISHES)
    row = None if raw else sender._base_manager.using(using).filter(pk=instance.pk).first()
    if row is None or not how.is_touched(sender, update_fields):
        return
    now, known = how.channels_of(row), vars(instance).pop(CHANNELS, None)
    before = [] if created else now if known is None else known
    how.publish(row, "changed", [name for name in now if name in before], using)
    how.publish(row, "created", [name for name in now if name not in before], using)
    how.publish(row, "deleted", [name for name in before if name not in now], using)


def _deleted(sender: type[Model], instance: Model, using: str, **kwargs: object) -> None:
    how: publishes = getattr(sender, PUBLISHES)
    how.publish(instance, "deleted", how.channels_of(instance), using)


def _root(model: type[Model]) -> type[Model]:
    """The topmost model that has the same rows and publishes them the same way."""
    concrete, how = model._meta.concrete_model or model, getattr(model, PUBLISHES)
    parents = concrete._meta.get_parent_list()
    return [concrete, *(each for each in parents if getattr(each, PUBLISHES, None) is how)][-1]


def _watch(sender: type[Model], **kwargs: object) -> None:
    if not hasattr(sender, PUBLISHES):
        return
    if not sender._meta.abstract:
        post_save.connect(_saved, sender=sender)
        if _root(sender) is sender._meta.concrete_model:  # else its parent's row goes with it
            post_delete.connect(_deleted, sender=sender)
    for child in sender.__subclasses__():
        _watch(child)


def _field(model: type[Model], name: str) -> str:
    """Its own name, also by that of its column; "" for a property, which any save may change."""
    try:
        return model._meta.get_field(name).name
    except FieldDoesNotExist:
        return ""


class_prepared.connect(_watch)
