"""What others install on a machine runs as they say, whatever it is called."""

import pytest

testinfra_hosts = ["ansible://all"]

UNIT = "/etc/systemd/system/jewelry-x.service"
PACKAGES = ("prometheus-process-exporter", "prometheus-apache-exporter")


@pytest.fixture
def oneshot(host):
    """A unit that runs once, with a name like those of the platform."""
    lines = "[Service]\\nType=oneshot\\nExecStart=/usr/bin/touch /run/jewelry-x\\n"
    host.check_output(f"printf '{lines}' > {UNIT}; systemctl daemon-reload")
    yield "jewelry-x"
    host.check_output(f"rm -f {UNIT} /run/jewelry-x; systemctl daemon-reload")


@pytest.fixture
def packages(host):
    """Exporters that the platform does not know."""
    apt = "DEBIAN_FRONTEND=noninteractive apt-get -qy"
    host.check_output(f"{apt} install --no-install-recommends {' '.join(PACKAGES)}")
    yield PACKAGES
    host.check_output(f"{apt} purge {' '.join(PACKAGES)}")


def test_oneshot_unit_runs(host, oneshot):
    assert host.run(f"systemctl start {oneshot}").rc == 0
    assert host.file("/run/jewelry-x").exists


def test_exporters_of_other_packages_run(host, packages, eventually):
    def running(unit):
        return host.check_output(f"systemctl show -p SubState --value {unit}") == "running"

    for unit in packages:
        eventually(lambda unit=unit: running(unit), 10)
        shown = host.check_output(f"systemctl show -p User -p DropInPaths -p NRestarts {unit}")
        assert set(shown.splitlines()) == {"User=prometheus", "DropInPaths=", "NRestarts=0"}
