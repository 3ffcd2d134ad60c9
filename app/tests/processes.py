"""Real processes that count, to be watched and killed."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from apps.monitoring import files, slots

APP = Path(__file__).parents[1]


class Service:
    """tests/counting.py and its children."""

    def __init__(self, directory: Path, acknowledgements: Path) -> None:
        self.directory, self.acknowledgements = directory, acknowledgements
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.counting", acknowledgements],
            cwd=APP,
            env={
                **os.environ,
                files.VARIABLE: str(directory),
                "TMPDIR": str(acknowledgements.parent),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that all can be killed together
        )
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def tell(self, command: str) -> str:
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def fork(self, command: str = "fork") -> int:
        """Start a child and wait until it counts; returns its pid."""
        pid = int(self.tell(command))
        eventually(lambda: (self.acknowledgements / str(pid)).exists() and self.counted(pid) > 0)
        return pid

    def counted(self, *pids: int) -> int:
        """How often these children have confirmed that they counted; all, without arguments."""
        paths = [self.acknowledgements / str(pid) for pid in pids] or [
            *self.acknowledgements.iterdir()
        ]
        texts = [path.read_bytes() for path in paths]
        return sum(struct.unpack("q", text)[0] for text in texts if text)

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: all(holder.pid != pid for holder in slots.holders(self.directory)))

    def end(self) -> str:
        """Kill all; what they logged."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.log = self.process.communicate()[1]
        return self.log


def eventually(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.005)
