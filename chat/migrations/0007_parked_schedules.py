from django.db import migrations, models


class Migration(migrations.Migration):
    """A process of the release before tries what is parked each second, as it always did."""

    dependencies = [("chat", "0006_outbox")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="parked_at",
            field=models.DateTimeField(null=True, help_text="It could not be done, and waits."),
        ),
        migrations.AddField(
            model_name="schedule",
            name="problem",
            field=models.TextField(
                blank=True, db_default="", help_text="Why it could not be done."
            ),
        ),
        migrations.AddIndex(
            model_name="schedule",
            index=models.Index(
                fields=["due_at"],
                name="chat_schedule_waiting",
                condition=models.Q(("parked_at__isnull", True)),
            ),
        ),
    ]
