import chat.models.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Channel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', chat.models.fields.CodePointField(max_length=256, unique=True)),
                ('number', models.BigIntegerField(default=0)),
                ('last_message_id', chat.models.fields.CodePointField(blank=True, default='', max_length=26)),
                ('changed_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Node',
            fields=[
                ('id', chat.models.fields.CodePointField(max_length=26, primary_key=True, serialize=False)),
                ('host', models.CharField(max_length=255)),
                ('pid', models.IntegerField()),
                ('version', models.CharField(max_length=32)),
                ('started_at', models.DateTimeField()),
                ('lease_until', models.DateTimeField()),
            ],
            options={
                'ordering': ('started_at',),
            },
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', chat.models.fields.CodePointField(max_length=26, primary_key=True, serialize=False)),
                ('number', models.BigIntegerField()),
                ('event', chat.models.fields.CodePointField(max_length=128)),
                ('data', models.TextField(help_text='The raw JSON that the client sent.')),
                ('uid', chat.models.fields.CodePointField(max_length=128, null=True)),
                ('umd', models.TextField(default='null', help_text='Raw JSON.')),
                ('by_server', models.BooleanField(default=False, help_text="Published by the server's API: has no meta.")),
                ('expires_at', models.DateTimeField(help_text='Empty: kept for ever.', null=True)),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='chat.channel')),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='Connection',
            fields=[
                ('id', chat.models.fields.CodePointField(max_length=32, primary_key=True, serialize=False)),
                ('secret_hash', models.CharField(max_length=64)),
                ('claims', models.TextField(help_text='The payload of its connect token, raw JSON.')),
                ('uid', chat.models.fields.CodePointField(max_length=128, null=True)),
                ('umd', models.TextField(default='null', help_text='Raw JSON.')),
                ('address', models.CharField(blank=True, max_length=64)),
                ('user_agent', models.CharField(blank=True, max_length=256)),
                ('connected_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('revoked', models.BooleanField(default=False, help_text='To be closed by its node, with 4403, within seconds.')),
                ('node', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='connections', to='chat.node')),
            ],
            options={
                'ordering': ('connected_at',),
            },
        ),
        migrations.CreateModel(
            name='Reaction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('uid', chat.models.fields.CodePointField(max_length=128)),
                ('umd', models.TextField(default='null', help_text='Raw JSON.')),
                ('reaction', chat.models.fields.CodePointField(max_length=100)),
                ('removed', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField()),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chat.channel')),
                ('message', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='reactions', to='chat.message')),
            ],
            options={
                'ordering': ('number',),
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('claims', models.TextField(blank=True, help_text='The payload of its subscribe token, raw JSON; empty: none.')),
                ('head_id', chat.models.fields.CodePointField(blank=True, help_text="The channel's last message id when it began.", max_length=26)),
                ('subscribed_at', models.DateTimeField()),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='chat.channel')),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='chat.connection')),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['channel', 'id'], name='chat_message_history'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['event', 'id'], name='chat_message_event'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('uid__isnull', False)), fields=['uid', 'id'], name='chat_message_uid'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['channel', 'number'], name='chat_message_repair'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='chat_message_expiry'),
        ),
        migrations.AddIndex(
            model_name='connection',
            index=models.Index(condition=models.Q(('revoked', True)), fields=['node'], name='chat_connection_revoked'),
        ),
        migrations.AddIndex(
            model_name='reaction',
            index=models.Index(fields=['channel', 'number'], name='chat_reaction_repair'),
        ),
        migrations.AddConstraint(
            model_name='reaction',
            constraint=models.UniqueConstraint(fields=('message', 'uid', 'reaction'), name='chat_reaction_once'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(fields=('connection', 'channel'), name='chat_subscription_once'),
        ),
    ]
