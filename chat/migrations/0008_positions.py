from django.db import migrations

import chat.models.fields


class Migration(migrations.Migration):
    """A process of the release before makes channels with an empty epoch."""

    dependencies = [("chat", "0007_parked_schedules")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="epoch",
            field=chat.models.fields.CodePointField(
                blank=True,
                db_default="",
                help_text="Random: another one where its numbers began anew.",
                max_length=16,
            ),
        ),
    ]
