#!/usr/bin/env python3
"""Measure an installation: site.yml against a floor script, a second run with and without mitogen,
and idle memory.

Both start on a bare lab machine of their own, one after the other, and build the release. The
floor script does by hand, with no checks, what cannot be left out: apt-get with the very
packages that site.yml installed, the same release, a database, migrations, a first answer. Times
are wall time in seconds on this controller; only their ratios mean anything elsewhere.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SITE, FLOOR = "bench-site", "bench-floor"
LAB = ["/usr/bin/python3", str(REPOSITORY / "lab/lab.py")]
BUILDER = REPOSITORY / "roles/release/files/build_release.py"
ENVIRONMENT = """\
DJANGO_SECRET_KEY=0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr
DJANGO_ALLOWED_HOSTS=localhost
DATABASE_URL=postgresql://jewelry:floor@127.0.0.1:5432/jewelry
CACHE_URL=redis://127.0.0.1:6379/1
BROKER_URL=redis://127.0.0.1:6379/0
STATIC_ROOT=/srv/floor/static
"""
FLOOR_SCRIPT = """\
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends {packages}
mkdir /srv/floor && cd /srv/floor && tar xf /root/release.tar
python3 -m venv .
bin/pip install -q --no-index --no-deps --require-hashes --find-links wheels -r requirements.lock
bin/pip install -q --no-index --no-deps wheels/jewelry-*.whl
runuser -u postgres -- psql -q -c "create role jewelry login password 'floor'" \\
    -c 'create database jewelry owner jewelry'
set -a; . /root/floor.env; set +a
systemctl start redis-server
bin/manage migrate --no-input
systemd-run --unit floor-worker --property EnvironmentFile=/root/floor.env \\
    /srv/floor/bin/celery --app config worker
systemd-run --unit floor-beat --property EnvironmentFile=/root/floor.env \\
    /srv/floor/bin/celery --app config beat --schedule /tmp/beat --pidfile=
systemd-run --unit floor-web --property EnvironmentFile=/root/floor.env \\
    /srv/floor/bin/gunicorn --config python:config.gunicorn --bind 127.0.0.1:8000 config.wsgi
until curl -sf http://localhost:8000/readyz; do sleep 0.2; done
"""
MEMORY_SCRIPT = """\
cd /sys/fs/cgroup/system.slice
for group in *.service system-*.slice/*.service; do
    total=0
    for pid in $(cat "$group/cgroup.procs"); do
        pss=$(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup")
        total=$((total + ${pss:-0}))
    done
    test $total = 0 || echo "$total ${group##*/}"
done | sort -rn
"""


def ssh(machine, command, **options):
    """Return the output of a command on a lab machine; raise CalledProcessError if it fails."""
    words = ["ssh", "-F", "/var/lib/jewelry-lab/ssh_config", machine, command]
    return subprocess.run(words, check=True, text=True, capture_output=True, **options).stdout


def seconds(action, *arguments, **options):
    """Return how long a call took, in seconds of wall time, and what it returned."""
    began = time.monotonic()
    result = action(*arguments, **options)
    return time.monotonic() - began, result


def packages(machine):
    """Return the names of the packages that a machine has installed."""
    return set(ssh(machine, "dpkg-query -Wf '${Package}\\n'").split())


def inventory_of(machine, work):
    """Make the inventory of one lab machine in a folder; return its path."""
    inventory = Path(work) / "inventory"
    inventory.mkdir()
    for name in ("groups.yml", "group_vars", "vault.py"):
        (inventory / name).symlink_to(REPOSITORY / "inventories/lab" / name)
    (inventory / "hosts.yml").write_text(f"machine: {{hosts: {{{machine}: }}}}\n")
    return inventory


def site(inventory, *arguments, playbook="site.yml", strategy="mitogen_linear"):
    """Run site.yml or another playbook and return its output; leave with it if it fails."""
    builds = f"release_build_folder={inventory.parent}/releases"
    ansible = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [ansible, "-i", inventory, "-e", builds, f"playbooks/{playbook}", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_STRATEGY": strategy},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def floor(names):
    """Build the release and install it by hand."""
    source = REPOSITORY / "app"
    with tempfile.TemporaryDirectory() as work:
        release = subprocess.run(
            [sys.executable, BUILDER, "id", source], check=True, text=True, capture_output=True
        ).stdout.strip()
        archive = Path(work) / f"{release}.tar"
        python = ssh(FLOOR, "python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'")
        architecture = ssh(FLOOR, "uname -m")
        build = [sys.executable, BUILDER, "build", source, archive]
        subprocess.run([*build, python.strip(), architecture.strip()], check=True)
        with archive.open("rb") as tar:
            subprocess.run(
                ["ssh", "-F", "/var/lib/jewelry-lab/ssh_config", FLOOR, "cat > release.tar"],
                stdin=tar,
                check=True,
            )
    ssh(FLOOR, "cat > floor.env", input=ENVIRONMENT)
    ssh(FLOOR, "bash -s", input=FLOOR_SCRIPT.format(packages=" ".join(sorted(names))))


def main():
    """Print the figures as a table in Markdown."""
    subprocess.run([*LAB, "down", SITE, FLOOR], check=True)
    subprocess.run([*LAB, "up", SITE, FLOOR], check=True)
    try:
        with tempfile.TemporaryDirectory() as work:
            inventory = inventory_of(SITE, work)
            bare = packages(SITE)
            first, _ = seconds(site, inventory)
            second, output = seconds(site, inventory)
            plain, _ = seconds(site, inventory, strategy="linear")
            by_hand, _ = seconds(floor, packages(SITE) - bare)
        recap = re.search(r"ok=(\d+) +changed=(\d+)", output)
        time.sleep(60)
        memory = [line.split() for line in ssh(SITE, MEMORY_SCRIPT).splitlines()]
    finally:
        subprocess.run([*LAB, "down", SITE, FLOOR], check=True)
    print("| | |\n|---|---|")
    print(
        f"| first site.yml ÷ floor script | {first / by_hand:.2f} "
        f"({first:.0f} s, {by_hand:.0f} s) |"
    )
    print(f"| second site.yml ÷ first | {second / first:.2f} ({second:.0f} s) |")
    print(f"| the same without mitogen ÷ second | {plain / second:.1f} ({plain:.0f} s) |")
    print(f"| tasks of the second run, changed | {recap[1]}, {recap[2]} |")
    print(f"| idle memory of all units, MB (PSS) | {sum(int(kb) for kb, _ in memory) / 1e3:.0f} |")
    for kilobytes, unit in memory:
        print(f"| {unit} | {int(kilobytes) / 1e3:.0f} |")


if __name__ == "__main__":
    main()
