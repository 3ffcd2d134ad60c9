"""The lab says in words what it cannot do."""

import importlib.util
import re
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
def test_network_that_is_invalid(monkeypatch, text):
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
    with pytest.raises(lab.LabError, match=r"already uses 10\.1\.2\.0/24"):
        lab.network()


@pytest.mark.parametrize("name", ["", "Shop", "a b", "../etc", "x" * 31])
def test_machine_name_that_is_invalid(name):
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


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """A lab's folders below a temporary one, and a base system in which nothing is."""
    for name in ("CACHE", "IMAGES", "MACHINES"):
        monkeypatch.setattr(lab, name, tmp_path / name.lower())
    monkeypatch.setattr(lab, "KEY", tmp_path / "key")
    monkeypatch.setattr(lab, "SSH_CONFIG", tmp_path / "ssh_config")
    monkeypatch.setattr(lab, "uplink_mtu", lambda: 1500)
    (tmp_path / "base").mkdir()
    return tmp_path


@pytest.fixture
def make(folders):
    """Return a function that makes a machine's files, as its first `up` does."""

    def machine(name, lower=folders / "base"):
        made = lab.Machine(name)
        made._make(lower, lab.network())
        return made

    return machine


def test_machine_from_an_image_has_the_files_and_an_identity_of_its_own(make):
    saved = make("one")
    (saved.folder / "upper/etc/nginx").mkdir()
    (saved.folder / "upper/etc/nginx/nginx.conf").write_text("one")
    (saved.folder / "secrets").mkdir()
    (saved.folder / "secrets/password").write_text("secret")

    saved._copy_to(lab.image_folder("done"))
    other = make("two", lab.existing_image("done"))

    image = lab.IMAGES / "done"
    assert (image / "upper/etc/nginx/nginx.conf").read_text() == "one"
    assert lab.lower_layers(other.folder) == [image / "upper", lab.STATE / "base"]
    assert (other.folder / "secrets/password").read_text() == "secret"
    assert other.address != saved.address
    assert (other.folder / "upper/etc/hostname").read_text() == "two\n"
    for name in ("etc/machine-id", "etc/hosts", "etc/ssh/ssh_host_ed25519_key"):
        mine, theirs = (one.folder / "upper" / name for one in (other, saved))
        assert mine.read_text() != theirs.read_text(), name
    assert not list(image.glob("upper/etc/ssh/ssh_host_*"))


def test_machine_from_an_image_runs_only_ssh_until_it_is_renamed(make):
    """Prometheus would measure it, and the worker announce itself, by the other name."""
    saved = make("one")
    saved._copy_to(lab.image_folder("done"))
    made = make("two", lab.existing_image("done"))
    assert not (saved.folder / "renamed").exists()
    assert (made.folder / "renamed").exists()


def test_machine_from_an_image_is_not_at_its_first_boot(make):
    """At a first boot systemd enables the units of all packages."""
    saved = make("one")
    saved._copy_to(lab.image_folder("done"))
    made = make("two", lab.existing_image("done"))

    assert (saved.folder / "upper/etc/machine-id").read_text() == "uninitialized\n"
    assert re.fullmatch(r"[0-9a-f]{32}\n", (made.folder / "upper/etc/machine-id").read_text())


def test_image_of_a_machine_from_an_image_has_the_layers_of_both(make):
    make("one")._copy_to(lab.image_folder("first"))
    make("two", lab.existing_image("first"))._copy_to(lab.image_folder("second"))
    last = make("three", lab.existing_image("second"))
    uppers = [lab.IMAGES / name / "upper" for name in ("second", "first")]
    assert lab.lower_layers(last.folder) == [*uppers, lab.STATE / "base"]


def test_image_has_no_past(make, tmp_path):
    upper = make("one").folder / "upper"
    outside = tmp_path / "outside/today.log"
    past = ["var/lib/prometheus/metrics2/wal/1", "var/log/journal/id/system.journal"]
    past += ["var/lib/redis-broker/dump.rdb", "var/log/nginx/access.log"]
    kept = ["var/lib/postgresql/17/main/PG_VERSION", "var/log/apt/history.log"]
    for path in [outside, *(upper / name for name in [*past, *kept])]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (upper / "var/lib/redis-cache").symlink_to(outside.parent)

    lab.Machine("one")._copy_to(lab.image_folder("done"))

    copy = lab.IMAGES / "done/upper"
    assert not [name for name in past if (copy / name).exists()]
    assert not [name for name in kept if not (copy / name).exists()]
    assert (copy / "var/lib/prometheus/metrics2").is_dir()
    assert (upper / past[0]).exists()
    assert outside.exists()


def test_image_that_is_used(make):
    make("one")._copy_to(lab.image_folder("done"))
    make("two", lab.existing_image("done"))
    with pytest.raises(lab.LabError, match="two is made from the image done: remove two first"):
        lab.drop(["done"])


def test_image_that_is_not_there(folders):
    with pytest.raises(
        lab.LabError, match=r"no image done: make it with lab[.]py save MACHINE done"
    ):
        lab.existing_image("done")
    with pytest.raises(lab.LabError, match="no image name"):
        lab.existing_image("../done")


def test_only_a_machine_that_runs_is_saved(make):
    make("one")
    with pytest.raises(lab.LabError, match=r"one does not run: lab[.]py up one"):
        lab.Machine("one").save("done")
