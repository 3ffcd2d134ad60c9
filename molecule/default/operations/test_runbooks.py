"""What the runbooks tell to run under "How to confirm" can be run on a machine that is well."""

import json
import re
import shlex
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://monitoring"]

PAGES = sorted(
    path
    for path in (Path(__file__).parents[3] / "docs/runbooks").glob("*.md")
    if path.stem != "README"
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
    """Return the lines of the blocks in the page's section "How to confirm"."""
    section = re.search(r"^## How to confirm\n(.*?)^## ", path.read_text(), re.M | re.S)[1]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def filled_in(command):
    """Return the command with stand-ins; a word in capitals outside of quotes must have one."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
    for word in set(re.findall(r"\b[A-Z]{3,}\b", bare)):
        command = re.sub(rf"\b{word}\b", STAND_INS[word], command)
    return command


@pytest.fixture(scope="module")
def told():
    """Return what each page tells to run."""
    return {path.stem: [filled_in(line) for line in confirm(path)] for path in PAGES}


def test_every_page_can_be_confirmed_and_nothing_is_changed(told):
    assert not [name for name, commands in told.items() if not commands]
    changing = [
        (name, line) for name, lines in told.items() for line in lines if CHANGES.search(line)
    ]
    assert not changing


def test_commands_run(host, told):
    commands = sorted({command for lines in told.values() for command in lines})
    fed = shlex.quote(json.dumps(commands))
    answer = host.check_output(f"printf %s {fed} | python3 -c {shlex.quote(RUNNER)}")

    wrong = {}
    for command, (status, output) in zip(commands, json.loads(answer), strict=True):
        allowed = {0}.union(*(more for what, more in FINDINGS.items() if re.match(what, command)))
        if status not in allowed or "command not found" in output:
            pages = ", ".join(name for name, lines in told.items() if command in lines)
            wrong[f"{pages}: {command}"] = (status, output)
    assert not wrong, json.dumps(wrong, indent=2)
