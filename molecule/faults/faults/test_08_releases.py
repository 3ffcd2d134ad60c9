"""A release is served only when it works, without losing a request, and can be taken back."""

import re
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://web"]

REPOSITORY = Path(__file__).parents[3]
INVENTORY = Path(__file__).parents[1] / "inventory"
NEW_SESSION = " ansible_ssh_common_args='-F /var/lib/jewelry-lab/ssh_config -o ControlPath=none'"


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

    def run(what=changed, more=""):
        return play(INVENTORY, "site.yml", "--tags", "release", "-e", f"{what}{more}")

    return run


@pytest.fixture
def variant(host):
    """Return a function that activates the live release with a change, a command for the shell.

    It may be killed as soon as the release is served; then the same command runs again.
    """
    live = "$(readlink -f /srv/jewelry/live)"
    folder = "/srv/jewelry/releases/0.0.0-variant"

    def activate(command, is_killed=False):
        host.check_output(
            f"cp -a {live} {folder} && cd {folder} && rm .served && touch .installed &&"
            f" sed -i s,{live}/,{folder}/, $(grep -lI ^#! bin/*) &&"
            f" cd lib/python3*/site-packages && {command}"
        )
        run = "jewelry-release activate 0.0.0-variant --watch 10"
        if is_killed:
            host.check_output(
                f"{run} > /dev/null 2>&1 & timeout 60 sh -c"
                " 'until readlink /srv/jewelry/live | grep -q variant; do sleep 0.1; done';"
                " sleep 1; kill -KILL $!"
            )
        return host.run(run)

    yield activate
    host.check_output(f"rm -rf {folder}")


@pytest.fixture
def customers(site, secret):
    """A context manager: people read and buy inside it; it gives all statuses that they got."""

    @contextmanager
    def come(number=4):
        credentials = {"username": "demo-aurum", "password": secret("demo_password")}
        token = site("POST", "/api/v1/token/", credentials)[1]["token"]
        item = {
            "sku": f"LOAD-{time.time_ns()}", "name": "Ring", "metal": "GOLD", "karat": 18,
            "weight_grams": "1.000", "price": "10.00", "stock": 100_000,
        }  # fmt: skip
        status, made = site("POST", "/api/v1/items/", item, token=token)
        assert status == 201, made
        sale = {"lines": [{"sku": item["sku"], "quantity": 1}]}
        got, stop = [], threading.Event()

        def customer():
            while not stop.is_set():
                for request in (
                    ("POST", "/api/v1/sales/", sale, token),
                    ("GET", f"/api/v1/items/{made['id']}/", None, token),
                    ("GET", "/readyz"),
                ):
                    try:
                        got.append(site(*request)[0])
                    except OSError as error:
                        got.append(str(error))
                time.sleep(0.1)  # the controller builds on the same processors

        threads = [threading.Thread(target=customer) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield got
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        stock = site("GET", f"/api/v1/items/{made['id']}/", token=token)[1]["stock"]
        assert item["stock"] - stock == got.count(201)

    return come


def served(host):
    """Return the live release, its colour, and since when its unit runs."""
    colour = host.check_output("readlink /run/jewelry-web/live")
    started = f"systemctl show --value -p ActiveEnterTimestampMonotonic jewelry-web@{colour}"
    return host.check_output("readlink /srv/jewelry/live"), colour, host.check_output(started)


def tasks_release(host, unit):
    """Return the release that a unit runs, in the form of the link `live`."""
    pid = host.check_output(f"systemctl show --value -p MainPID {unit}")
    arguments = host.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    return re.search(r"/srv/jewelry/(releases/[^/]+)/bin/python", arguments)[1]


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


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sed -i 's/^def home.*/&\\n    import no_such_module/' apps/core/views.py", "/: 500"),
        (
            "echo 'CELERY_WORKER_POOL = \"no_such_module:Pool\"' >> config/settings.py",
            "The worker ends at its start",
        ),
    ],
    ids=["page", "worker"],
)
def test_release_that_would_fail_is_never_served(host, variant, command, words):
    before = served(host)

    done = variant(command)

    assert done.rc != 0
    assert "0.0.0-variant is not served" in done.stderr
    assert words in done.stderr
    assert "no_such_module" in done.stderr
    assert served(host) == before
    assert before[0] == tasks_release(host, "jewelry-worker")


def test_release_whose_schedule_crashes_goes_back(host, variant, eventually):
    before = served(host)

    done = variant(
        "echo 'CELERY_BEAT_SCHEDULER = \"no_such_module.Scheduler\"' >> config/settings.py"
    )

    assert done.rc != 0
    assert f"{Path(before[0]).name} is served. jewelry-beat.service crashed" in done.stderr
    assert "no_such_module" in done.stderr
    assert served(host) == before
    assert before[0] == tasks_release(host, "jewelry-worker") == tasks_release(host, "jewelry-beat")
    assert "rolled back by itself" in host.check_output("jewelry-release list")
    again = host.run("jewelry-release activate 0.0.0-variant")
    assert "--retry serves it again" in again.stderr


def test_release_whose_pages_fail_goes_back(host, site, secret, variant):
    """Also if it is interrupted while it is watched.

    A stranger, who asks before the switch, does not see it: he is refused before.
    """
    before = served(host)
    credentials = {"username": "demo-aurum", "password": secret("demo_password")}
    token = site("POST", "/api/v1/token/", credentials)[1]["token"]
    stop = threading.Event()

    def visit():
        while not stop.is_set():
            site("GET", "/api/v1/sales/", token=token)
            time.sleep(0.2)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        broken = "echo 'SaleViewSet.list = lambda *_, **__: 1 / 0' >> apps/sales/api.py"
        done = variant(broken, is_killed=True)
    finally:
        stop.set()
        visitor.join()

    assert done.rc != 0
    assert f"{Path(before[0]).name} is served. " in done.stderr
    assert "were server errors (5xx)" in done.stderr
    assert served(host) == before
    for unit in ("jewelry-worker", "jewelry-beat", "jewelry-metrics"):
        assert tasks_release(host, unit) == before[0]


def test_activation_that_cannot_write_is_completed_by_the_next(host, variant):
    """The worker's settings cannot be written, as on a full disk; nor when everything goes back."""
    before = served(host)
    obstacle = "/etc/jewelry/.jewelry-worker.env.new"
    host.check_output(f"mkdir {obstacle}")
    try:
        done = variant("true")
    finally:
        host.check_output(f"rmdir {obstacle}")
    assert done.rc != 0
    assert f"going back to {Path(before[0]).name} failed too" in done.stderr
    assert "Traceback" not in done.stderr

    again = host.run("jewelry-release activate 0.0.0-variant --watch 1")

    assert again.rc == 0, again.stderr
    units = ("jewelry-worker", "jewelry-beat", "jewelry-metrics")
    assert {tasks_release(host, unit) for unit in units} == {"releases/0.0.0-variant"}
    assert "rolled back" in host.check_output("jewelry-release rollback")
    assert served(host)[0] == before[0]
    # Somebody who asks twice, or whose connection was cut, does not go back twice.
    assert "to go back further" in host.check_output("jewelry-release rollback")
    assert served(host)[0] == before[0]
    assert {tasks_release(host, unit) for unit in units} == {before[0]}
    assert not host.file("/etc/jewelry/.trial.json").exists


def test_unit_that_runs_another_release_than_its_link_says_is_restarted(host, variant):
    release = Path(served(host)[0]).name
    variant("touch config/settings.py; rm ../../../.installed")  # a copy that is not activated
    host.check_output(
        "ln -sfn releases/0.0.0-variant /srv/jewelry/worker; systemctl restart jewelry-worker;"
        f" ln -sfn releases/{release} /srv/jewelry/worker"
    )

    assert "activated" in host.check_output(f"jewelry-release activate {release} --watch 0")

    assert tasks_release(host, "jewelry-worker") == f"releases/{release}"


def test_new_release_and_rollback_lose_no_request(host, play, source, deploy, customers):
    """Also when the session of the one who installs it is an odd one."""
    before = served(host)
    (source / "config/marker.py").write_text(f'"""Another release, made at {time.time()}."""\n')
    host.check_output(
        "cp /etc/environment /etc/environment.before"
        " && cp /etc/login.defs /etc/login.defs.before && echo UMASK 077 >> /etc/login.defs"
        " && printf 'PIP_TARGET=/nowhere\nLC_ALL=C\nhttp_proxy=http://127.0.0.1:9\n'"
        " >> /etc/environment"
    )
    try:
        with customers() as got:
            done = deploy(more=NEW_SESSION)
            released = served(host)
            back = play(INVENTORY, "rollback.yml")
    finally:
        host.check_output("for f in login.defs environment; do mv /etc/$f.before /etc/$f; done")

    assert done.returncode == 0, done.stdout
    assert released[0] != before[0]
    assert released[1] != before[1]
    assert host.file(f"/srv/jewelry/{released[0]}/bin").mode == 0o755
    assert host.file("/srv/jewelry/static/admin").mode == 0o755
    assert back.returncode == 0, back.stdout
    assert set(got) == {200, 201}
    assert len(got) > 300
    assert served(host)[0] == before[0]
    units = ("jewelry-worker", "jewelry-beat", "jewelry-metrics")
    assert {tasks_release(host, unit) for unit in units} == {before[0]}

    # site.yml does not undo it until somebody says so.
    again = deploy()
    assert again.returncode != 0
    assert "was rolled back on" in again.stdout
    assert "-e release_retry=true" in again.stdout
    assert served(host)[0] == before[0]


def test_two_runs_at_once(host, play, eventually):
    """The second is refused in words; a run that is killed leaves no lock behind."""
    command = ["ansible-playbook", "-i", INVENTORY, "playbooks/site.yml", "--tags", "release"]
    held = "flock --nonblock /run/jewelry-run.lock true"
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as first:
        eventually(lambda: host.run(held).rc == 1)

        second = play(INVENTORY, "site.yml", "--tags", "preflight")

        first.kill()
    assert second.returncode != 0
    assert "Another run works on this machine" in second.stdout
    assert re.search(r"since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", second.stdout)
    eventually(lambda: host.run(held).rc == 0, 20)


def test_two_activations_at_once(host):
    """The second waits."""
    release = Path(served(host)[0]).name

    done = host.run(
        "flock /run/jewelry-release.lock -c 'echo somebody > /run/jewelry-release.lock; sleep 3' &"
        f" sleep 1; jewelry-release activate {release}"
    )

    assert done.rc == 0
    assert "waiting for somebody" in done.stderr
    assert "kept" in done.stdout


def test_unit_file_from_the_future_restarts_nothing(host):
    release = Path(served(host)[0]).name
    host.check_output("touch -d '+1 day' /etc/systemd/system/jewelry-*.service")

    assert "kept" in host.check_output(f"jewelry-release activate {release}")

    host.check_output("touch /etc/systemd/system/jewelry-*.service")


def test_release_that_is_neither_built_nor_the_sources_is_refused(host, deploy):
    before = served(host)

    done = deploy("jewelry_release=0.0.1-000000000000")

    assert done.returncode != 0
    assert "0.0.1-000000000000 is not the release that" in done.stdout
    assert served(host) == before
