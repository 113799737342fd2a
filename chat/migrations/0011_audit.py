from django.db import migrations, models

import chat.models.fields


class Migration(migrations.Migration):
    """A process of the release before writes no entries, and leaves the table alone."""

    dependencies = [("chat", "0010_acknowledgements")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                (
                    "actor",
                    models.CharField(
                        max_length=200, help_text="Such as: admin NAME, api key 1, command."
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        max_length=64, blank=True, help_text="Empty: not over HTTP."
                    ),
                ),
                ("action", models.CharField(max_length=64)),
                (
                    "uid",
                    chat.models.fields.CodePointField(
                        max_length=128, null=True, help_text="To whom."
                    ),
                ),
                ("channel", chat.models.fields.CodePointField(max_length=256, blank=True)),
                ("detail", models.TextField(default="{}", help_text="A JSON object.")),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "ordering": ("id",),
                "indexes": [
                    models.Index(fields=["at", "id"], name="chat_auditentry_time"),
                    models.Index(
                        fields=["uid", "id"],
                        name="chat_auditentry_uid",
                        condition=models.Q(("uid__isnull", False)),
                    ),
                ],
            },
        ),
    ]
