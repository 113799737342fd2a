from django.db import migrations, models
from django.db.models import Q

import chat.models.fields


class Migration(migrations.Migration):
    """What a process of the release before schedules counts for nobody."""

    dependencies = [("chat", "0012_restrictions")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="uid",
            field=chat.models.fields.CodePointField(
                max_length=128,
                null=True,
                help_text="The client's who asked for it; empty: the server did.",
            ),
        ),
        migrations.AddIndex(
            model_name="schedule",
            index=models.Index(
                fields=["uid"], name="chat_schedule_uid", condition=Q(uid__isnull=False)
            ),
        ),
        migrations.AddIndex(
            model_name="storageentry",
            index=models.Index(
                fields=["uid"], name="chat_storage_uid", condition=Q(uid__isnull=False)
            ),
        ),
        migrations.AddIndex(
            model_name="connection",
            index=models.Index(
                fields=["uid"], name="chat_connection_uid", condition=Q(uid__isnull=False)
            ),
        ),
        migrations.AddIndex(
            model_name="acknowledgement",
            index=models.Index(fields=["sender"], name="chat_acknowledgement_sender"),
        ),
    ]
