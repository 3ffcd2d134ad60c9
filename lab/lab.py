#!/usr/bin/env python3
"""Make and remove lab machines: Debian 13 with systemd as process 1, reached over SSH.

A machine is a systemd-nspawn container on an overlay of one shared base made by mmdebstrap, with
a cgroup and an address of its own on a bridge with NAT. It survives `reboot`. Machines take over
the controller's Debian mirror, apt options, certificates and name servers.

    lab.py up [--image IMAGE] NAME...  make the machines, or leave them as they are
    lab.py down [--purge] NAME...      remove them; with the last one the network (and all else) too
    lab.py save [--off] NAME IMAGE     keep a machine as an image; boot it again, or leave it off
    lab.py drop IMAGE...               remove images
    lab.py list                        name and address of every machine

A machine made from an image has the files and the secrets of the machine that was saved, and a
name, an address, keys and a machine id of its own. It does not have that machine's past: see PAST.
At its first boot it runs SSH and nothing else, for its files still have the other name and address:
site.yml puts that right and starts the services.

Needs root and, of Debian's packages, systemd-container, mmdebstrap, iproute2, nftables and
openssh-client. `LAB_NETWORK` (a /24 such as 10.99.7.0/24) chooses another network.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

STATE = Path("/var/lib/jewelry-lab")
CACHE = Path("/var/cache/jewelry-lab")
MACHINES = STATE / "machines"
IMAGES = STATE / "images"
KEY = STATE / "id_ed25519"
SSH_CONFIG = STATE / "ssh_config"

NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
SUITE = "trixie"
PACKAGES = [
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "systemd-sysv",
    "udev",
]
TOOLS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh-keygen": "openssh-client",
}
BRIDGE = "jewelry-lab"
DEFAULT_NETWORK = "10.213.77.0/24"
BOOT_SECONDS = 60
STOP_SECONDS = 120  # a web unit waits up to 90 s for its last requests
# An image leaves out what makes a machine this one, and what it has logged, measured, queued and
# scheduled: a machine made from the image would take it for its own.
IDENTITY = ["etc/machine-id", "etc/ssh/ssh_host_*", "var/lib/systemd/random-seed"]
PAST = [
    "var/lib/jewelry/*",
    "var/lib/private/*/*",
    "var/lib/prometheus-nginx-log-exporter/*",
    "var/lib/prometheus/alertmanager/*",
    "var/lib/prometheus/metrics2/*",
    "var/lib/redis-*/*",
    "var/log/journal/*",
    "var/log/nginx/*",
    "var/log/postgresql/*",
    "var/tmp/*",
]
# What lab.py keeps in a machine's folder; all else there is the inventory's, such as its secrets.
OWN_FILES = {"address", "console.log", "known_hosts", "lower", "pid", "ready", "renamed", "root"}
OWN_FILES |= {"ssh_config", "upper", "work"}
ONLY_SSH = ["systemd.unit=basic.target"]
ONLY_SSH += [
    f"systemd.wants={unit}.service" for unit in ("ssh", "systemd-networkd", "systemd-user-sessions")
]
REBOOT_STATUS = 133  # systemd-nspawn's exit status with --keep-unit when the machine reboots


class LabError(Exception):
    """What went wrong and what to do about it, in words for the operator."""


def run(*command: str | Path, **options) -> str:
    """Run a command and return its standard output; raise LabError with its words if it fails."""
    done = subprocess.run(
        [str(word) for word in command], text=True, capture_output=True, check=False, **options
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise LabError(f"`{' '.join(map(str, command))}` failed ({done.returncode}): {words}")
    return done.stdout


def say(message: str) -> None:
    """Tell the operator what is being done."""
    print(message, flush=True)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one lab command at a time change the shared state."""
    # The controller's other users see no machine's files: some belong to a number that is theirs.
    for folder in (STATE, CACHE):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- What the controller must offer ---------------------------------------------------------------


def check_controller() -> None:
    """Raise LabError unless this machine can carry lab machines."""
    if os.geteuid() != 0:
        raise LabError("lab machines need root: run this with sudo")
    missing = {package for tool, package in TOOLS.items() if not shutil.which(tool)}
    if missing:
        raise LabError(f"missing Debian packages: apt-get install {' '.join(sorted(missing))}")
    if "overlay" not in Path("/proc/filesystems").read_text():
        subprocess.run(["modprobe", "overlay"], check=False, capture_output=True)
        if "overlay" not in Path("/proc/filesystems").read_text():
            raise LabError("this kernel has no overlay filesystem (modprobe overlay failed)")
    cgroup_roots()


def cgroup_roots() -> list[Path]:
    """Return the cgroup hierarchies systemd keeps: one on a unified host, two on a hybrid one."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    if (top / "unified/cgroup.procs").exists():
        return [top / name for name in ("unified", "systemd") if (top / name).is_dir()]
    raise LabError("no cgroup v2 hierarchy is mounted below /sys/fs/cgroup: systemd needs one")


def host_runs_systemd() -> bool:
    """Tell whether the controller itself was booted with systemd."""
    return Path("/run/systemd/system").is_dir()


# --- The base: Debian's packages, made once -------------------------------------------------------


def apt_sources() -> list[str]:
    """Return sources.list lines for SUITE on the mirrors that the controller uses for Debian."""
    listing = run(
        "apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"
    )
    mirrors = dict(line.split("|", 1) for line in reversed(listing.splitlines()))
    if "Debian" not in mirrors:
        raise LabError("apt knows no Debian mirror: check /etc/apt/sources*, run apt-get update")
    lines = [f"deb {mirrors['Debian']} {suite} main" for suite in (SUITE, f"{SUITE}-updates")]
    if "Debian-Security" in mirrors:
        lines.append(f"deb {mirrors['Debian-Security']} {SUITE}-security main")
    return lines


def apt_options() -> list[str]:
    """Return the controller's apt options that say how to fetch (proxies, checks, retries)."""
    wanted = re.compile(r"Acquire::(http|https|Check-|Retries|ForceIPv)[^ ]* \"[^\"]+\";")
    return [
        line
        for line in run("apt-config", "dump").splitlines()
        if wanted.match(line) and "Auto-Detect" not in line
    ]


def certificates() -> dict[str, bytes]:
    """Return the certificates the controller's operator added to those it trusts, by file name."""
    folder = Path("/usr/local/share/ca-certificates")
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.crt"))}


def base() -> Path:
    """Return the folder of the base system, made first if its recipe has changed."""
    sources, options, trusted = apt_sources(), apt_options(), certificates()
    recipe = json.dumps([SUITE, PACKAGES, sources, options, [c.hex() for c in trusted.values()]])
    folder = CACHE / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    say(f"making the base system from Debian's packages ({SUITE}); this takes about a minute")
    unfinished = folder.with_name(f"unfinished-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        *(f"--aptopt={option}" for option in options),
        SUITE,
        unfinished,
        *sources,
    )
    for name, content in trusted.items():
        (unfinished / "usr/local/share/ca-certificates" / name).write_bytes(content)
    run("chroot", unfinished, "update-ca-certificates")
    run("chroot", unfinished, "systemctl", "enable", "systemd-networkd")
    for leftover in [*unfinished.glob("etc/ssh/ssh_host_*"), unfinished / "etc/machine-id"]:
        leftover.unlink(missing_ok=True)
    # mmdebstrap leaves no package lists: say that they are old, or Ansible takes them for fresh.
    os.utime(unfinished / "var/lib/apt/lists", (0, 0))
    unfinished.rename(folder)
    return folder


# --- The network: one bridge with NAT -------------------------------------------------------------


def network() -> ipaddress.IPv4Network:
    """Return the lab's network: that of the bridge if it stands, else the one to make."""
    recorded = STATE / "network"
    text = recorded.read_text() if recorded.exists() else None
    wanted = os.environ.get("LAB_NETWORK") or text or DEFAULT_NETWORK
    try:
        chosen = ipaddress.IPv4Network(wanted)
    except ValueError as error:
        raise LabError(f"LAB_NETWORK={wanted} is not a network such as 10.99.7.0/24") from error
    if chosen.prefixlen > 24:
        raise LabError(f"LAB_NETWORK={wanted} is too small: give a /24")
    if text and text != str(chosen):
        raise LabError(f"the lab already uses {text}: remove its machines first (make down)")
    return chosen


def make_network() -> ipaddress.IPv4Network:
    """Make the bridge, its address and the NAT rule; put right what is missing of them."""
    chosen = network()
    rules = (
        "table ip jewelry_lab\n delete table ip jewelry_lab\n"
        "table ip jewelry_lab {\n chain nat {\n  type nat hook postrouting priority srcnat\n"
        f"  ip saddr {chosen} ip daddr != {chosen} masquerade\n }}\n}}\n"
    )
    forwarding, before = Path("/proc/sys/net/ipv4/ip_forward"), STATE / "ip_forward"
    try:
        if not Path(f"/sys/class/net/{BRIDGE}").exists():
            refuse_taken(chosen)
            run("ip", "link", "add", BRIDGE, "type", "bridge")
            run("ip", "address", "add", f"{chosen[1]}/{chosen.prefixlen}", "dev", BRIDGE)
            run("ip", "link", "set", BRIDGE, "up")
        run("nft", "--file", "-", input=rules)
        if not before.exists():
            before.write_text(forwarding.read_text())
        forwarding.write_text("1")
    except LabError:
        remove_network()
        raise
    (STATE / "network").write_text(str(chosen))
    return chosen


def refuse_taken(chosen: ipaddress.IPv4Network) -> None:
    """Raise LabError if the controller already has a route into the network."""
    for route in json.loads(run("ip", "-json", "route")):
        if route["dst"] != "default" and ipaddress.IPv4Network(route["dst"]).overlaps(chosen):
            raise LabError(
                f"{chosen} is taken here by {route['dst']} on {route.get('dev', 'no device')}: "
                "choose another, such as LAB_NETWORK=10.99.7.0/24"
            )


def uplink_mtu() -> int:
    """Return the MTU in bytes on the way out, which a tunnel or a cloud may have lowered."""
    for route in json.loads(run("ip", "-json", "route", "show", "default")):
        if "dev" in route:
            return int(Path(f"/sys/class/net/{route['dev']}/mtu").read_text())
    return 1500


def remove_network() -> None:
    """Take away the bridge and the NAT rule and put ip_forward back."""
    for command in (["ip", "link", "del", BRIDGE], ["nft", "delete table ip jewelry_lab"]):
        subprocess.run(command, capture_output=True, check=False)
    before = STATE / "ip_forward"
    if before.exists():
        Path("/proc/sys/net/ipv4/ip_forward").write_text(before.read_text())
    for path in (before, STATE / "network"):
        path.unlink(missing_ok=True)


# --- An image: what a machine was, for others to start from ---------------------------------------


def image_folder(name: str) -> Path:
    """Return the folder of an image; raise LabError when the name is none that it could have."""
    if not NAME.fullmatch(name):
        raise LabError(f"{name!r} is no image name: a-z, 0-9 and -, at most 30 characters")
    return IMAGES / name


def existing_image(name: str) -> Path:
    """Return the folder of an image; raise LabError if there is none."""
    folder = image_folder(name)
    if not folder.exists():
        raise LabError(f"there is no image {name}: make it with lab.py save MACHINE {name}")
    return folder


def forget(root: Path, patterns: list[str]) -> None:
    """Remove from a machine's files what matches; nothing that a link reaches outside of them."""
    for path in [found for pattern in patterns for found in root.glob(pattern)]:
        if not path.parent.resolve().is_relative_to(root):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def lower_layers(folder: Path) -> list[Path]:
    """Return what lies below the upper layer of a machine or an image: images and the base."""
    lower = (folder / "lower").resolve()
    if not (lower / "upper").exists():
        return [lower]
    return [lower / "upper", *lower_layers(lower)]


def refuse_used(image: str) -> None:
    """Raise LabError if a machine or another image is made from the image."""
    folder = image_folder(image)
    for other in [*MACHINES.glob("*/"), *IMAGES.glob("*/")]:
        if folder / "upper" in lower_layers(other):
            raise LabError(
                f"{other.name} is made from the image {image}: remove {other.name} first"
            )


# --- A machine ------------------------------------------------------------------------------------


class Machine:
    """One lab machine and the files that make it."""

    def __init__(self, name: str):
        """Raise LabError when the name is none that a host could have."""
        if not NAME.fullmatch(name):
            raise LabError(f"{name!r} is no machine name: a-z, 0-9 and -, at most 30 characters")
        self.name = name
        self.folder = MACHINES / name
        self.root = self.folder / "root"
        self.pid_file = self.folder / "pid"
        self.console = self.folder / "console.log"
        self.cgroups = [top / "jewelry-lab" / name for top in cgroup_roots()]
        self.unit = f"jewelry-lab-{name}.service"

    @property
    def address(self) -> str:
        """The machine's IPv4 address."""
        return (self.folder / "address").read_text()

    def is_running(self) -> bool:
        """Tell whether the machine's supervisor is alive."""
        try:
            command = Path(f"/proc/{self.pid_file.read_text()}/cmdline").read_bytes()
        except OSError:
            return False
        return self.name.encode() in command.split(b"\0")

    def up(self, image: str | None = None) -> None:
        """Make the machine, from an image or bare, boot it and wait until it answers over SSH.

        A machine that is there is booted as it is, and one that runs is left alone.
        """
        with locked():
            if self.is_running():
                return
            lower = existing_image(image) if image else base()
            chosen = make_network()
            if self.folder.exists() and not (self.folder / "ready").exists():
                shutil.rmtree(self.folder)  # a first start was interrupted
            if not self.folder.exists():
                self._make(lower, chosen)
            self._boot()

    def _boot(self) -> None:
        say(f"{self.name}: booting on {self.address}")
        self._start()
        self._wait_for_ssh()

    def _make(self, lower: Path, chosen: ipaddress.IPv4Network) -> None:
        for part in ("upper/etc/systemd/network", "upper/etc/ssh", "upper/root/.ssh", "work"):
            (self.folder / part).mkdir(parents=True)
        self.root.mkdir()
        (self.folder / "upper/root").chmod(0o700)
        (self.folder / "upper/root/.ssh").chmod(0o700)
        (self.folder / "lower").symlink_to(lower)
        machine_id = "uninitialized"
        if (lower / "upper").exists():
            # Not "uninitialized": at a first boot systemd enables every unit that a package brings.
            machine_id = uuid.uuid4().hex
            (self.folder / "renamed").touch()
            for path in (lower / "inventory").iterdir():
                run("cp", "--archive", path, self.folder)
        taken = {path.read_text() for path in MACHINES.glob("*/address")}
        address = next(str(ip) for ip in list(chosen.hosts())[9:] if str(ip) not in taken)
        (self.folder / "address").write_text(address)
        if not KEY.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "jewelry-lab", "-f", KEY)
        host_key = self.folder / "upper/etc/ssh/ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", host_key)
        public = host_key.with_suffix(".pub").read_text()
        files = {
            "upper/etc/hostname": f"{self.name}\n",
            "upper/etc/hosts": f"127.0.0.1 localhost\n{address} {self.name}\n",
            "upper/etc/machine-id": f"{machine_id}\n",
            "upper/etc/resolv.conf": name_servers(str(chosen[1])),
            "upper/etc/systemd/network/10-host0.network": (
                f"[Match]\nName=host0\n\n[Link]\nMTUBytes={uplink_mtu()}\n\n[Network]\n"
                f"Address={address}/{chosen.prefixlen}\nGateway={chosen[1]}\n"
            ),
            "upper/root/.ssh/authorized_keys": KEY.with_suffix(".pub").read_text(),
            "known_hosts": f"{address} {public}",
            # With ControlMaster, as Ansible and the tests ask for it, one connection serves all.
            "ssh_config": (
                f"Host {self.name}\n  HostName {address}\n  User root\n  IdentityFile {KEY}\n"
                f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.folder}/known_hosts\n"
                "  StrictHostKeyChecking yes\n"
                f"  ControlPath {self.folder}/ssh-%r\n  ServerAliveInterval 5\n"
            ),
            "ready": "",
        }
        for name, content in files.items():
            (self.folder / name).write_text(content)
        SSH_CONFIG.write_text(f"Include {MACHINES}/*/ssh_config\n")

    def _start(self) -> None:
        # A mount namespace of its own: the mounts vanish with the machine's last process.
        supervise = [
            *("unshare", "--mount", "--propagation=private"),
            *(sys.executable, str(Path(__file__).resolve()), "supervise", self.name),
        ]
        if host_runs_systemd():
            run("systemd-run", "--quiet", "--collect", f"--unit={self.unit}",
                "--property=Delegate=yes", "--property=KillMode=mixed", *supervise)  # fmt: skip
            return
        subprocess.Popen(
            supervise,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_for_ssh(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((self.address, 22), timeout=1) as connection,
            ):
                if connection.recv(4) == b"SSH-":
                    return
            time.sleep(0.1)
        raise LabError(
            f"{self.name} did not answer on {self.address}:22 within {BOOT_SECONDS} s; "
            f"the end of {self.console}:\n{tail(self.console)}"
        )

    def supervise(self) -> None:
        """Run the machine until it is powered off; start it again when it reboots."""
        # A cgroup of its own: machines that share one would kill each other's services.
        if not host_runs_systemd():
            for group in self.cgroups:
                group.mkdir(parents=True, exist_ok=True)
                (group / "cgroup.procs").write_text(str(os.getpid()))
        self.pid_file.write_text(str(os.getpid()))
        lower = ":".join(map(str, lower_layers(self.folder)))
        layers = f"lowerdir={lower},upperdir={self.folder}/upper,workdir={self.folder}/work"
        with self.console.open("ab") as console:
            run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
            if not host_runs_systemd():
                Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
                run("mount", "-t", "tmpfs", "tmpfs", "/run/systemd/nspawn")
            command = [
                "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
                f"--directory={self.root}", f"--machine={self.name}",
                f"--network-bridge={BRIDGE}", "--resolv-conf=off", "--timezone=off",
                "--link-journal=no", "--console=read-only",
            ]  # fmt: skip
            environment = {**os.environ, "UNIFIED_CGROUP_HIERARCHY": "1"}
            status = REBOOT_STATUS
            while status == REBOOT_STATUS:
                renamed = self.folder / "renamed"
                status = subprocess.run(
                    command + (ONLY_SSH if renamed.exists() else []),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                    check=False,
                ).returncode
                renamed.unlink(missing_ok=True)

    def save(self, image: str, off: bool = False) -> None:
        """Shut the machine down, keep its files as an image, and boot it again, unless `off`."""
        folder = image_folder(image)
        with locked():
            if not self.is_running():
                raise LabError(f"{self.name} does not run: lab.py up {self.name}")
            refuse_used(image)
            say(f"{self.name}: shutting down, to be kept as the image {image}")
            self._shut_down()
            try:
                self._copy_to(folder)
            finally:
                if not off:
                    self._boot()

    def _shut_down(self) -> None:
        supervisor = self.pid_file.read_text()
        nspawn = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
        os.kill(int(nspawn), signal.SIGTERM)  # orderly, as `systemctl poweroff`
        deadline = time.monotonic() + STOP_SECONDS
        while self.is_running():
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not shut down within {STOP_SECONDS} s")
            time.sleep(0.1)

    def _copy_to(self, image: Path) -> None:
        unfinished = image.with_name(f"unfinished-{image.name}")
        for folder in (unfinished, image):
            shutil.rmtree(folder, ignore_errors=True)
        (unfinished / "inventory").mkdir(parents=True)
        # With the extended attributes in which an overlay keeps what was removed.
        run("cp", "--archive", self.folder / "upper", unfinished)
        forget(unfinished / "upper", [*IDENTITY, *PAST])
        for path in self.folder.iterdir():
            if path.name not in OWN_FILES and not path.is_socket():
                run("cp", "--archive", path, unfinished / "inventory")
        (unfinished / "lower").symlink_to((self.folder / "lower").resolve())
        unfinished.rename(image)

    def down(self) -> bool:
        """Kill the machine and remove its files; return whether there was one."""
        if not self.folder.exists():
            return False
        if host_runs_systemd():
            subprocess.run(["systemctl", "kill", "--signal=SIGKILL", self.unit],
                           capture_output=True, check=False)  # fmt: skip
        else:
            self._kill_cgroup()
        deadline = time.monotonic() + 20
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.is_running():
            raise LabError(f"{self.name} does not stop: see `ps -p {self.pid_file.read_text()}`")
        # The kernel takes a moment to drop the machine's end of the cable, and with it ours.
        cable = ["ip", "link", "show", f"vb-{self.name}"]
        while subprocess.run(cable, capture_output=True, check=False).returncode == 0:
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.name}: its network interface stays: ip link del vb-{self.name}"
                )
            time.sleep(0.05)
        shutil.rmtree(self.folder)
        return True

    def _kill_cgroup(self) -> None:
        group = self.cgroups[0]
        if not group.exists():
            return
        (group / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + 20
        while "populated 1" in (group / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: processes in {group} do not die")
            time.sleep(0.05)
        for group in self.cgroups:
            for folder in sorted(group.rglob("*/"), reverse=True):
                folder.rmdir()
            if group.exists():
                group.rmdir()


def name_servers(gateway: str) -> str:
    """Return a resolv.conf whose servers a machine can reach; a loopback server cannot be."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        if Path(path).exists():
            text = Path(path).read_text()
            if not re.search(r"^nameserver\s+(127\.|::1)", text, re.MULTILINE):
                return text
    return f"nameserver {gateway}\n"


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a text file, or a note that it is not there."""
    if not path.exists():
        return f"({path} was never written)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def remove(names: list[str], purge: bool) -> None:
    """Remove machines, with the last one the network and, to purge, the base and all state."""
    with locked():
        for name in names:
            if Machine(name).down():
                say(f"{name}: removed")
        if not (MACHINES.exists() and any(MACHINES.iterdir())):
            remove_network()
            for group in cgroup_roots():
                with contextlib.suppress(OSError):
                    (group / "jewelry-lab").rmdir()
            if purge:
                shutil.rmtree(CACHE, ignore_errors=True)
                shutil.rmtree(STATE, ignore_errors=True)


def drop(images: list[str]) -> None:
    """Remove images that nothing stands on."""
    with locked():
        for image in images:
            refuse_used(image)
            if image_folder(image).exists():
                shutil.rmtree(image_folder(image))
                say(f"image {image}: removed")


def main() -> None:
    """Do what the command line says; end with status 1 and words when that cannot be done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up")
    up.add_argument("--image")
    up.add_argument("names", nargs="+")
    down = verbs.add_parser("down")
    down.add_argument("--purge", action="store_true")
    down.add_argument("names", nargs="+")
    save = verbs.add_parser("save")
    save.add_argument("--off", action="store_true")
    save.add_argument("name")
    save.add_argument("image")
    verbs.add_parser("drop").add_argument("images", nargs="+")
    verbs.add_parser("list")
    verbs.add_parser("supervise").add_argument("name")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        check_controller()
        if arguments.verb == "up":
            for name in arguments.names:
                Machine(name).up(arguments.image)
        elif arguments.verb == "down":
            remove(arguments.names, arguments.purge)
        elif arguments.verb == "save":
            Machine(arguments.name).save(arguments.image, arguments.off)
        elif arguments.verb == "drop":
            drop(arguments.images)
        elif arguments.verb == "supervise":
            Machine(arguments.name).supervise()
        else:
            for folder in sorted(MACHINES.glob("*/address")):
                say(f"{folder.parent.name} {folder.read_text()}")
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
