from django.db import migrations, models
from django.db.models.functions import Now

import chat.models.fields


class Migration(migrations.Migration):
    """A server of the release before takes nothing from it: exchange servers first, then tasks."""

    dependencies = [("chat", "0005_connections_by_network")]

    operations = [
        migrations.CreateModel(
            name="OutboxEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("channel", chat.models.fields.CodePointField(max_length=256)),
                ("work", models.TextField(help_text="What is to be done, as JSON.")),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("parked_at", models.DateTimeField(null=True, help_text="Empty: waiting.")),
                (
                    "problem",
                    models.TextField(blank=True, db_default="", help_text="Why it is parked."),
                ),
            ],
            options={
                "ordering": ("id",),
                "verbose_name": "outbox entry",
                "verbose_name_plural": "outbox entries",
                "indexes": [
                    models.Index(
                        fields=["channel", "id"],
                        name="chat_outbox_waiting",
                        condition=models.Q(("parked_at__isnull", True)),
                    )
                ],
            },
        ),
    ]
