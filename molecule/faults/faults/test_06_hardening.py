"""What protects the machine locks nobody out, and comes back."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://all"]

INVENTORY = Path(__file__).parents[1] / "inventory"


@pytest.fixture
def reachable(host):
    """Return a function that gives those of the ports that answer from outside."""
    address = host.interface("host0").addresses[0]

    def answers(port):
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex((address, port)) == 0

    def among(*ports):
        with ThreadPoolExecutor() as pool:
            found = zip(ports, pool.map(answers, ports), strict=True)
        return {port for port, answered in found if answered}

    return among


@pytest.fixture
def run(play):
    """Return a function that runs one role of site.yml with variables and gives what it said."""

    def with_variables(role, *arguments, status=0, **variables):
        extra = ["--tags", role, "-e", json.dumps(variables), *arguments]
        done = play(INVENTORY, "site.yml", *extra)
        assert done.returncode == status, done.stdout
        return " ".join(done.stdout.split())

    return with_variables


@pytest.fixture
def listeners(host):
    """Something that somebody has started beside the platform, open to the world."""
    for port in (7001, 7002):
        host.check_output(
            f"systemd-run --quiet --unit=stray-{port} python3 -m http.server {port} -d /opt"
        )
    yield
    host.check_output("systemctl stop stray-7001 stray-7002")


def test_ports_open_as_the_inventory_says_and_lock_outs_roll_back(
    host, run, reachable, listeners, eventually
):
    listening = "curl -sf -o /dev/null 127.0.0.1:7001 127.0.0.1:7002"
    eventually(lambda: host.run(listening).rc == 0)
    ports = (22, 80, 443, 7001, 7002)
    assert reachable(*ports) == {22, 80, 443}
    host.check_output("nft add table inet operator; nft add rule inet jewelry input accept")
    try:
        assert reachable(*ports) == set(ports)
        # What somebody has changed by hand is put right; tables of others stay.
        assert "changed=0 " not in run("firewall", firewall_extra_tcp_ports=[7001])
        assert reachable(*ports) == {22, 80, 443, 7001}
        assert host.run("nft list table inet operator").rc == 0

        said = run("firewall", status=2, firewall_ssh_from=["192.0.2.0/24"])
        assert "rules shut SSH" in said
        assert "`firewall_ssh_from` (192.0.2.0/24)" in said
        assert reachable(*ports) == {22, 80, 443, 7001}
    finally:
        host.check_output("nft delete table inet operator")
        run("firewall")
    assert reachable(*ports) == {22, 80, 443}


def test_sshd_comes_back_however_it_ended(host, reachable, eventually):
    for signal in ("KILL", "TERM"):
        host.check_output(f"systemctl kill --kill-whom=main -s {signal} ssh")
        eventually(lambda: host.service("ssh").is_running)
    assert reachable(22)
    assert host.check_output("systemctl show --value -p NRestarts ssh") != "0"
    host.check_output("systemctl restart ssh")  # counts from 0 again


def test_passwords_stay_while_no_key_is_there(host, run):
    """sshd itself keeps the keys that it knows; only the files say otherwise."""
    file = "/etc/ssh/sshd_config.d/01-test.conf"
    host.check_output(f"echo AuthorizedKeysFile /nonexistent > {file}")
    try:
        said = run("ssh", "--check", "--diff")
    finally:
        host.check_output(f"rm {file}")
    assert "sshd still takes passwords" in said
    assert "-PasswordAuthentication no" in said


def test_logs_are_rotated_by_size_and_nginx_continues_to_write(host, site):
    """The error log stands for both: what reads the access log is spared 100 MB."""
    before = host.check_output("ls /var/log/nginx/error.log.* 2> /dev/null | wc -l")
    host.check_output("truncate -s 101M /var/log/nginx/error.log && systemctl start logrotate")
    assert host.file("/var/log/nginx/error.log").size < 1000000
    after = host.check_output("ls /var/log/nginx/error.log.* | wc -l")
    assert int(after) == int(before) + 1
    host.check_output("truncate -s 0 /var/log/nginx/error.log.1")

    host.check_output("logrotate --force /etc/logrotate.conf")
    site("GET", "/after-the-rotation")
    assert "/after-the-rotation" in host.file("/var/log/nginx/access.log").content_string
