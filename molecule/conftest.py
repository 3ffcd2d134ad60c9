"""What the scenarios share: playbooks as operators run them, the site, the database, Prometheus."""

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PORTS = {"django": 9807, "celery": 9808}
POSTGRESQL_VERSION = yaml.safe_load(
    (REPOSITORY / "roles/postgresql/defaults/main.yml").read_text()
)["postgresql_version"]
# The registry of services. What stands there in braces is known to a run only, but for the version.
WIRING = (REPOSITORY / "playbooks/group_vars/all.yml").read_text()
SERVICES = yaml.safe_load(
    WIRING.replace("{{ platform_postgresql_version }}", str(POSTGRESQL_VERSION))
)["platform_services"]
POSTGRESQL = SERVICES["postgresql"]["unit"].removesuffix(".service")


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def vault():
    """Return the names of the secrets that `make secrets` makes."""
    platform = yaml.safe_load((REPOSITORY / "roles/platform/vars/main.yml").read_text())
    return list(platform["platform_secrets"])


@pytest.fixture
def secrets(host, vault):
    """Return the secrets that the machine's inventory made, by name."""
    variables = host.ansible.get_variables()
    machine = variables["inventory_hostname"]
    folder = Path(f"/var/lib/jewelry-lab/machines/{machine}/secrets")
    found = {path.name: path.read_text().strip() for path in folder.iterdir()}
    used = [name for name in vault if "grafana" not in name or "grafana_package_file" in variables]
    assert set(found) >= {name.removeprefix("vault_") for name in used}
    assert len(found) >= 6
    return found


@pytest.fixture
def secret(secrets):
    """Return a function that gives a secret that the inventory made."""
    return secrets.__getitem__


@pytest.fixture
def site(host):
    """Return a function that sends a request to the site from outside; it gives status and body."""
    address = host.interface("host0").addresses[0]
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE  # self-signed

    def send(method, path, body=None, token=None, scheme="https", **headers):
        headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Token {token}"
        request = urllib.request.Request(
            f"{scheme}://{address}{path}",
            method=method,
            headers=headers,
            data=json.dumps(body).encode() if body is not None else None,
        )
        try:
            with urllib.request.urlopen(request, context=trusting, timeout=30) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    return send


@pytest.fixture
def world_readable(host):
    """Return a function that gives the files that everybody can read and that hold a secret.

    Its argument is a command that writes the secrets, one a line. One such file, /etc/planted, is
    put there to see that it would be found: it alone should be.
    """

    def found(write):
        host.check_output(f"umask 077; ({write}) > /run/secrets")
        host.check_output("install -m 644 /run/secrets /etc/planted")
        files = host.run(
            "find /etc /srv /var /run /usr/local -xdev -type f -perm -o=r -size -1024k"
            " -exec grep -lFf /run/secrets {} +"
        ).stdout
        host.check_output("rm /run/secrets /etc/planted")
        return files.split()

    return found


@pytest.fixture
def page(host):
    """Return a function that gives a page of the application's exporter, as Prometheus sees it."""
    variables = host.ansible.get_variables()

    def read(job):
        address = variables.get(f"metrics_{job}_address", f"127.0.0.1:{PORTS[job]}")
        return host.check_output(f"curl -sSf http://{address}/metrics")

    return read


@pytest.fixture
def rows(host):
    """Return a function that asks the application's database for one value."""

    def ask(query):
        return host.check_output(f'runuser -u postgres -- psql -qtAX jewelry -c "{query}"')

    return ask


@pytest.fixture
def prometheus(host):
    """Return a function that asks Prometheus's API on the machine and returns its `data`."""

    address = json.loads(host.file("/etc/jewelry/status.json").content_string)["prometheus"]

    def ask(path, **parameters):
        fields = " ".join(
            f"--data-urlencode '{name}={value}'" for name, value in parameters.items()
        )
        url = f"{address}/api/v1/{path}"
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


@pytest.fixture
def scraped(prometheus, eventually):
    """Return a function that waits until Prometheus has scraped all targets of some jobs again."""

    def wait(jobs=".+"):
        asked = time.time()
        oldest = f'min(timestamp(up{{job=~"{jobs}"}})) > {asked}'
        eventually(lambda: prometheus("query", query=oldest)["result"], 60)

    return wait
