"""Alertmanager sends alerts to the right people, in words that fit, and keeps its secrets."""

import json
import time
from shlex import quote

import pytest

testinfra_hosts = ["ansible://monitoring"]

ADMIN = ["email", "slack"]
PAGERS = ["email", "slack", "pagerduty", "sns", "sms"]
ROUTES = {
    "severity=page service=web": PAGERS,
    "severity=page service=database": [*PAGERS, "email-database"],
    "severity=page service=broker": [*PAGERS, "webhook-broker-team"],
    "severity=ticket service=web": [*ADMIN, "webhook-tickets"],
    "severity=ticket service=database": [*ADMIN, "email-database", "webhook-tickets"],
    "severity=ticket service=broker": [*ADMIN, "webhook-tickets", "webhook-broker-team"],
    "severity=none service=web": ["none"],
    "severity=critical": [*ADMIN, "webhook-tickets"],  # somebody else's rule
    "service=web": [*ADMIN, "webhook-tickets"],
    "alertname=Watchdog severity=none service=monitoring": ["dead-mans-switch"],
}

# As long as the rules' summaries get, and longer; without a summary; several at once.
LONG = "platform-default: " + "a very long story about what is wrong " * 8
MESSAGES = {
    "short": [{"summary": "shop1: PostgreSQL does not answer"}],
    "long": [{"summary": LONG}],
    "bare": [{}],
    "several": [{"summary": LONG}, {"summary": LONG}],
}


@pytest.fixture
def render(host):
    """Return a function that gives a template's text for alerts with these annotations."""

    def text(template, annotations, runbook="https://192.0.2.10/prometheus/user/runbooks/A.html"):
        labels = {"alertname": "A", "host": "shop1", "severity": "page", "service": "database"}
        common = {"runbook_url": runbook, "dashboard": "database"}
        alerts = [
            {
                "status": "firing",
                "labels": labels,
                "annotations": {**common, **own},
                "startsAt": "2026-01-02T03:04:05Z",
                "generatorURL": "https://192.0.2.10/prometheus/graph?g0.expr=up",
            }
            for own in annotations
        ]
        data = {
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {"alertname": "A", "host": "shop1"},
            "commonLabels": labels,
            "commonAnnotations": common,
            "externalURL": "https://192.0.2.10/prometheus",
        }
        call = '{{ template "' + template + '" . }}'
        return host.check_output(
            f"echo {quote(json.dumps(data))} > /run/alerts.json && amtool template render"
            " --template.glob='/etc/prometheus/alertmanager_templates/*.tmpl'"
            f" --template.type={'html' if template == 'jewelry.html' else 'text'}"
            f" --template.data=/run/alerts.json --template.text={quote(call)}"
        )

    return text


def test_configuration_is_accepted(host):
    checked = host.run("amtool check-config /etc/prometheus/alertmanager.yml")
    assert checked.rc == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("labels", ROUTES)
def test_alerts_go_to_the_right_people(host, labels):
    receivers = ",".join(ROUTES[labels])
    routed = host.run(
        "amtool config routes test --config.file=/etc/prometheus/alertmanager.yml"
        f" --verify.receivers={receivers} host=shop1 {labels}"
    )
    assert routed.rc == 0, routed.stdout + routed.stderr


@pytest.mark.parametrize("kind", MESSAGES)
def test_short_message_is_one_and_has_the_link_if_it_fits(render, kind):
    text = render("jewelry.sms", MESSAGES[kind])
    assert len(text) <= 160
    assert text.startswith("PAGE 03:04 ")
    assert text.endswith(" https://192.0.2.10/prometheus/user/runbooks/A.html")


def test_short_message_goes_without_a_link_that_does_not_fit(render):
    text = render("jewelry.sms", MESSAGES["long"], runbook=f"https://{'x' * 120}/A.html")
    assert len(text) <= 160
    assert "https" not in text


@pytest.mark.parametrize("template", ["jewelry.text", "jewelry.html", "jewelry.slack.text"])
def test_messages_say_what_where_since_when_and_where_to_look(render, template):
    text = render(template, [{"summary": "shop1: it is <down>", "description": "Look & mend."}])
    for part in (
        "shop1",
        "2026-01-02 03:04 UTC",
        "https://192.0.2.10/prometheus/user/runbooks/A.html",
        # 30 minutes before and after, so that the link shows the same tomorrow.
        "https://192.0.2.10/prometheus/user/database.html"
        "?from=2026-01-02T02:34:05Z&to=2026-01-02T03:34:05Z&host=shop1",
        "https://192.0.2.10/prometheus/graph?g0.expr=up",
    ):
        assert part in text.replace("&amp;", "&").replace("%3a", ":")
    if template == "jewelry.html":
        assert "it is &lt;down&gt;" in text
        assert "Look &amp; mend." in text
        assert "ZgotmplZ" not in text  # what Go puts in place of what it finds unsafe


def test_secrets_are_files_that_alertmanager_alone_reads(host):
    folder = host.file("/etc/prometheus/alertmanager_secrets")
    assert (folder.group, folder.mode) == ("prometheus-alertmanager", 0o750)
    names = set(folder.listdir())
    assert names == {
        "aws_credentials",
        "dead_mans_switch_url",
        "email_password",
        "pagerduty_routing_key",
        "slack_url",
        "sms_token",
        "sms_url",
        "webhook-broker-team.url",
        "webhook-tickets.url",
    }
    owners = host.check_output(f"stat -c '%U %G %a' {folder.path}/*").splitlines()
    assert set(owners) == {"root prometheus-alertmanager 640"}


def test_status_says_who_receives_alerts(host):
    said = host.check_output("jewelry-status")
    assert "alerts      sent by email, email-database, pagerduty, slack, sms, sns, webhook" in said
    assert "watchdog    calls the dead man's switch" in said


@pytest.mark.parametrize(
    ("cause", "symptom", "muted"),
    [
        ("service=database host=db1 site={}", "service=web host=web1 site={}", True),
        ("service=database host=db1 site={}", "service=web host=web1 site={}-south", False),
        ("service=broker host=queue1 site={}", "service=worker host=worker1 site={}", True),
        ("service=broker host=queue1 site={}", "service=web host=web1 site={}", False),
        # One of several proxies.
        ("service=proxy host={}1 site=a", "service=web host={}1 site=a", True),
        ("service=proxy host={}1 site=a", "service=web host={}2 site=a", False),
    ],
)
def test_a_cause_mutes_what_follows_where_that_is(host, cause, symptom, muted):
    name = f"Test{time.time_ns()}"
    end = host.check_output("date -d +10sec --iso-8601=seconds")
    for alert in (f"{name}Down {cause}", f"{name} {symptom}"):
        # Nobody gets those of severity none.
        host.check_output(f"amtool alert add {alert.format(name)} severity=none --end={end}")
    found = json.loads(host.check_output("curl -sS http://127.0.0.1:9093/api/v2/alerts"))
    (status,) = [one["status"] for one in found if one["labels"]["alertname"] == name]
    assert bool(status["inhibitedBy"]) == muted


@pytest.mark.parametrize(
    ("cause", "symptom", "muted"),
    [
        ("ProbeFailing service=web", "ProbeSlow service=web", True),
        ("ProbeFailing service=web", "LatencyBudgetBurningSlowly service=web", True),
        ("CeleryWorkerDown service=worker", "CeleryQueueLong service=worker", True),
        (
            "DiskSpaceCritical service=machine mountpoint=/",
            "DiskSpaceLow service=machine mountpoint=/",
            True,
        ),
        (
            "DiskSpaceCritical service=machine mountpoint=/",
            "DiskSpaceLow service=machine mountpoint=/srv",
            False,
        ),
        # What may be the cause, or has another one.
        ("ProbeFailing service=web", "PasswordGuessing service=web", False),
        ("NginxDown service=proxy", "PasswordGuessing service=web", False),
        ("MachineDown service=machine", "PasswordGuessing service=web", False),
        ("ProbeFailing service=web", "DjangoMigrationsUnapplied service=web", False),
        ("DiskSpaceCritical service=machine mountpoint=/", "OOMKill service=machine", False),
        ("NginxDown service=proxy", "CertificateExpiring service=proxy", False),
    ],
)
def test_a_page_mutes_only_what_follows_from_it(host, cause, symptom, muted):
    where = f"test{time.time_ns()}"
    end = host.check_output("date -d +10sec --iso-8601=seconds")
    # They end before the first message of their group: nobody gets them.
    for alert in (f"{cause} severity=page", f"{symptom} severity=ticket"):
        host.check_output(f"amtool alert add {alert} host={where} site={where} --end={end}")
    found = json.loads(host.check_output("curl -sS http://127.0.0.1:9093/api/v2/alerts"))
    own = {
        one["labels"]["alertname"]: one["status"]
        for one in found
        if one["labels"].get("host") == where
    }
    assert bool(own[symptom.split()[0]]["inhibitedBy"]) == muted
