from django.db import migrations, models


class Migration(migrations.Migration):
    """A process of the release before leaves the column as it is."""

    dependencies = [("chat", "0003_messages_by_id")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="stale",
            field=models.BooleanField(
                default=False,
                db_default=False,
                help_text="Its metadata was changed by another process: its node reads it within"
                " seconds.",
            ),
        ),
        migrations.AddIndex(
            model_name="connection",
            index=models.Index(
                fields=["node"],
                name="chat_connection_stale",
                condition=models.Q(("stale", True)),
            ),
        ),
    ]
