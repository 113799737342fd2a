from django.db import migrations, models

import chat.models.fields


class Migration(migrations.Migration):
    """A process of the release before leaves the column empty: its connections do not count."""

    dependencies = [("chat", "0004_stale_connections")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="network",
            field=chat.models.fields.CodePointField(
                max_length=64,
                blank=True,
                default="",
                db_default="",
                help_text="Its address or, of IPv6, the /64; empty: CONNECTIONS_PER_ADDRESS is 0.",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="ended",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Its member leaves in a while, since it has changed too often.",
            ),
        ),
        migrations.AddIndex(
            model_name="connection",
            index=models.Index(
                fields=["network"],
                name="chat_connection_network",
                condition=models.Q(("network__gt", "")),
            ),
        ),
    ]
