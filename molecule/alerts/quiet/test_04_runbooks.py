"""The commands of documents run on a healthy machine; those under "Confirm" change nothing."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://monitoring"]

REPOSITORY = Path(__file__).parents[3]
PAGES = sorted(
    path for path in (REPOSITORY / "docs/runbooks").glob("*.md") if path.stem != "README"
)
# Other documents with commands for the machine. It has no Grafana.
DOCUMENTS = [
    path
    for pattern in ("docs/operations.md", "docs/monitoring/*.md", "roles/*/README.md")
    for path in sorted(REPOSITORY.glob(pattern))
    if "grafana" not in path.parts[-2:][0] + path.name
]
PROGRAM = (
    r"(?:amtool|cat|curl|df|grep|jewelry-\w+|journalctl|logrotate|ls|nft|nginx|openssl|promtool"
    r"|readlink|redis-[\w-]+|rm|runuser|sshd|ss|sysctl|systemctl|systemd-\w+|tail|timedatectl"
    r"|unattended-upgrade) "
)

# What stands for the words in capitals that are to be filled in.
STAND_INS = {"MOUNTPOINT": "/var", "UNIT": "jewelry-worker.service"}

# Commands whose status says what they found: nothing, or a unit that does not run.
FINDINGS = {
    r"journalctl .*-g ": {1},
    r"(.*\| )?grep [^|]*$": {1},
    r"systemctl (status|is-active) ": {3},
}

# A page that is read at night must not make anything worse.
CHANGES = re.compile(
    r"systemctl (re)?(start|load|stop|kill|mask|reset)|\b(rm|mv|cp|kill|install|apt-get|tee) "
    r"|--(fix|vacuum|rotate)|[^2&]>\s*/(?!dev/null)|pg_(cancel|terminate)"
    r"|psql .*-c ['\"](?!SELECT |SHOW )\w+ "
)

# These change something too, ask for something, or do not end.
NOT_RUN = re.compile(
    r"jewelry-release rollback|jewelry-manage (shell|createsuperuser|seed_demo)|amtool alert add"
    r"|sysctl --system|--askpass|unattended-upgrade |tail -f |journalctl .* -f$|psql jewelry$"
)

# Runs each line of a list by itself, as an administrator would; prints statuses and outputs.
RUNNER = """
import json, subprocess, sys
done = []
for command in json.load(sys.stdin):
    ended = subprocess.run(["timeout", "60", "bash", "-c", command], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    done.append([ended.returncode, ended.stdout[-1000:]])
print(json.dumps(done))
"""


def confirm(path):
    """Return the lines of the blocks in the page's section "Confirm"."""
    section = re.search(r"^## Confirm\n(.*?)^## ", path.read_text(), re.M | re.S)[1]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def remedies(path):
    """Return the commands that the page's table and the steps below it name, as typed."""
    section = re.search(r"^## If you see\n(.*?)^## ", path.read_text(), re.M | re.S)[1]
    todo = "\n".join(re.findall(r"^\|.+ \| (.+) \|$", section, re.MULTILINE))
    steps = re.findall(r"^    (.+)$", section, re.MULTILINE)
    return [code for code in re.findall(r"`([a-z][\w-]* [^`]+)`", todo)] + steps


def commands_of(path):
    """Return the commands of another document: its indented lines, and those in its tables."""
    text = path.read_text()
    found = re.findall(rf"^ {{4}}({PROGRAM}.*)$", text, re.MULTILINE)
    found += re.findall(rf"\| `({PROGRAM}(?:[^`|]|\\\|)*)`", text)
    return [re.sub(r"\s{2,}#.*", "", command).replace("\\|", "|") for command in found]


def filled_in(command):
    """Return the command with stand-ins; a word in capitals outside of quotes must have one."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
    for word in set(re.findall(r"\b[A-Z]{3,}\b(?![.]json)", bare)):
        command = re.sub(rf"\b{word}\b", STAND_INS[word], command)
    return command


@pytest.fixture(scope="module")
def pages():
    """Return the commands of each page that confirm its alert."""
    return {path.stem: [filled_in(line) for line in confirm(path)] for path in PAGES}


def test_every_page_can_be_confirmed_and_nothing_is_changed(pages):
    assert not [name for name, commands in pages.items() if not commands]
    changing = [
        (name, line) for name, lines in pages.items() for line in lines if CHANGES.search(line)
    ]
    assert not changing


def test_commands_run(host, pages):
    commands = sorted({command for lines in pages.values() for command in lines})
    fed = shlex.quote(json.dumps(commands))
    answer = host.check_output(f"printf %s {fed} | python3 -c {shlex.quote(RUNNER)}")

    wrong = {}
    for command, (status, output) in zip(commands, json.loads(answer), strict=True):
        allowed = {0}.union(*(more for what, more in FINDINGS.items() if re.match(what, command)))
        if status not in allowed or "command not found" in output:
            named = ", ".join(name for name, lines in pages.items() if command in lines)
            wrong[f"{named}: {command}"] = (status, output)
    assert not wrong, json.dumps(wrong, indent=2)


def test_commands_of_other_documents_run(host):
    """Each has its program and its options; what it says depends on the machine."""
    found = {command for path in DOCUMENTS for command in commands_of(path)}
    commands = sorted(
        filled_in(one) for one in found if not CHANGES.search(one) and not NOT_RUN.search(one)
    )
    assert len(commands) > 60
    fed = shlex.quote(json.dumps(commands))
    answer = host.check_output(f"printf %s {fed} | python3 -c {shlex.quote(RUNNER)}")
    refused = re.compile(r"command not found|(un(known|recognized)|invalid) (option|command)", re.I)
    wrong = {
        command: (status, output)
        for command, (status, output) in zip(commands, json.loads(answer), strict=True)
        if status in (124, 126, 127) or (status and refused.search(output))
    }
    assert not wrong, json.dumps(wrong, indent=2)


def test_a_lab_machine_can_be_tried_as_its_document_says(host):
    """As typed on the controller, but for the machine's name."""
    text = (REPOSITORY / "lab/README.md").read_text()
    section = re.search(r"^## Try it\n(.*?)^## ", text, re.M | re.S)[1]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    script = "\n".join(line for line in lines if not line.startswith(".venv/"))
    machine = host.ansible.get_variables()["inventory_hostname"]
    script, changed = re.subn(r"(?<=[ ^/])jewelry(?=[ /])", machine, script)
    assert changed == 3
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"results"' in done.stdout


def test_commands_that_mend_can_be_typed(host):
    """The machine has their programs; the shell parses them. They are not run: they change it."""
    commands = {command for path in PAGES for command in remedies(path)}
    commands |= {command for path in DOCUMENTS for command in commands_of(path)}
    commands = [command for command in sorted(commands) if not command.startswith(".venv/")]
    assert len(commands) > 50
    script = "bash -n -c {0} && command -v {1}"
    for command in commands:
        done = host.run(script.format(shlex.quote(command), command.split()[0]))
        assert done.rc == 0, (command, done.stderr)
