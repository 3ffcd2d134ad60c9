"""What strangers can reach and what the machine's own users can read."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor

testinfra_hosts = ["ansible://all"]


def test_open_ports_are_exactly_ssh_and_the_proxys(host):
    address = host.interface("host0").addresses[0]
    listening = host.check_output("ss -Hltn | awk '{print $4}'").splitlines()
    ports = {int(line.rsplit(":", 1)[1]) for line in listening} | {22, 80, 443, 3000, 5432, 6379}

    def is_open(port):
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex((address, port)) == 0

    with ThreadPoolExecutor(len(ports)) as pool:
        answers = dict(zip(ports, pool.map(is_open, ports), strict=True))
    assert {port for port in ports if answers[port]} == {22, 80, 443}


def test_no_udp_port_is_open_to_the_outside(host):
    listening = host.check_output("ss -Hlun | awk '{print $4}'").splitlines()
    assert [line for line in listening if not re.match(r"127\.|\[::1\]", line)] == []


def test_no_secret_is_world_readable(world_readable, secrets):
    patterns = "\\n".join(secrets.values())
    assert world_readable(f"printf '{patterns}\\n'") == ["/etc/planted"]


def test_no_secret_is_in_a_unit_or_an_argument_list(host, secrets):
    units = host.check_output("systemctl show '*.service' --property=Environment,ExecStart")
    arguments = host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "ExecStart" in units
    assert "gunicorn" in arguments
    for secret in secrets.values():
        assert secret not in units
        assert secret not in arguments


def test_no_secret_is_in_the_journal(host, secrets):
    journal = host.check_output("journalctl --no-pager --output cat")
    for secret in secrets.values():
        assert secret not in journal


def test_settings_are_the_applications_alone(host):
    files = host.check_output("ls /etc/jewelry/*.env").split()
    assert (
        len(files) >= 4
    )  # those of the inventory, and what web unit, worker and beat have of them
    for path in files:
        settings = host.file(path)
        assert (settings.user, settings.group, settings.mode) == ("root", "jewelry", 0o640)


def test_exporters_cannot_read_the_shops_tables(host):
    denied = host.run(
        "runuser -u prometheus-postgres-exporter -- psql -d jewelry -c 'select * from core_user'"
    )
    assert denied.rc != 0
    assert "permission denied" in denied.stderr
