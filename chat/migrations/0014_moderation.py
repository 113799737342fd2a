from django.db import migrations, models


class Migration(migrations.Migration):
    """A process of the release before shows hidden messages: exchange servers before hiding any."""

    dependencies = [("chat", "0013_quotas")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="hidden_at",
            field=models.DateTimeField(
                null=True, help_text="Since then only moderators see it."
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                fields=["hidden_at", "id"],
                name="chat_message_hidden",
                condition=models.Q(("hidden_at__isnull", False)),
            ),
        ),
    ]
