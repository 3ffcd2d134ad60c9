#!/usr/bin/python
"""Let one run of a playbook work on a machine at a time."""

import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: run_lock
short_description: Let one run of a playbook work on a machine at a time
description:
  - Takes a lock on the machine, or fails and says who has it since when.
  - The lock ends with the run, however that ends, and after an hour at the latest. Nothing is to be
    removed by hand.
  - Without mitogen no process on the machine lives as long as the run. Then the lock ends with the
    SSH session, and belongs to all runs that share it (ControlPersist).
options:
  holder:
    description: Who runs the playbook, in words.
    type: str
    required: true
"""

EXAMPLES = """
- name: One run at a time
  run_lock:
    holder: anna on laptop
"""

LOCK = Path("/run/jewelry-run.lock")
SECONDS = 3600
# It keeps the lock open, and ends with the session.
KEEPER = """
import os, select, sys
session, seconds = map(int, sys.argv[1:])
poll = select.poll()
try:
    poll.register(os.pidfd_open(session), select.POLLIN)
except ProcessLookupError:
    sys.exit()
poll.poll(seconds * 1000)
"""


def session():
    """Return the process that lives as long as this run: mitogen's, else sshd's or Ansible's."""
    pid, found = os.getpid(), None
    while pid > 1:
        command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        sessions = r"[^\0]*\(mitogen:" if found else r"[^\0]*\(mitogen:|sshd|.*ansible-playbook"
        if re.match(sessions, command, re.DOTALL):
            found = pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found or os.getppid()


def main():
    """Take the lock, or say who has it."""
    module = AnsibleModule({"holder": {"type": "str", "required": True}})
    pid = session()
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            held_by, _, who = lock.read().partition(" ")
            if held_by == str(pid):
                module.exit_json(changed=False)
            module.fail_json(
                msg=f"Another run works on this machine: {who}. Wait until it has ended; then this "
                "can be run again. This run has changed nothing."
            )
        lock.truncate(0)
        address = os.environ.get("SSH_CLIENT", "").partition(" ")[0] or "this machine"
        since = time.strftime("%F %T")
        lock.write(f"{pid} {module.params['holder']}, from {address}, since {since}")
        lock.flush()
        subprocess.Popen(
            [sys.executable, "-I", "-c", KEEPER, str(pid), str(SECONDS)],
            pass_fds=[lock.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
