"""Stored messages and the reactions to them."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from .channels import Channel, ChannelRows
from .fields import CodePointField


class MessageQuerySet(ChannelRows["Message"]):
    def after(self, id: str) -> Self:
        """The messages with a greater id: they come later in their channel."""
        return self.filter(id__gt=id)

    def live(self, now: datetime | None = None) -> Self:
        """The messages that have not expired, and are not hidden."""
        return self.unexpired(now).filter(hidden_at=None)

    def unexpired(self, now: datetime | None = None) -> Self:
        """The messages that have not expired, also hidden ones."""
        return super().live(now)


class Message(models.Model):
    """A stored message. Its id is a ULID; ids strictly increase within a channel."""

    id = CodePointField(max_length=26, primary_key=True)
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    number = models.BigIntegerField()
    event = CodePointField(max_length=128)
    data = models.TextField(help_text="The raw JSON that the client sent.")
    uid = CodePointField(max_length=128, null=True)
    umd = models.TextField(default="null", help_text="Raw JSON.")
    by_server = models.BooleanField(
        default=False, help_text="Published by the server's API: has no meta."
    )
    expires_at = models.DateTimeField(null=True, help_text="Empty: kept for ever.")
    hidden_at = models.DateTimeField(null=True, help_text="Since then only moderators see it.")

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(fields=("channel", "id"), name="chat_message_history"),
            models.Index(fields=("event", "id"), name="chat_message_event"),
            models.Index(
                fields=("uid", "id"), name="chat_message_uid", condition=Q(uid__isnull=False)
            ),
            models.Index(
                fields=("expires_at",),
                name="chat_message_expiry",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=("hidden_at", "id"),
                name="chat_message_hidden",
                condition=Q(hidden_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.id


class Deletion(models.Model):
    """The mark of a deleted or hidden message, by which gap repair finds the change. It stays as
    long as the message would have, seven days at most; `purge_expired` deletes it later.

    Without a constraint, which would lock the channel's row for each mark.
    """

    message_id = CodePointField(max_length=26, primary_key=True)
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    number = models.BigIntegerField(help_text="The channel's number at the deletion.")
    expires_at = models.DateTimeField(db_index=True)
    outlived = models.BooleanField(help_text="Its message would have stayed longer.")

    class Meta:
        ordering = ("number",)
        indexes = (models.Index(fields=("channel", "number"), name="chat_deletion_repair"),)

    def __str__(self) -> str:
        return self.message_id


class ReactionQuerySet(models.QuerySet["Reaction"]):
    def standing(self) -> Self:
        """The reactions that were not removed."""
        return self.filter(removed=False)


class Reaction(models.Model):
    """One person's reaction to one message.

    A reaction that is taken back is only marked as removed until its message is deleted, so that
    gap repair finds the change by its number (design.md section 4).
    """

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="reactions", db_index=False
    )
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+", db_index=False)
    number = models.BigIntegerField()
    uid = CodePointField(max_length=128)
    umd = models.TextField(default="null", help_text="Raw JSON.")
    reaction = CodePointField(max_length=100)
    removed = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    objects = ReactionQuerySet.as_manager()

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(
                fields=("message", "uid", "reaction"), name="chat_reaction_once"
            ),
        )
        indexes = (models.Index(fields=("channel", "number"), name="chat_reaction_repair"),)

    def __str__(self) -> str:
        return f"{self.reaction} by {self.uid}"
