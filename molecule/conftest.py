"""What the scenarios share: playbooks as operators run them, the database, Prometheus, patience."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def play():
    """Return a function that runs a playbook on an inventory as an operator would."""

    def run(inventory, playbook, *arguments):
        return subprocess.run(
            ["ansible-playbook", "-i", inventory, f"playbooks/{playbook}", *arguments],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
                "ANSIBLE_FORCE_COLOR": "false",  # Molecule's is true; the output is read here
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def rows(host):
    """Return a function that asks the application's database for one value."""

    def ask(query):
        return host.check_output(f'runuser -u postgres -- psql -qtAX jewelry -c "{query}"')

    return ask


@pytest.fixture
def prometheus(host):
    """Return a function that asks Prometheus's API on the machine and returns its `data`."""

    def ask(path, **parameters):
        fields = " ".join(
            f"--data-urlencode '{name}={value}'" for name, value in parameters.items()
        )
        url = f"http://127.0.0.1:9090/prometheus/api/v1/{path}"
        answer = json.loads(host.check_output(f"curl -sS --get {fields} {url}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    return ask


@pytest.fixture
def total(prometheus):
    """Return a function that gives the sum of a PromQL expression now, 0 if it has no series."""

    def value(expression):
        result = prometheus("query", query=f"sum({expression})")["result"]
        return float(result[0]["value"][1]) if result else 0.0

    return value


@pytest.fixture
def eventually():
    """Return a function that waits until another one is true; it fails, never skips."""

    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not (outcome := condition()):
            assert time.monotonic() < deadline, f"not so within {seconds} s"
            time.sleep(0.5)
        return outcome

    return wait
