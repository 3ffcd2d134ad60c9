"""A release is served only when it is ready, and then without losing a request."""

import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://app"]

REPOSITORY = Path(__file__).parents[3]
UNTRUSTED = ssl._create_unverified_context()  # noqa: S323 - the lab's certificate is self-signed


@pytest.fixture
def source(tmp_path):
    """A copy of the application's source that a test may change."""
    copy = tmp_path / "app"
    shutil.copytree(REPOSITORY / "app", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def deploy(play, source, tmp_path):
    """Return a function that installs the changed source, or a release, as an operator would."""
    changed = f"jewelry_source={source} release_build_folder={tmp_path}/releases"

    def run(what=changed):
        inventory = REPOSITORY / "molecule/default/inventory"
        return play(inventory, "site.yml", "--tags", "release", "-e", what)

    return run


def served(host):
    """Return the live release, its colour, and since when its unit runs."""
    colour = host.check_output("readlink /run/jewelry-web/live")
    started = f"systemctl show --value -p ActiveEnterTimestampMonotonic jewelry-web@{colour}"
    return host.check_output("readlink /srv/jewelry/live"), colour, host.check_output(started)


def tasks_release(host, unit):
    """Return the release that a unit runs, in the form of the link `live`."""
    pid = host.check_output(f"systemctl show --value -p MainPID {unit}")
    arguments = host.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    return re.search(r"/srv/jewelry/(releases/[^/]+)/bin/celery", arguments)[1]


def test_failing_migration_leaves_the_running_release(host, source, deploy):
    before = served(host)
    last = max(path.stem for path in source.glob("apps/core/migrations/0*.py"))
    (source / "apps/core/migrations/9999_broken.py").write_text(
        "from django.db import migrations\n\n\n"
        "class Migration(migrations.Migration):\n"
        f'    dependencies = [("core", "{last}")]\n'
        '    operations = [migrations.RunSQL("select no_such_column from core_tenant")]\n'
    )

    done = deploy()

    assert done.returncode != 0
    assert "no_such_column" in done.stdout
    assert served(host) == before
    assert host.check_output("curl -sf http://localhost:8000/readyz")


def test_release_that_does_not_become_ready_is_never_served(host, source, deploy):
    before = served(host)
    wsgi = source / "config/wsgi.py"
    wsgi.write_text(wsgi.read_text() + '\nraise RuntimeError("this release is broken")\n')

    done = deploy()

    assert done.returncode != 0
    assert "is not served" in done.stdout
    assert "this release is broken" in done.stdout
    assert served(host) == before
    assert host.check_output("curl -sf http://localhost:8000/readyz")
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_settings_that_do_not_work_leave_the_running_release_its_own(host, deploy):
    before = served(host)

    done = deploy('{"jewelry_environment": {"CACHE_URL": "redis://127.0.0.1:1/0"}}')

    assert done.returncode != 0
    assert "is not served" in done.stdout
    assert served(host) == before
    host.check_output(f"systemctl restart jewelry-web@{before[1]}")
    assert host.check_output("curl -sf --retry 20 --retry-all-errors http://localhost:8000/readyz")
    assert deploy('{"jewelry_environment": {}}').returncode == 0


def test_interrupted_activation_is_brought_to_its_end(host):
    release, colour, _ = served(host)
    host.check_output(f"systemctl disable -q jewelry-web@{colour}.socket jewelry-web@{colour}")
    host.check_output("rm /etc/tmpfiles.d/jewelry-web.conf")

    host.check_output(f"jewelry-release activate {Path(release).name}")

    assert host.service(f"jewelry-web@{colour}").is_enabled
    assert colour in host.file("/etc/tmpfiles.d/jewelry-web.conf").content_string


def test_new_release_is_served_without_losing_a_request(host, source, deploy):
    before = served(host)
    address = host.interface("host0").addresses[0]
    (source / "config/marker.py").write_text(f'"""Another release, made at {time.time()}."""\n')
    answers, stop = [], threading.Event()

    def visit():
        while not stop.is_set():
            try:
                with urllib.request.urlopen(
                    f"https://{address}/readyz", context=UNTRUSTED, timeout=30
                ) as answer:
                    answers.append(answer.status)
            except OSError as error:
                answers.append(error)
            time.sleep(0.05)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        done = deploy()
    finally:
        stop.set()
        visitor.join()

    assert done.returncode == 0, done.stdout
    release, colour, _ = served(host)
    assert release != before[0]
    assert colour != before[1]
    assert set(answers) == {200}
    assert len(answers) > 50
    assert release == tasks_release(host, "jewelry-worker") == tasks_release(host, "jewelry-beat")


def test_the_release_before_can_be_installed_again(host, deploy):
    release = subprocess.run(
        [sys.executable, "roles/release/files/build_release.py", "id", "app"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert served(host)[0] != f"releases/{release}"

    done = deploy(f"jewelry_release={release}")

    assert done.returncode == 0, done.stdout
    assert served(host)[0] == f"releases/{release}" == tasks_release(host, "jewelry-worker")


def test_release_that_is_neither_built_nor_the_sources_is_refused(host, deploy):
    before = served(host)

    done = deploy("jewelry_release=0.0.1-000000000000")

    assert done.returncode != 0
    assert "0.0.1-000000000000 is not the release that" in done.stdout
    assert served(host) == before
