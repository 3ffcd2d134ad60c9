from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0003_hash_tokens")]
    operations = [
        migrations.CreateModel(
            name="RateLimit",
            fields=[
                (
                    "key",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                ("until", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="Readiness",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("written", models.DateTimeField()),
            ],
        ),
        # Counting costs no write to the disk, and after a crash of the database it starts again.
        migrations.RunSQL("ALTER TABLE core_ratelimit SET UNLOGGED", migrations.RunSQL.noop),
    ]
