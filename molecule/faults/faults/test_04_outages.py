"""What visitors and probes get while a part that the application needs is not there."""

import concurrent.futures
from collections import Counter

import pytest
from conftest import POSTGRESQL, POSTGRESQL_VERSION

testinfra_hosts = ["ansible://web"]

READY = "curl -s -w ' %{http_code}' http://localhost:8000/readyz"
ASK = "curl -s -m 5 -D - http://localhost:8000/api/v1/items/ -H 'Authorization: Token 0'"


@pytest.fixture
def without(host, eventually):
    """Return a function that stops a service until the test ends."""
    stopped = []

    def stop(unit):
        stopped.append(unit)
        host.check_output(f"systemctl stop {unit}")

    yield stop
    for unit in stopped:
        host.check_output(f"systemctl start {unit}")
    eventually(lambda: host.run("curl -sf http://localhost:8000/readyz").rc == 0)


def test_without_room_on_the_databases_disk_it_is_not_ready(host, eventually):
    folder = f"/var/lib/postgresql/{POSTGRESQL_VERSION}/main/base/pgsql_tmp"
    own = "$(id -u postgres),gid=$(id -g postgres)"
    host.check_output(
        f"install -d -o postgres -g postgres -m 700 {folder}"
        f" && mount -t tmpfs -o size=64k,mode=700,uid={own} full {folder}"
    )
    try:
        eventually(lambda: host.check_output(READY).endswith(" 503"), 10)
        assert '"writes": "OperationalError"' in host.check_output(READY)
    finally:
        host.check_output(f"umount {folder}")
    eventually(lambda: host.check_output(READY).endswith(" 200"), 10)


def test_without_the_database_programs_may_try_again_at_once(host, without):
    without(POSTGRESQL)
    for _ in range(2):  # with a connection that was kept, and with none
        answer = host.check_output(ASK).lower()
        assert "503 service unavailable" in answer
        assert "content-type: application/problem+json" in answer
        assert "retry-after: 5" in answer


def test_many_guesses_at_once_are_refused_and_others_served(host, site):
    wrong = "curl -s http://localhost:8000/metrics | grep 'jewelry_logins_total{result=\"wrong\"}'"

    def tried():
        return float(host.check_output(wrong).split()[-1])

    def attempt(number):
        if number % 5:
            return site("POST", "/api/v1/token/", {"username": "outages", "password": "guess"})[0]
        return "healthz", site("GET", "/healthz")[0]

    before = tried()
    with concurrent.futures.ThreadPoolExecutor(50) as clients:
        answers = Counter(clients.map(attempt, range(100)))
    assert answers["healthz", 200] == 20
    assert answers.keys() <= {400, 429, 503, ("healthz", 200)}, answers
    assert 0 < answers[400] <= 11, answers  # ten, and one that a slow burst lasts for
    assert tried() - before == answers[400]
