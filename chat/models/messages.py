from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .channels import Channel
from .fields import CodePointField


class MessageQuerySet(models.QuerySet["Message"]):
    def live(self, now: datetime | None = None) -> Self:
        """Those that have not expired, whether purged yet or not; None: by the database's clock."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now or Now()))

    def of(self, channel: str) -> Self:
        """Those of the channel of this name.

        By a subquery: in a join, PostgreSQL no longer sees that the index is in the order asked
        for, and reads and sorts the whole channel for a page.
        """
        return self.filter(channel=Channel.objects.filter(name=channel).values("id")[:1])

    def after(self, id: str) -> Self:
        """Those whose id is greater: later in their channel."""
        return self.filter(id__gt=id)

    def before(self, id: str) -> Self:
        return self.filter(id__lt=id)


class Message(models.Model):
    """A stored message. Its id is a ULID and strictly increases within its channel."""

    id = CodePointField(max_length=26, primary_key=True)
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    number = models.BigIntegerField()
    event = CodePointField(max_length=128)
    data = models.TextField(help_text="The raw JSON that the client sent.")
    uid = CodePointField(max_length=128, null=True)  # type: ignore[misc]
    umd = models.TextField(default="null", help_text="Raw JSON.")
    by_server = models.BooleanField(
        default=False, help_text="Published by the server's API: has no meta."
    )
    expires_at = models.DateTimeField(null=True, help_text="Empty: kept for ever.")

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
        )

    def __str__(self) -> str:
        return self.id


class ReactionQuerySet(models.QuerySet["Reaction"]):
    def standing(self) -> Self:
        """Those not taken back."""
        return self.filter(removed=False)


class Reaction(models.Model):
    """One person's reaction to one message.

    One that was taken back stays as a mark until its message goes, so that whoever was away
    learns of the removal by its number (design.md section 4).
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
