from django.db import migrations


class Migration(migrations.Migration):
    """Changes no table."""

    dependencies = [("chat", "0014_moderation")]

    operations = [
        migrations.CreateModel(
            name="Live",
            fields=[],
            options={
                "verbose_name": "live page",
                "verbose_name_plural": "live page",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("chat.node",),
        ),
    ]
