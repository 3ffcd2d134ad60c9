"""Commands for the controller that documents and comments show are complete and work as typed."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TEXTS = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "*/README.md",
        "roles/*/README.md",
        "playbooks/*.yml",
        "inventories/**/*.yml",
    )
    for path in sorted(REPOSITORY.glob(pattern))
]
COMMAND = re.compile(
    r"(?:^\s*#?(?: {4}|\s+\d\. )|`)((?:\S*/)?ansible(?:-playbook|-vault)? [^`\n]+)", re.M
)


def commands():
    """Return each command with the file that shows it, without its comment."""
    found = {}
    for path in TEXTS:
        for command in COMMAND.findall(path.read_text()):
            found[re.sub(r"\s+#.*| \[.*", "", command).strip()] = path.relative_to(
                REPOSITORY
            ).as_posix()
    return found


COMMANDS = commands()
PLAYS = {command: where for command, where in COMMANDS.items() if "-playbook" in command}
# One of each playbook is run, for they differ in tags and variables, and each single module.
TRIED = {re.search(r"playbooks/(\w+)", command)[1]: command for command in sorted(PLAYS)}
TRIED |= {
    re.sub(r".* -m ([\w.]+).*", r"\1", command): command
    for command in COMMANDS
    if command.startswith(".venv/bin/ansible -i")
}


def lines_for_a_shell():
    """Return the documents' indented lines that begin with a program, continued ones joined."""
    programs = "amtool|apt-get|awk|cat|cp|curl|df|git|grep|jewelry-|journalctl|logrotate|ls|make"
    programs += "|mkdir|nft|nginx|openssl|promtool|ps|readlink|redis-|rm|runuser|sed|ssh|ss|sysctl"
    programs += "|systemctl|systemd-|tail|timedatectl|unattended-|token=|address="
    for path in TEXTS:
        if path.suffix == ".md":
            text = path.read_text().replace("\\\n", "")
            yield from re.findall(rf"^ {{4}}((?:{programs}).*)$", text, re.MULTILINE)


def test_the_shell_understands_every_command():
    lines = sorted(set(lines_for_a_shell()))
    assert len(lines) > 100
    for line in lines:
        done = subprocess.run(
            ["bash", "-n", "-c", line], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with an inventory that an operator has made as README says."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (".venv", "ansible.cfg", "app", "playbooks", "plugins", "roles"):
        (folder / name).symlink_to(REPOSITORY / name)
    production = folder / "inventories/production"
    shutil.copytree(REPOSITORY / "inventories/example", production)
    (folder / "inventories/lab").symlink_to(REPOSITORY / "inventories/lab")
    (folder / "password").write_text("of-the-vault")
    subprocess.run(
        [sys.executable, REPOSITORY / "roles/platform/files/make_secrets.py", production],
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "password")},
        capture_output=True,
        check=True,
    )
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_complete(command):
    where = COMMANDS[command]
    assert command.startswith(".venv/bin/"), where
    if "-vault" in command:
        return
    assert re.search(r" -i inventories/(production|lab) ", command), where
    production = "inventories/production" in command
    assert ("--ask-vault-pass" in command) == production, where
    becomes = "--become" in command or re.search(r"playbooks/(site|status|rollback)", command)
    assert ("--ask-become-pass" in command) == bool(becomes and production), where


def test_tags_exist():
    named = {
        tag
        for command in PLAYS
        for tags in re.findall(r"--tags (\S+)", command)
        for tag in tags.split(",")
    }
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventories/example", "playbooks/site.yml", "--list-tags"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    known = set(re.findall(r"\w+", " ".join(re.findall(r"TASK TAGS: \[(.*)\]", done.stdout))))
    assert named and named <= known


@pytest.mark.parametrize("playbook", sorted(TRIED))
def test_command_works_as_typed(checkout, playbook):
    """It asks for the vault's password; with --list-… it does not reach for the machine."""
    command = TRIED[playbook]
    is_playbook = "ansible-playbook" in command
    shown = "tasks" if is_playbook else "hosts"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(checkout)
        os.execvp("bash", ["bash", "-c", f"{command} --list-{shown}"])  # noqa: S606
    said = ""
    while True:
        try:
            said += os.read(terminal, 4000).decode()
        except OSError:
            break
        for asked, answer in (
            ("Vault password: ", b"of-the-vault\n"),
            ("BECOME password: ", b"\n"),
        ):
            if said.endswith(asked):
                os.write(terminal, answer)
                said += "\n"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    assert ("Vault password: " in said) == ("--ask-vault-pass" in command)
    assert f"{shown}:" in said or f"{shown} (" in said
