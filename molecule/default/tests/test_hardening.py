"""The machine around the platform: SSH, kernel, updates, logs. After a reboot too."""

import re

import pytest
from conftest import POSTGRESQL

testinfra_hosts = ["ansible://all"]

UNITS = ["apt-daily.timer", "apt-daily-upgrade.timer", "firewall.service", "logrotate.timer"]
UNITS += ["prometheus-node-exporter-apt.timer", "ssh.service"]


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_active_and_enabled(host, unit):
    assert host.run(f"systemctl is-active {unit}").stdout == "active\n"
    assert host.run(f"systemctl is-enabled {unit}").stdout == "enabled\n"


def test_sshd_takes_keys_and_forwards_nothing(host):
    said = dict(line.split(" ", 1) for line in host.check_output("sshd -T").splitlines())
    wanted = {
        "allowagentforwarding": "no",
        "allowstreamlocalforwarding": "no",
        "allowtcpforwarding": "no",
        "kbdinteractiveauthentication": "no",
        "logingracetime": "30",
        "maxauthtries": "4",
        "passwordauthentication": "no",
        "permitemptypasswords": "no",
        "permitrootlogin": "without-password",
        "x11forwarding": "no",
    }
    assert wanted == {name: said[name] for name in wanted}
    assert "sha1" not in said["macs"]
    assert "hmac-sha2-512-etm@openssh.com" in said["macs"]


def test_network_parameters_hold_for_every_interface(host):
    """Of the kernel's other parameters a container only sees the host's."""
    values = host.check_output(
        "cd /proc/sys/net && grep . ipv4/conf/*/{rp_filter,log_martians}"
        " ipv[46]/conf/*/{accept_redirects,accept_source_route} ipv4/conf/*/send_redirects"
    ).splitlines()
    ones = [line for line in values if re.search(r"/(rp_filter|log_martians):1$", line)]
    zeros = [line for line in values if re.search(r"/(accept_\w+|send_redirects):0$", line)]
    assert len(ones) >= 6
    assert sorted(ones + zeros) == sorted(values)


def test_nothing_dumps_its_memory(host):
    for unit in ("jewelry-worker", POSTGRESQL, "redis-server@broker"):
        assert host.check_output(f"systemctl show --value -p LimitCORE {unit}") == "0"
    assert host.check_output("su -s /bin/sh jewelry -c 'ulimit -H -c'") == "0"


def test_security_updates_and_nothing_else_install_themselves_at_their_hour(host):
    said = host.run("unattended-upgrade --dry-run --verbose")
    assert said.rc == 0, said.stdout + said.stderr
    (allowed,) = re.findall(r"Allowed origins are: (.*)", said.stdout + said.stderr)
    assert allowed == "origin=Debian,codename=trixie-security,label=Debian-Security"
    shown = "systemctl show --value -p TimersCalendar apt-daily-upgrade.timer"
    assert "OnCalendar=*-*-* 04:00:00" in host.check_output(shown)


def test_updates_that_wait_are_counted(prometheus, eventually):
    names = ["node_reboot_required", "apt_package_cache_timestamp_seconds"]
    for name in names:
        assert eventually(lambda name=name: prometheus("query", query=name)["result"])


def test_journal_is_bounded(host):
    said = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "\nSystemMaxUse=1G" in said
