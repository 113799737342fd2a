import django.db.models.deletion
from django.db import migrations, models

import chat.models.fields


class Migration(migrations.Migration):
    """A process of the release before acknowledges nothing, and leaves the table alone."""

    dependencies = [("chat", "0009_deletions")]

    operations = [
        migrations.CreateModel(
            name="Acknowledgement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="acknowledgements",
                        to="chat.channel",
                    ),
                ),
                (
                    "sender",
                    chat.models.fields.CodePointField(
                        max_length=160, help_text="A uid or, without one, a connection."
                    ),
                ),
                ("ack", chat.models.fields.CodePointField(max_length=64)),
                ("digest", models.CharField(max_length=32, help_text="Of what was sent.")),
                (
                    "result",
                    chat.models.fields.CodePointField(
                        max_length=26,
                        blank=True,
                        help_text="The message's or the schedule's id; empty: neither.",
                    ),
                ),
                (
                    "position",
                    models.BigIntegerField(
                        null=True, help_text="The number of the change; empty: none."
                    ),
                ),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("channel", "sender", "ack"), name="chat_acknowledgement_once"
                    )
                ],
            },
        ),
    ]
