from typing import Self

from django.db import models

from .channels import Channel
from .fields import CodePointField


class MemberQuerySet(models.QuerySet["Member"]):
    def present(self) -> Self:
        """Those who are there, in the order of joining."""
        return self.filter(removed=False).order_by("joined")


class Member(models.Model):
    """Who is in a presence channel: one row a uid, however many subscriptions it has.

    One who has left stays as a mark for a while, so that whoever was away learns of it by its
    number (design.md section 4, "One sequence per channel").
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

    objects = MemberQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("channel", "uid"), name="chat_member_once"),)

    def __str__(self) -> str:
        return f"{self.uid} in {self.channel_id}"
