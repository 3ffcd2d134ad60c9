"""A service whose processes count together, to be killed: `python -m tests.counting`.

It obeys lines on standard input: `fork` starts a child, which counts as fast as it can until it is
killed; `idle` starts one that counts once and then waits, `quiet` one that does not even say that
it is busy; `inc` counts in the main process. What each child has counted stands in the file named
after its pid, an int64 written after each time.
"""

import os
import struct
import sys
import time
from pathlib import Path

from apps.monitoring import sharing

sharing.INTERVAL = 0.02
sharing.share()

from prometheus_client import Counter, Gauge, Histogram  # noqa: E402 - the order is what is tested

THINGS = Counter("things", "Counted.", ["kind"])
SECONDS = Histogram("seconds", "Observed.")
BUSY = Gauge("busy", "Processes that live.", multiprocess_mode="livesum")


def count(acknowledgements: Path, command: str) -> None:
    """Count, observe, acknowledge; for ever with `fork`, else once."""
    sharing.join()
    if command != "quiet":
        BUSY.set(1)
    file = os.open(acknowledgements / str(os.getpid()), os.O_CREAT | os.O_WRONLY)
    number = 0
    while True:
        THINGS.labels("new" if number % 10 else f"every tenth {number // 10 % 50}").inc()
        SECONDS.observe(0.2)
        number += 1
        os.pwrite(file, struct.pack("q", number), 0)
        while command != "fork":
            time.sleep(1)


def main() -> None:
    """Obey until standard input ends."""
    acknowledgements = Path(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        command = line.strip()
        if command == "inc":
            THINGS.labels("main").inc()
            print("counted", flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            count(acknowledgements, command)
        print(pid, flush=True)


main()
