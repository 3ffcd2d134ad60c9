"""The lab says in words what it cannot do."""

import importlib.util
from pathlib import Path

import pytest

path = Path(__file__).parents[1] / "lab/lab.py"
spec = importlib.util.spec_from_file_location("lab", path)
lab = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lab)


@pytest.fixture(autouse=True)
def nothing_stands(monkeypatch, tmp_path):
    """Keep the tests away from a lab that stands on this machine."""
    monkeypatch.setattr(lab, "STATE", tmp_path)
    monkeypatch.setattr(lab, "BRIDGE", "jewelry-none")
    monkeypatch.delenv("LAB_NETWORK", raising=False)


@pytest.mark.parametrize("text", ["10.99.7.1", "10.99.7.0/33", "10.99.7.1/24", "10.99.7.0/28"])
def test_network_that_is_none(monkeypatch, text):
    monkeypatch.setenv("LAB_NETWORK", text)
    with pytest.raises(lab.LabError, match=f"LAB_NETWORK={text}"):
        lab.network()


def test_network_that_is_taken(monkeypatch):
    routes = '[{"dst": "default", "dev": "eth0"}, {"dst": "10.213.0.0/16", "dev": "vpn0"}]'
    monkeypatch.setattr(lab, "run", lambda *command: routes)
    with pytest.raises(
        lab.LabError, match=r"10\.213\.77\.0/24 is taken here by .* on vpn0: choose"
    ):
        lab.refuse_taken(lab.network())


def test_network_of_a_lab_that_stands(monkeypatch, tmp_path):
    (tmp_path / "network").write_text("10.1.2.0/24")
    assert str(lab.network()) == "10.1.2.0/24"
    monkeypatch.setenv("LAB_NETWORK", "10.99.7.0/24")
    with pytest.raises(lab.LabError, match=r"already stands on 10\.1\.2\.0/24"):
        lab.network()


@pytest.mark.parametrize("name", ["", "Shop", "a b", "../etc", "x" * 31])
def test_machine_name_that_is_none(name):
    with pytest.raises(lab.LabError, match="no machine name"):
        lab.Machine(name)


def test_not_root(monkeypatch):
    monkeypatch.setattr(lab.os, "geteuid", lambda: 1000)
    with pytest.raises(lab.LabError, match="sudo"):
        lab.check_controller()


def test_missing_packages(monkeypatch):
    monkeypatch.setattr(lab.os, "geteuid", lambda: 0)
    monkeypatch.setattr(lab.shutil, "which", lambda tool: None)
    with pytest.raises(lab.LabError, match="apt-get install iproute2 mmdebstrap"):
        lab.check_controller()


def test_name_servers_on_the_loopback_cannot_be_used(monkeypatch):
    monkeypatch.setattr(lab.Path, "exists", lambda path: str(path) == "/etc/resolv.conf")
    monkeypatch.setattr(lab.Path, "read_text", lambda path: "nameserver 127.0.0.53\n")
    assert lab.name_servers("10.1.2.1") == "nameserver 10.1.2.1\n"
