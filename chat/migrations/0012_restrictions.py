from django.db import migrations, models

import chat.models.fields


class Migration(migrations.Migration):
    """A process of the release before heeds no restrictions: none is made before all are new."""

    dependencies = [("chat", "0011_audit")]

    operations = [
        migrations.CreateModel(
            name="Restriction",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "number",
                    models.BigIntegerField(
                        unique=True, help_text="Of its last change, in the order of the commits."
                    ),
                ),
                ("jti", chat.models.fields.CodePointField(max_length=256, blank=True)),
                ("uid", chat.models.fields.CodePointField(max_length=128, null=True)),
                ("issued_before", models.FloatField(null=True, help_text="Unix seconds.")),
                (
                    "address",
                    chat.models.fields.CodePointField(
                        max_length=64,
                        blank=True,
                        help_text="An IP address, or a network such as 192.0.2.0/24.",
                    ),
                ),
                (
                    "channel",
                    chat.models.fields.CodePointField(
                        max_length=256, blank=True, help_text="Empty: all."
                    ),
                ),
                ("reason", models.TextField(blank=True, help_text="Clients never see it.")),
                ("created_at", models.DateTimeField()),
                (
                    "expires_at",
                    models.DateTimeField(null=True, db_index=True, help_text="Empty: never."),
                ),
            ],
            options={
                "ordering": ("id",),
                "indexes": [
                    models.Index(
                        fields=["id"],
                        name="chat_restriction_ban",
                        condition=models.Q(("issued_before__isnull", True), ("jti", "")),
                    ),
                    models.Index(
                        fields=["jti"],
                        name="chat_restriction_jti",
                        condition=models.Q(("jti__gt", "")),
                    ),
                    models.Index(
                        fields=["uid", "id"],
                        name="chat_restriction_uid",
                        condition=models.Q(("uid__isnull", False)),
                    ),
                ],
            },
        ),
    ]
