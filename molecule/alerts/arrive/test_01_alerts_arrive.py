"""What breaks is sent to the right people as one message with host and runbook, and its end too.

Messages are what the receiver of prepare.yml has got. Prometheus looks every 5 s, and conditions
last seconds instead of minutes (variables of its role and of role alerts); all else is as operators
have it.
"""

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import POSTGRESQL

testinfra_hosts = ["ansible://monitoring"]

INVENTORY = Path(__file__).parents[1] / "inventory"

CAUSES = dict.fromkeys(
    ("PostgreSQLDown", "RedisBrokerDown", "RedisCacheDown", "NginxDown", "DiskSpaceCritical"), 10
)
SYMPTOMS = dict.fromkeys(
    ("ProbeFailing", "SiteNotReady", "CeleryWorkerDown", "CeleryBeatSilent", "TargetDown"), 20
)
SECONDS = CAUSES | SYMPTOMS
QUICK = {
    "alerts_for": {name: f"{seconds}s" for name, seconds in SECONDS.items()},
    "alerts_keep_firing_for": dict.fromkeys(SECONDS, "0s"),
    "alerts_beat_silent_seconds": 20,
    "prometheus_interval": "5s",
}

# Whom a page and a ticket reach, besides those of one service.
PAGERS = {"admin@example.org", "slack", "pagerduty", "sns", "sms"}
READERS = {"admin@example.org", "slack", "tickets"}
PROMETHEUS = "http://127.0.0.1:9090"
PATH = "/var/lib/private/receiver/messages"

# The lab's machines see the CPUs of the whole host.
HOST = {"CPUBusy", "LoadHigh"}


@dataclass
class Fault:
    """Something to break and mend, the alert that it must raise, and the muted alerts."""

    breaks: str
    mends: str
    alert: str
    symptoms: set = field(default_factory=set)
    others: set = field(default_factory=set)  # channels of the service alone
    reaches: set = field(default_factory=lambda: PAGERS)


def stopped(*units, **more):
    return Fault(f"systemctl stop {' '.join(units)}", f"systemctl start {' '.join(units)}", **more)


LIVE = "jewelry-web@$(readlink /run/jewelry-web/live)"
FULL = "/srv/full"
# Last those after which what follows from them is muted for a while.
FAULTS = {
    "gunicorn": stopped(f"{LIVE}.socket", f"{LIVE}.service", alert="ProbeFailing"),
    "worker": stopped("jewelry-worker", alert="CeleryWorkerDown"),
    "beat": stopped("jewelry-beat", alert="CeleryBeatSilent"),
    "node_exporter": stopped("prometheus-node-exporter", alert="TargetDown"),
    "disk": Fault(
        f"mkdir {FULL} && mount -t tmpfs -o size=64m full {FULL} && fallocate -l 62m {FULL}/photos",
        f"rm {FULL}/photos",
        alert="DiskSpaceCritical",
    ),
    "PostgreSQL": stopped(
        POSTGRESQL,
        alert="PostgreSQLDown",
        symptoms={"SiteNotReady"},
        others={"dba@example.org"},
    ),
    "broker": stopped(
        "redis-server@broker",
        alert="RedisBrokerDown",
        symptoms={"CeleryWorkerDown"},
        others={"broker-team"},
    ),
    "cache": stopped(
        "redis-server@cache",
        alert="RedisCacheDown",
        symptoms={"SiteNotReady"},
        reaches=READERS,
    ),
    "nginx": stopped("nginx", alert="NginxDown", symptoms={"ProbeFailing"}),
}


@pytest.fixture(scope="module", autouse=True)
def quick(play):
    """Let conditions last for seconds inside the block."""

    def rules(*arguments):
        done = play(INVENTORY, "site.yml", "--tags", "alerts", *arguments)
        assert done.returncode == 0, done.stdout

    rules("-e", json.dumps(QUICK))
    yield
    rules()


@pytest.fixture
def received(host):
    """Return a function that gives the messages that have come, without some first ones."""

    def after(number=0):
        lines = host.check_output(f"tail -n +{number + 1} {PATH}").splitlines()
        return [json.loads(line) for line in lines]

    return after


@pytest.fixture
def messages(received):
    """Return a function that gives the messages that have come since the test began."""
    before = len(received())
    return lambda: received(before)


def is_resolved(message):
    """Return whether a message says that an alert is resolved."""
    channel, body = message["channel"], message["body"]
    if channel == "slack":
        return body["attachments"][0]["title"].startswith("[RESOLVED]")
    if channel == "pagerduty":
        return body["event_action"] == "resolve"
    if channel == "sns":
        return body["Message"].startswith("RESOLVED")
    if "@" in channel:
        return body["subject"].startswith("[RESOLVED]")
    return body["status"] == "resolved"


def alerts_of(message):
    """Return the names of the alerts in a message: each has the link to its runbook."""
    return set(re.findall(r"/user/runbooks/(\w+)\.html", json.dumps(message["body"])))


def sent(messages, resolved=False):
    """Return each channel with the alerts that were sent to it, except the Watchdog."""
    found = {}
    for message in messages:
        if message["channel"] != "watchdog" and is_resolved(message) == resolved:
            found.setdefault(message["channel"], set()).update(alerts_of(message) - HOST)
    return {channel: alerts for channel, alerts in found.items() if alerts}


def count(messages, channel):
    """Return how many messages a channel has got."""
    return sum(message["channel"] == channel for message in messages)


@pytest.fixture
def firing(prometheus):
    """Return a function that gives the names of the alerts that fire."""

    def names():
        alerts = prometheus("alerts")["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"} - HOST

    return names


@pytest.fixture
def known(host):
    """Return a function that gives Alertmanager's alerts of a state, active or suppressed."""

    def names(state):
        alerts = json.loads(host.check_output("curl -sSf http://127.0.0.1:9093/api/v2/alerts"))
        return {a["labels"]["alertname"] for a in alerts if a["status"]["state"] == state} - HOST

    return names


@pytest.fixture
def healthy(host, known, eventually):
    """Start when nothing is sent any more about the earlier fault."""
    host.check_output("jewelry-status --wait 60")
    eventually(lambda: known("active") <= {"Watchdog", "RecentOutage"}, 180)


@pytest.fixture
def trial(host, healthy, messages, firing, known, eventually):
    """A context in which the alert of a fault was sent; then it ends, and no other was sent."""

    @contextmanager
    def broken(name):
        fault = FAULTS[name]
        channels = fault.reaches | fault.others
        host.check_output(fault.breaks)
        try:
            began = time.monotonic()
            eventually(lambda: fault.alert in firing(), SECONDS[fault.alert] + 60)
            print(f"{fault.alert} fires after {time.monotonic() - began:.0f} s")
            eventually(lambda: sent(messages()).keys() >= channels, 30)
            eventually(lambda: known("suppressed") >= fault.symptoms, 90)
            yield fault
        finally:
            host.check_output(fault.mends)
        eventually(lambda: sent(messages(), resolved=True).keys() >= channels, 120)

        expected = {channel: {fault.alert} for channel in channels}
        assert sent(messages()) == expected
        assert sent(messages(), resolved=True) == expected
        machine = host.ansible.get_variables()["inventory_hostname"]
        for message in messages():
            assert machine in json.dumps(message["body"])

    return broken


# First, while nothing is muted: an Alertmanager that has just started learns of causes within a
# minute only, and may send what follows from them before.
def test_restarts_neither_end_nor_repeat_what_fires(host, trial, messages, firing, eventually):
    with trial("node_exporter") as fault:
        before = len(messages())
        host.check_output("systemctl restart prometheus")
        eventually(lambda: host.run(f"curl -sf {PROMETHEUS}/-/ready").rc == 0)
        eventually(lambda: fault.alert in firing(), 90)
        host.check_output("systemctl restart prometheus-alertmanager")
        # Five calls of the Watchdog's: by then Prometheus has sent again what fires.
        restarted = len(messages())
        eventually(lambda: count(messages()[restarted:], "watchdog") >= 5, 150)
        assert fault.alert in firing()
        assert sent(messages()[before:]) == sent(messages()[before:], resolved=True) == {}


def test_without_the_cache_the_site_is_up_and_nobody_is_woken(trial, site, prometheus):
    with trial("cache"):
        assert site("GET", "/")[0] == 200
        found = prometheus("query", query='service:up{service=~"web|readiness|broker|cache"}')
        up = {one["metric"]["service"]: one["value"][1] for one in found["result"]}
        assert up == {"web": "1", "readiness": "0", "broker": "1", "cache": "0"}


ELSEWHERE = {"node_exporter", "cache"}


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ELSEWHERE])
def test_a_fault_is_sent_and_so_is_its_end(trial, name):
    with trial(name):
        pass


def test_every_channel_gets_its_own_secret(received, secret):
    last = {message["channel"]: message for message in received()}
    assert last["admin@example.org"]["login"] == f"alertmanager:{secret('email_password')}"
    assert last["slack"]["path"] == f"/slack/{secret('slack_token')}"
    assert last["pagerduty"]["body"]["routing_key"] == secret("pagerduty_key")
    assert f"Credential={secret('sns_access_key')}/" in last["sns"]["authorization"]
    assert last["sms"]["authorization"] == f"Bearer {secret('sms_token')}"


def test_a_short_message_is_one(received):
    bodies = [message["body"] for message in received() if message["channel"] == "sns"]
    assert bodies
    for body in bodies:
        assert len(body["Message"]) <= 160
        assert "Subject" not in body  # Amazon would refuse a long one


@pytest.mark.usefixtures("healthy")
def test_a_machine_is_silenced_while_it_is_worked_on(
    host, play, messages, firing, known, eventually
):
    machine = host.ansible.get_variables()["inventory_hostname"]

    def silence(*arguments):
        words = [word for argument in arguments for word in ("-e", argument)]
        return play(INVENTORY, "silence.yml", "-e", f"silence_host={machine}", *words)

    assert "changed=1" in silence("silence_hours=1", "silence_comment='new disk'").stdout
    assert "changed=0" in silence("silence_hours=0.5").stdout  # it is never shortened
    host.check_output("systemctl stop nginx")
    try:
        eventually(lambda: "NginxDown" in firing() and "NginxDown" in known("suppressed"), 90)
        before = count(messages(), "watchdog")
        eventually(lambda: count(messages(), "watchdog") >= before + 2, 60)
        assert sent(messages()) == {}

        assert "changed=1" in silence("silence_state=absent").stdout
        assert "changed=0" in silence("silence_state=absent").stdout
        eventually(lambda: sent(messages()).keys() >= PAGERS, 60)
    finally:
        silence("silence_state=absent")
        host.check_output("systemctl start nginx")
    eventually(lambda: sent(messages(), resolved=True).keys() >= PAGERS, 120)


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("silence_host=nobody", "`silence_host` is nobody"),
        ("silence_hours=soon", "`silence_hours` is soon"),
        ("silence_state=off", "`silence_state` is off"),
    ],
)
def test_silence_refuses_what_it_does_not_understand(host, play, argument, named):
    machine = host.ansible.get_variables()["inventory_hostname"]
    done = play(INVENTORY, "silence.yml", "-e", f"silence_host={machine}", "-e", argument)
    assert done.returncode != 0
    assert named in done.stdout


def test_a_refused_configuration_does_not_replace_the_one_that_works(host):
    path = "/etc/prometheus/alertmanager.yml"
    host.check_output(f"cp -p {path} /run/alertmanager.yml && echo 'route: {{}}' > {path}")
    try:
        reloaded = host.run("systemctl reload prometheus-alertmanager")
        assert reloaded.rc != 0
        assert "failed to reload config" in host.check_output(
            "journalctl -u prometheus-alertmanager -n 20 -o cat"
        )
        assert host.service("prometheus-alertmanager").is_running
    finally:
        # Nobody notes what a reload by hand has read: only a start leaves the unit up to date.
        host.check_output(f"mv /run/alertmanager.yml {path}")
        host.check_output("systemctl restart prometheus-alertmanager")
        listening = "curl -sSf --retry 10 --retry-delay 1 --retry-connrefused"
        host.check_output(f"{listening} http://127.0.0.1:9093/-/ready")


def test_window_mutes_what_it_names(host, messages, eventually):
    for name in ("Muted", "Heard"):
        host.check_output(f"amtool alert add {name} severity=page service=web host=shop1")
    eventually(lambda: {m["channel"] for m in messages() if "Heard" in json.dumps(m)} >= PAGERS, 30)
    assert "Muted" not in json.dumps(messages())
