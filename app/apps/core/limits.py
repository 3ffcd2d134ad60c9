"""Limits of how often, that hold however many ask at once and whatever became of the cache.

The generic cell rate algorithm (GCRA) in the database: a row says until when what was taken is
paid off; taking costs `period / limit` seconds, and nobody may be further ahead than `period`. So
`limit` may be taken at once, and then one each `period / limit`. A row whose time has passed means
the same as none, and is deleted within the hour (apps.core.tasks).
"""

from dataclasses import dataclass
from hashlib import sha256

from django.db import connection

TAKE = """
    INSERT INTO core_ratelimit AS row (key, until)
    VALUES (%(key)s, clock_timestamp() + %(cost)s * interval '1 second')
    ON CONFLICT (key) DO UPDATE
    SET until = greatest(row.until, clock_timestamp()) + %(cost)s * interval '1 second'
    WHERE row.until + %(cost)s * interval '1 second'
        <= clock_timestamp() + %(period)s * interval '1 second'
    RETURNING extract(epoch FROM until - clock_timestamp())
"""
AHEAD = "SELECT extract(epoch FROM until - clock_timestamp()) FROM core_ratelimit WHERE key = %s"
GIVE_BACK = "UPDATE core_ratelimit SET until = until - %s * interval '1 second' WHERE key = %s"
REMEMBER = """
    INSERT INTO core_ratelimit (key, until)
    VALUES (%s, clock_timestamp() + %s * interval '1 second')
    ON CONFLICT (key) DO UPDATE SET until = excluded.until
"""


@dataclass(frozen=True)
class Taken:
    """What became of an attempt to take one."""

    limit: int
    allowed: bool
    remaining: int  # that could be taken now
    wait: float  # seconds until one more can be taken

    def headers(self) -> dict[str, str]:
        """The limit in the headers of an answer."""
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(max(1, round(self.wait))),
        }
        return headers if self.allowed else headers | {"Retry-After": headers["RateLimit-Reset"]}


@dataclass(frozen=True)
class Limit:
    """So many in so many seconds, for each of whatever is counted."""

    name: str
    limit: int
    period: int

    def take(self, *of: str) -> Taken:
        """Take one, in one statement: of a hundred at once, no more get one than there are."""
        cost = self.period / self.limit
        key = _key(self.name, *of)
        with connection.cursor() as cursor:
            cursor.execute(TAKE, {"key": key, "cost": cost, "period": self.period})
            row = cursor.fetchone()
            if row is None:
                cursor.execute(AHEAD, [key])
                ahead = float((cursor.fetchone() or [self.period])[0])
                return Taken(self.limit, False, 0, max(0.0, ahead + cost - self.period))
        ahead = float(row[0])
        remaining = max(0, int((self.period - ahead) / cost))
        return Taken(self.limit, True, remaining, max(0.0, ahead + cost - self.period))

    def give_back(self, *of: str) -> None:
        """Undo a take."""
        with connection.cursor() as cursor:
            cursor.execute(GIVE_BACK, [self.period / self.limit, _key(self.name, *of)])


def remember(seconds: int, *what: str) -> None:
    """Remember something for so long from now."""
    with connection.cursor() as cursor:
        cursor.execute(REMEMBER, [_key(*what), seconds])


def remembered(*what: str) -> bool:
    """Whether it is remembered."""
    with connection.cursor() as cursor:
        cursor.execute(AHEAD, [_key(*what)])
        row = cursor.fetchone()
    return bool(row) and row[0] > 0


def _key(*parts: str) -> str:
    """A hash: who mistakes the field may have typed a password for a user name."""
    return sha256("\0".join(parts).encode(errors="replace")).hexdigest()
