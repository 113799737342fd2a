from django.db import migrations, models
from django.db.models.deletion import CASCADE

import chat.models.fields


class Migration(migrations.Migration):
    """A process of the release before leaves no marks, and parks a deletion that it finds in the
    outbox: exchange servers first, then tasks."""

    dependencies = [("chat", "0008_positions")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="forgotten",
            field=models.BigIntegerField(
                default=0,
                db_default=0,
                help_text="Up to this number, what is gone may have left no mark any more.",
            ),
        ),
        migrations.CreateModel(
            name="Deletion",
            fields=[
                (
                    "message_id",
                    chat.models.fields.CodePointField(
                        max_length=26, primary_key=True, serialize=False
                    ),
                ),
                (
                    "number",
                    models.BigIntegerField(help_text="The channel's number at the deletion."),
                ),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "outlived",
                    models.BooleanField(help_text="Its message would have stayed longer."),
                ),
                (
                    "channel",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=CASCADE,
                        related_name="+",
                        to="chat.channel",
                    ),
                ),
            ],
            options={
                "ordering": ("number",),
                "indexes": [
                    models.Index(fields=["channel", "number"], name="chat_deletion_repair")
                ],
            },
        ),
    ]
