"""A run that ends between writing a file and applying it is completed by the next one."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import POSTGRESQL, POSTGRESQL_VERSION, SERVICES

testinfra_hosts = ["ansible://all"]

REPOSITORY = Path(__file__).parents[3]
INVENTORY = Path(__file__).parents[1] / "inventory"
EXPORTERS = [name for name in SERVICES if name.endswith("_exporter")]
OTHERS = "base,postgresql,redis,nginx,alertmanager,prometheus,metrics,web,worker,beat"
ROLES = ",".join([OTHERS, *EXPORTERS])
APPLIES = {"Run", "Serve"}  # with what the names of such tasks begin
PID = "$(systemctl show --property=MainPID --value {unit})"
ENVIRONMENT = f"tr '\\0' '\\n' < /proc/{PID}/environ | grep -c ^INTERRUPTED=; true"
UMASK = f"grep ^Umask: /proc/{PID}/status"
LIMIT = (
    "head -c 2000 /dev/zero | curl -s -o /dev/null -w '%{{http_code}}' --data-binary @-"
    " http://localhost:8000/api/v1/token/"
)
DURATION = "runuser -u postgres -- psql -tAc 'SHOW log_min_duration_statement'"
POLICY = (
    "set -a; . /etc/jewelry/jewelry.env; redis-cli --no-auth-warning -u $CACHE_URL info memory"
    " | grep maxmemory_policy"
)
EVALUATION = (
    "curl -sS http://127.0.0.1:9090/api/v1/status/config"
    " | grep -o 'evaluation_interval: [0-9a-z]*' | head -n 1"
)
GROUP_WAIT = "curl -sS http://127.0.0.1:9093/api/v2/status | grep -o 'group_wait: [0-9a-z]*'"

# By unit: a file that its role writes, another line in it, and what the process says.
UNITS = {
    "nginx": (
        "/etc/nginx/nginx.conf",
        "s/client_max_body_size .*;/client_max_body_size 1k;/",
        LIMIT,
    ),
    POSTGRESQL: (
        f"/etc/postgresql/{POSTGRESQL_VERSION}/main/conf.d/50-jewelry.conf",
        "s/^log_min_duration_statement = .*/log_min_duration_statement = 77777/",
        DURATION,
    ),
    "redis-server@broker": (
        "/etc/systemd/system/redis-server@.service.d/50-redis.conf",
        "s/^UMask=.*/UMask=0027/",
        UMASK,
    ),
    "redis-server@cache": (
        "/etc/redis/redis-cache.conf",
        "s/^maxmemory-policy .*/maxmemory-policy allkeys-random/",
        POLICY,
    ),
    "prometheus": (
        "/etc/prometheus/prometheus.yml",
        "s/evaluation_interval: .*/evaluation_interval: 17s/",
        EVALUATION,
    ),
    "prometheus-alertmanager": (
        "/etc/prometheus/alertmanager.yml",
        "0,/group_wait: .*/s//group_wait: 7s/",
        GROUP_WAIT,
    ),
    **{
        unit.removesuffix(".service"): (
            f"/etc/systemd/system/{unit}",
            r"s/^\[Service\]$/&\nEnvironment=INTERRUPTED=1/",
            ENVIRONMENT,
        )
        for unit in (SERVICES[name]["unit"] for name in EXPORTERS)
    },
}


@pytest.fixture
def run(play):
    """Return a function that runs roles of site.yml and returns what it said."""

    def roles(tags, *arguments):
        done = play(INVENTORY, "site.yml", "--tags", tags, "--diff", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return roles


def changed_tasks(said):
    """Return the names of the tasks that changed something."""
    tasks = re.split(r"^TASK \[", said, flags=re.MULTILINE)
    return [task.split("]")[0] for task in tasks if re.search(r"^changed:", task, re.MULTILINE)]


@pytest.fixture
def outdated(host):
    """Return a function that gives the platform's units that run something old, by reason."""

    def units(reason):
        host.check_output("systemctl start outdated-units")
        said = host.file("/var/lib/prometheus/node-exporter/units.prom").content_string
        names = re.findall(rf'name="([^"]+)\.service",reason="{reason}"}} 1$', said, re.MULTILINE)
        return {name for name in names if name in UNITS or name.startswith("jewelry-")}

    return units


def test_what_was_written_and_not_applied_is_applied(host, run, outdated):
    """Each service runs other words than its files have: the run that wrote them has ended.

    And an update has replaced Redis and Python.
    """

    def states():
        return {
            unit: host.check_output(ask.format(unit=unit)) for unit, (_, _, ask) in UNITS.items()
        }

    right = states()
    assert outdated("program") == outdated("configuration") == set()
    for file, other, _ in UNITS.values():
        host.check_output(f"cp --preserve {file} {file}.kept; sed -i '{other}' {file}")
    try:
        host.check_output(f"systemctl daemon-reload; systemctl reload-or-restart {' '.join(UNITS)}")
    finally:
        for file, _, _ in UNITS.values():
            host.check_output(
                f"! test -e {file}.kept || cat {file}.kept > {file}; rm -f {file}.kept"
            )
    for program in ("redis-server", "python3"):
        file = host.check_output(f"readlink -f /usr/bin/{program}")
        host.check_output(f"cp --preserve {file} {file}.new && mv {file}.new {file}")
    wrong = states()
    assert [unit for unit in UNITS if wrong[unit] == right[unit]] == []
    assert outdated("configuration") == set(UNITS)
    web = f"jewelry-web@{host.file('/run/jewelry-web/live').linked_to.rpartition('/')[2]}"
    assert outdated("program") == {
        "redis-server@broker", "redis-server@cache", "prometheus-nginx-log-exporter",
        web, "jewelry-worker", "jewelry-beat", "jewelry-metrics",
    }  # fmt: skip

    said = run(ROLES)

    assert {task.split()[2] for task in changed_tasks(said)} <= APPLIES, changed_tasks(said)
    assert states() == right
    assert outdated("program") == outdated("configuration") == set()

    # Nothing is left to do, even if the clock was ahead when the files were written.
    host.check_output(f"touch -d '+1 hour' {' '.join(file for file, _, _ in UNITS.values())}")
    host.check_output("touch -d '+1 hour' /etc/systemd/system/jewelry-worker.service")
    assert changed_tasks(run(ROLES, "--check")) == []
    live = host.check_output("basename $(readlink /srv/jewelry/live)")
    assert "kept" in host.check_output(f"jewelry-release activate {live}")


def test_a_run_that_is_killed_before_it_applies(host, run):
    """Ctrl-C after nginx's configuration is written; then the same command again."""
    limit = ["-e", "nginx_client_max_body_size=1k"]
    command = ["ansible-playbook", "-i", INVENTORY, "playbooks/site.yml", "--tags", "nginx", *limit]
    with subprocess.Popen(
        # A shell starts background jobs with SIGINT ignored, and a child cannot undo that.
        ["env", "--default-signal=INT", *command],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as killed:
        for line in killed.stdout:
            if "nginx : Install nginx" in line:
                os.killpg(killed.pid, signal.SIGINT)
                break
        killed.stdout.read()
    try:
        assert "client_max_body_size 1k" in host.file("/etc/nginx/nginx.conf").content_string
        assert host.check_output(LIMIT.format()) != "413"

        said = run("nginx", *limit)

        assert changed_tasks(said) == ["nginx : Run nginx"]
        assert host.check_output(LIMIT.format()) == "413"
    finally:
        run("nginx")
    assert host.check_output(LIMIT.format()) != "413"


def test_nginx_that_is_down_gets_its_configuration(host, run):
    """As after a boot at which it failed. Root's check comes before the service's."""
    host.check_output("systemctl stop nginx; rm -rf /run/nginx")
    try:
        run("nginx", "-e", "nginx_client_max_body_size=1k")
        assert host.check_output(LIMIT.format()) == "413"
    finally:
        run("nginx")
    assert host.service("nginx").is_running
