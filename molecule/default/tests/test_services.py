"""Every service runs, comes back at boot, and has not fallen over since it started."""

import pytest
from conftest import POSTGRESQL, SERVICES

testinfra_hosts = ["ansible://all"]

UNITS = sorted(
    service["unit"].removesuffix(".service")
    for service in SERVICES.values()
    if service["alerts"] != "machine"
    and "@live" not in service["unit"]
    and "{" not in service["groups"]
)


def live_web_unit(host):
    return f"jewelry-web@{host.check_output('readlink /run/jewelry-web/live')}"


@pytest.mark.parametrize("unit", [*UNITS, "live web unit"])
def test_unit_is_active_enabled_and_not_restarting(host, unit):
    unit = live_web_unit(host) if unit == "live web unit" else unit
    # PostgreSQL's clusters are started by the enabled postgresql.service.
    enabled = "postgresql" if unit.startswith("postgresql@") else unit
    assert host.service(unit).is_running
    assert host.service(enabled).is_enabled
    assert host.check_output(f"systemctl show --value -p NRestarts {unit}") == "0"


# Folders that systemd does not make for the unit.
MORE_FOLDERS = {
    "nginx": "/var/log/nginx/*.log",
    POSTGRESQL: "/var/lib/postgresql/* /run/postgresql/*",
    "prometheus": "/var/lib/prometheus/metrics2",
}


@pytest.mark.parametrize("unit", [*UNITS, "live web unit"])
def test_service_owns_what_lies_in_its_folders(host, unit):
    """Else somebody else's check or command has made a file there that the service cannot write."""
    unit = live_web_unit(host) if unit == "live web unit" else unit
    names = ("User", "StateDirectory", "RuntimeDirectory", "CacheDirectory", "LogsDirectory")
    shown = host.check_output(f"systemctl show -p {','.join(names)} {unit}").splitlines()
    unit_has = dict(line.split("=", 1) for line in shown)
    roots = dict(zip(names[1:], ("/var/lib", "/run", "/var/cache", "/var/log"), strict=True))
    folders = [f"{roots[name]}/{one}" for name in roots for one in unit_has[name].split()]
    listed = " ".join([*folders, MORE_FOLDERS.get(unit, "")]).strip()
    if listed:
        assert host.check_output(f"find {listed} ! -user {unit_has['User']}") == ""


def test_only_one_web_unit_runs(host):
    running = host.check_output(
        "systemctl list-units --plain --no-legend --state=active 'jewelry-web@*.service'"
    )
    assert len(running.splitlines()) == 1


def test_no_unit_has_failed(host):
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_stock_redis_does_not_run(host):
    assert not host.service("redis-server").is_running


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.startswith("prometheus")])
def test_exporters_are_users_of_their_own(host, unit):
    pid = host.check_output(f"systemctl show --value -p MainPID {unit}")
    assert host.check_output(f"stat -c %U /proc/{pid}") == unit


@pytest.mark.parametrize("unit", [*UNITS, "live web unit"])
def test_unit_is_sandboxed(host, unit):
    unit = live_web_unit(host) if unit == "live web unit" else unit
    report = host.check_output(f"systemd-analyze security --no-pager {unit} | tail -n 1")
    exposure = float(report.split(":")[1].split()[0])
    assert exposure <= 1.8, report


def test_status_says_healthy(host):
    report = host.run("jewelry-status --wait 60")
    assert report.rc == 0, report.stdout + report.stderr
    assert "0 not applied" in report.stdout
    assert report.stdout.endswith("healthy\n")
