"""The schedule's numbers: when each entry was last sent, and when it is due."""

import time

from celery.beat import PersistentScheduler, ScheduleEntry
from prometheus_client import Gauge

last_run = Gauge(
    "celery_beat_last_run_timestamp_seconds",
    "When the entry of the schedule was last sent; 0: never.",
    ["entry"],
    multiprocess_mode="mostrecent",
)
next_run = Gauge(
    "celery_beat_next_run_timestamp_seconds",
    "When the entry is due; stays in the past while it cannot be sent.",
    ["entry"],
    multiprocess_mode="mostrecent",
)
last_tick = Gauge(
    "celery_beat_last_tick_timestamp_seconds",
    "When beat last looked for entries that are due.",
    multiprocess_mode="mostrecent",
)


class Scheduler(PersistentScheduler):
    """Celery's own scheduler, which exports what it does."""

    def __init__(self, *args, **kwargs) -> None:
        self._unsent: set[str | None] = set()
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Read the schedule, and from it when entries ran before this process was started."""
        super().setup_schedule()
        for entry in self.schedule.values():
            ran = entry.last_run_at if entry.total_run_count else None
            last_run.labels(entry.name).set(ran.timestamp() if ran else 0)

    def apply_async(self, entry: ScheduleEntry, *args, **kwargs):
        """Send the entry's task; raises SchedulingError when the broker does not take it."""
        self._unsent.add(entry.name)
        result = super().apply_async(entry, *args, **kwargs)
        self._unsent.discard(entry.name)
        last_run.labels(entry.name).set(time.time())
        return result

    def tick(self, *args, **kwargs) -> float:
        """Send what is due; seconds to wait until the next look."""
        wait = super().tick(*args, **kwargs)
        for due in self._heap or ():  # type: ignore[attr-defined]  # the stubs lack it
            if due.entry.name not in self._unsent:
                next_run.labels(due.entry.name).set(due.time)
        last_tick.set_to_current_time()
        return wait
