from django.db import migrations


class Migration(migrations.Migration):
    """Gaps are read by the index of ids. A process of the release before reads them slower without
    its own, and as truly."""

    dependencies = [("chat", "0002_members_storage_schedules")]

    operations = [migrations.RemoveIndex(model_name="message", name="chat_message_repair")]
