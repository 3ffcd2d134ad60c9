"""The firewall's rules from the inventory's variables, without a machine."""

import json
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_a_port_given_as_text_is_the_same_port():
    variables = {
        "firewall_tcp_ports": [443, 80],
        "firewall_extra_tcp_ports": ["8080", 25, "443"],
        "firewall_extra_udp_ports": ["53", 123],
        "firewall_ssh_from": [],
        "__firewall_ssh_ports": [22],
    }
    template = REPOSITORY / "roles/firewall/templates/etc/nftables/jewelry.nft.j2"

    rules = subprocess.run(
        ["ansible", "localhost", "-m", "ansible.builtin.debug", "-e", json.dumps(variables),
         "-a", f"msg={{{{ lookup('ansible.builtin.template', '{template}') }}}}"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip

    assert "tcp dport { 25, 80, 443, 8080 } accept" in rules, rules
    assert "udp dport { 53, 123 } accept" in rules
