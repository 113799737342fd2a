from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='UsedToken',
            fields=[
                ('id', models.CharField(db_column='digest', max_length=64, primary_key=True, serialize=False, verbose_name='digest')),
                ('expires_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'verbose_name': 'used token',
                'ordering': ('-expires_at',),
            },
        ),
    ]
