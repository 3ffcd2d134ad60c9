from django.conf import settings
from django.db import migrations

# The API's tokens lay in clear in authtoken_token. They still work, but from here on they
# expire, and the database has only their hashes. An older release still reads its own table
# until it has drained; then apps.core.tasks.clean_tokens empties it.
HASH_TOKENS = """
DO $$ BEGIN
    IF to_regclass('authtoken_token') IS NOT NULL THEN
        INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry)
        SELECT encode(sha512(convert_to(key, 'UTF8')), 'hex'), left(key, 15), user_id,
            now(), now() + interval '{hours} hours'
        FROM authtoken_token
        ON CONFLICT DO NOTHING;
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_currency_time_zone_address"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [
        migrations.RunSQL(
            HASH_TOKENS.format(hours=int(settings.REST_KNOX["TOKEN_TTL"].total_seconds() // 3600)),
            migrations.RunSQL.noop,
        )
    ]
