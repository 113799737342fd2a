"""Server processes, the connections that they hold, and subscriptions."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models.functions import Now

from .channels import Channel
from .fields import CodePointField


class Node(models.Model):
    """A server process. It counts as alive until `lease_until`."""

    id = CodePointField(max_length=26, primary_key=True)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    version = models.CharField(max_length=32)
    started_at = models.DateTimeField()
    lease_until = models.DateTimeField()

    class Meta:
        ordering = ("started_at",)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Live(Node):
    """The processes as the live page shows them: for the admin, whose pages are those of models.
    Who may see connections may look; it has no rights of its own."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "live page"


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def live(self, now: datetime | None = None, asker: str = "") -> Self:
        """The connections below their maximum age and not revoked, on a node whose lease lasts.

        `now` defaults to the database's time. `asker` is the id of the node that asks: its own
        connections go on when its lease runs out during a database outage.
        """
        moment = now or Now()
        held = models.Q(node__lease_until__gt=moment) | models.Q(node_id=asker)
        return self.filter(held, expires_at__gt=moment, revoked=False)


class Connection(models.Model):
    """An open WebSocket that one node holds. Only a hash of its secret is stored."""

    id = CodePointField(max_length=32, primary_key=True)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="connections")
    secret_hash = models.CharField(max_length=64)
    claims = models.TextField(help_text="The payload of its connect token, raw JSON.")
    uid = CodePointField(max_length=128, null=True)
    umd = models.TextField(default="null", help_text="Raw JSON.")
    address = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=256, blank=True)
    connected_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked = models.BooleanField(
        default=False, help_text="To be closed by its node, with 4403, within seconds."
    )
    stale = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Its metadata was changed by another process: its node reads it within seconds.",
    )
    network = CodePointField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="Its address or, of IPv6, the /64; empty: CONNECTIONS_PER_ADDRESS is 0.",
    )

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        ordering = ("connected_at",)
        indexes = (
            models.Index(
                fields=("node",), name="chat_connection_revoked", condition=models.Q(revoked=True)
            ),
            models.Index(
                fields=("node",), name="chat_connection_stale", condition=models.Q(stale=True)
            ),
            models.Index(
                fields=("network",),
                name="chat_connection_network",
                condition=models.Q(network__gt=""),
            ),
            models.Index(
                fields=("uid",), name="chat_connection_uid", condition=models.Q(uid__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return self.id


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def counted(self) -> Self:
        """Those that count: not under `omitFromSubCount`, of live connections."""
        return self.filter(counted=True, connection__in=Connection.objects.live())

    def counts(self, channels: Iterable[str]) -> dict[str, int]:
        """How many count in each of these channels; those without any are left out."""
        rows = self.counted().filter(channel__name__in=list(channels)).order_by()
        return dict(rows.values_list("channel__name").annotate(models.Count("id")))


class Subscription(models.Model):
    """A connection's subscription to a channel."""

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="subscriptions", db_index=False
    )
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="subscriptions")
    claims = models.TextField(
        blank=True, help_text="The payload of its subscribe token, raw JSON; empty: none."
    )
    uid = CodePointField(max_length=128, null=True)
    umd = models.TextField(default="null", db_default="null", help_text="Raw JSON.")
    counted = models.BooleanField(
        default=True, db_default=True, help_text="Not under omitFromSubCount."
    )
    ended = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Its member leaves in a while, since it has changed too often.",
    )
    head_id = CodePointField(
        max_length=26, blank=True, help_text="The channel's last message id when it began."
    )
    subscribed_at = models.DateTimeField()

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("connection", "channel"), name="chat_subscription_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.connection_id} in {self.channel_id}"
