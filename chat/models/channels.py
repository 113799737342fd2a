"""Channels, and what belongs to a channel besides messages and subscriptions."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from chat.protocol import events

from .fields import CodePointField


class Channel(models.Model):
    """A channel that holds or held something durable. Whoever changes it locks this row first.

    `number` counts the durable changes (design.md section 4, "One sequence per channel"): from the
    last number that it saw, a subscriber can tell whether it missed something.
    """

    name = CodePointField(max_length=256, unique=True)
    number = models.BigIntegerField(default=0)
    last_message_id = CodePointField(max_length=26, blank=True, default="")
    forgotten = models.BigIntegerField(
        default=0,
        db_default=0,
        help_text="Up to this number, what is gone may have left no mark any more.",
    )
    changed_at = models.DateTimeField()
    epoch = CodePointField(
        max_length=16,
        blank=True,
        db_default="",
        help_text="Random: another one where its numbers began anew.",
    )

    def __str__(self) -> str:
        return self.name


class ChannelRows[Row: models.Model](models.QuerySet[Row]):
    """Rows that belong to a channel and may expire."""

    def of(self, channel: str) -> Self:
        """The rows of the channel with this name.

        By a subquery: with a join, PostgreSQL does not see that the index already has the rows in
        order, and reads and sorts the whole channel for one page.
        """
        return self.filter(channel=Channel.objects.filter(name=channel).values("id")[:1])

    def live(self, now: datetime | None = None) -> Self:
        """The rows that have not expired, purged or not. `now` defaults to the database's time."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now or Now()))


class Member(models.Model):
    """A member of a presence channel: one row for each uid, however many subscriptions it has.

    A member who leaves is only marked as removed, so that gap repair finds the change by its
    number. `purge_expired` deletes the row later.
    """

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    uid = CodePointField(max_length=128)
    umd = models.TextField(default="null", help_text="Raw JSON, of its latest subscription.")
    joined = models.BigIntegerField(help_text="The channel's number when it came.")
    number = models.BigIntegerField(help_text="The channel's number at its last change.")
    removed = models.BooleanField(default=False)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("channel", "uid"), name="chat_member_once"),)

    def __str__(self) -> str:
        return f"{self.uid} in {self.channel_id}"


class StorageEntryQuerySet(ChannelRows["StorageEntry"]):
    def live(self, now: datetime | None = None) -> Self:
        """The entries that have a value and have not expired."""
        return super().live(now).exclude(data="")


class StorageEntry(models.Model):
    """The value that a channel stores under a key. Clearing an entry only empties it, so that gap
    repair finds the change by its number."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="storage", db_index=False
    )
    key = CodePointField(max_length=128)
    number = models.BigIntegerField(help_text="The channel's number at its last change.")
    data = models.TextField(blank=True, help_text="Raw JSON; empty: cleared.")
    uid = CodePointField(max_length=128, null=True)
    umd = models.TextField(default="null", help_text="Raw JSON.")
    by_server = models.BooleanField(default=False, help_text="Its meta is null.")
    expires_at = models.DateTimeField(null=True, help_text="Empty: kept for ever.")
    reports_expiry = models.BooleanField(
        default=False, help_text="Its expiry is a backend event, not yet written."
    )

    objects = StorageEntryQuerySet.as_manager()

    class Meta:
        ordering = ("key",)
        verbose_name = "storage entry"
        verbose_name_plural = "storage entries"
        constraints = (
            models.UniqueConstraint(fields=("channel", "key"), name="chat_storage_once"),
        )
        indexes = (
            models.Index(fields=("channel", "number"), name="chat_storage_repair"),
            models.Index(
                fields=("expires_at",),
                name="chat_storage_expiry",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=("expires_at",),
                name="chat_storage_reports",
                condition=Q(reports_expiry=True),
            ),
            models.Index(fields=("uid",), name="chat_storage_uid", condition=Q(uid__isnull=False)),
        )

    def __str__(self) -> str:
        return self.key

    @property
    def shown(self) -> tuple[bytes | None, bytes | None]:
        """The value and the meta, as events show them."""
        if not self.data:
            return None, None
        return self.data.encode(), None if self.by_server else events.meta(self.uid, self.umd)


class Schedule(models.Model):
    """A message or a storage write that is due later. The row is deleted once it is done; parked,
    it stays until somebody tries it again or cancels it."""

    id = CodePointField(max_length=26, primary_key=True)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="schedules")
    uid = CodePointField(
        max_length=128, null=True, help_text="The client's who asked for it; empty: the server did."
    )
    due_at = models.DateTimeField(db_index=True)
    work = models.TextField(help_text="What is to be done, as JSON.")
    created_at = models.DateTimeField()
    parked_at = models.DateTimeField(null=True, help_text="It could not be done, and waits.")
    problem = models.TextField(blank=True, db_default="", help_text="Why it could not be done.")

    class Meta:
        ordering = ("due_at", "id")
        indexes = (
            models.Index(
                fields=("due_at",),
                name="chat_schedule_waiting",
                condition=Q(parked_at__isnull=True),
            ),
            models.Index(fields=("uid",), name="chat_schedule_uid", condition=Q(uid__isnull=False)),
        )

    def __str__(self) -> str:
        return self.id


class Deduplication(models.Model):
    """The answer to the first publication with a deduplicationId. A repeat gets the same answer
    (protocol.md section 15)."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="deduplications", db_index=False
    )
    key = CodePointField(max_length=128)
    answer = models.TextField(help_text="JSON: the id or the schedule that the first one got.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("channel", "key"), name="chat_deduplication_once"),
        )

    def __str__(self) -> str:
        return self.key


class Acknowledgement(models.Model):
    """What was done for a client's `ack`. A repeat does nothing, and is acknowledged with the same
    (protocol.md section 19)."""

    # No constraint: who writes a row has locked the channel's, and the check would cost each.
    channel = models.ForeignKey(
        Channel,
        on_delete=models.CASCADE,
        related_name="acknowledgements",
        db_index=False,
        db_constraint=False,
    )
    sender = CodePointField(max_length=160, help_text="A uid or, without one, a connection.")
    ack = CodePointField(max_length=64)
    digest = models.CharField(max_length=32, help_text="Of what was sent.")
    result = CodePointField(
        max_length=26, blank=True, help_text="The message's or the schedule's id; empty: neither."
    )
    position = models.BigIntegerField(null=True, help_text="The number of the change; empty: none.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("channel", "sender", "ack"), name="chat_acknowledgement_once"
            ),
        )
        indexes = (models.Index(fields=("sender",), name="chat_acknowledgement_sender"),)

    def __str__(self) -> str:
        return self.ack
