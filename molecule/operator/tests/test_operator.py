"""What differs on an operator's machine: sudo, a name, a certificate, nothing for demonstration."""

import http.cookiejar
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from conftest import POSTGRESQL_VERSION, SERVICES

MACHINE = "platform-operator"
NAME = "shop.example.org"
SITE = f"https://{NAME}:8443"
INVENTORY = Path(__file__).parents[1] / "inventory"
FOLDER = Path("/var/lib/jewelry-lab/machines") / MACHINE

testinfra_hosts = [f"ansible://{MACHINE}"]


@pytest.fixture
def visit(host, monkeypatch):
    """Return a function that opens a URL as a browser of the outside would, cookies and all.

    Every name of example.org leads to the machine, and only the operator's root is trusted.
    """
    address = host.interface("host0").addresses[0]
    resolve = socket.getaddrinfo

    def lead_to_machine(name, *rest, **more):
        return resolve(address if name.endswith("example.org") else name, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lead_to_machine)
    trusting = ssl.create_default_context(cafile=FOLDER / "ca/root.crt")
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=trusting),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )

    def open_url(url, form=None, **headers):
        data = urllib.parse.urlencode(form).encode() if form else None
        return browser.open(urllib.request.Request(url, data, headers), timeout=30)

    return open_url


@pytest.fixture
def as_root(host):
    """The machine, every command through sudo."""
    assert host.user().name == "admin"
    with host.sudo():
        yield host


def test_site_is_trusted_and_says_how_browsers_are_to_guard_it(visit):
    with visit(f"{SITE}/") as answer:
        assert answer.status == 200
        headers = answer.headers
    assert headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_all("X-Frame-Options") == ["DENY"]
    assert headers.get_all("Referrer-Policy") == ["same-origin"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Server"] == "nginx"


def test_plain_http_leads_to_the_name(visit):
    with visit(f"http://{NAME}:8080/healthz") as answer:
        assert answer.url == f"{SITE}/healthz"


def test_foreign_name_gets_no_certificate(visit):
    with pytest.raises(urllib.error.URLError) as refused:
        visit("https://other.example.org:8443/")
    assert refused.value.reason.reason == "TLSV1_UNRECOGNIZED_NAME"


@pytest.mark.parametrize("site", [f"http://{NAME}:8080", SITE])
def test_foreign_host_gets_no_answer(visit, site):
    with pytest.raises(ConnectionResetError):
        visit(f"{site}/", Host="other.example.org")


def test_second_name_is_served(visit):
    assert visit("https://www.example.org:8443/readyz").status == 200


def test_administrator_logs_in(visit):
    login = f"{SITE}/admin/login/?next=/admin/"
    with visit(login) as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())[1]
        assert "Secure" in page.headers["Set-Cookie"]
    form = {
        "csrfmiddlewaretoken": token,
        "username": "admin",
        "password": (FOLDER / "secrets/admin_password").read_text().strip(),
    }

    with pytest.raises(urllib.error.HTTPError, match="403"):
        visit(login, form, Referer="https://other.example.org/")
    with visit(login, form, Referer=login) as answer:
        assert answer.url == f"{SITE}/admin/"
        assert "Site administration" in answer.read().decode()


def test_nothing_was_made_for_demonstration(as_root):
    query = "select count(*), (select string_agg(username, ' ') from core_user) from core_tenant"
    rows = as_root.check_output(f'runuser -u postgres -- psql -qtAX store -c "{query}"')
    assert rows == "0|admin"


def test_status_is_healthy_and_the_operators_playbook_shows_it(as_root, play):
    status = as_root.run("jewelry-status --wait 60")
    assert status.rc == 0, status.stdout

    done = play(INVENTORY, "status.yml")

    assert done.returncode == 0, done.stdout
    assert f"{SITE}/" in done.stdout
    assert "healthy" in done.stdout


def test_nothing_listens_where_it_would_by_default(as_root):
    """The inventory changes all: see addresses.py and group_vars/all/changed.yml in it."""
    listening = as_root.check_output("ss -Hltn | awk '{print $4}'").splitlines()
    ports = {int(line.rsplit(":", 1)[1]) for line in listening}
    assert {port for port in ports if port < 12000} == {22, 8080, 8443}
    assert "Watchdog" in as_root.check_output("amtool alert query")  # where it finds Alertmanager
    databases = as_root.check_output(
        "runuser -u postgres -- psql -qtAXc 'select datname from pg_database'"
    )
    assert set(databases.split()) == {"postgres", "store", "template0", "template1"}


def test_every_target_is_up_and_every_exporter_sees_its_service(prometheus, eventually):
    def values(expression):
        found = prometheus("query", query=expression)["result"]
        return [float(one["value"][1]) for one in found]

    targets = {
        str({"address": service.get("address")} | target)
        for service in SERVICES.values()
        for target in service.get("scrape", [])
    }
    assert eventually(lambda: values("count(up == 1)") == [len(targets)] and not values("up == 0"))
    for seen in ("pg_up", 'redis_up{instance="broker"}', 'redis_up{instance="cache"}', "nginx_up"):
        assert values(f"{seen} or 0 * {seen}") == [1], seen
    for counted in (
        'pg_stat_database_xact_commit{datname="store"}',
        'nginx_http_responses_total{answered_by="application"}',
        'celery_worker_up{site="north"}',
        'service:up{service="web"}',
    ):
        assert eventually(lambda counted=counted: sum(values(counted)) > 0), counted


def test_status_says_which_setting_sends_alerts(as_root):
    said = as_root.check_output("jewelry-status --wait 60")
    assert "NOT SENT to anyone: set alertmanager_email_to" in said
    assert "calls nobody: set alertmanager_dead_mans_switch_url" in said


def test_probes_trust_the_certificate(prometheus, eventually):
    wanted = {f"{SITE}/healthz": "1", f"{SITE}/readyz": "1"}

    def probed():
        found = prometheus("query", query="probe_success")["result"]
        return {one["metric"]["instance"]: one["value"][1] for one in found}

    assert eventually(lambda: probed() == wanted)


def test_name_that_does_not_point_here_yet_is_shown_and_is_no_fault(as_root, eventually):
    def notices():
        status = as_root.run("jewelry-status")
        return "DNS: " in status.stdout and status

    as_root.check_output("cp /etc/hosts /run/hosts")
    as_root.check_output("sed -i '/ shop[.]example[.]org$/d' /etc/hosts")
    try:
        status = eventually(notices, 20)  # the prober keeps /etc/hosts in mind for 5 seconds
    finally:
        as_root.check_output("cp /run/hosts /etc/hosts")
    assert status.rc == 0, status.stdout
    own = as_root.check_output("hostname --all-ip-addresses").split()[0]
    assert f"DNS: {NAME} " in status.stdout
    assert f"this machine has {own}" in status.stdout


def test_database_follows_another_time_zone(as_root, play):
    def zones(*more):
        done = play(INVENTORY, "site.yml", "--tags", "base,postgresql", *more)
        assert done.returncode == 0, done.stdout
        ask = "runuser -u postgres -- psql -tA -c 'SHOW timezone' -c 'SHOW log_timezone'"
        return as_root.check_output(ask).split()

    assert zones("-e", "jewelry_timezone=Asia/Kolkata") == ["Asia/Kolkata", "Asia/Kolkata"]
    assert zones() == ["Etc/UTC", "Etc/UTC"]


def test_worker_keeps_its_name_when_the_machine_gets_another(as_root, page, eventually):
    def workers():
        return set(re.findall(r"^celery_worker_up{.*", page("celery"), re.MULTILINE))

    before = workers()
    main = "systemctl show --value --property=MainPID jewelry-worker"
    first = as_root.check_output(main)
    as_root.check_output("hostnamectl set-hostname other")
    try:
        as_root.check_output("systemctl kill --signal=KILL jewelry-worker")
        eventually(lambda: as_root.check_output(main) not in ("0", first))
        eventually(lambda: as_root.service("jewelry-worker").is_running)
        assert as_root.check_output("hostname") == "other"
        eventually(lambda: workers() == before)
    finally:
        as_root.check_output(f"hostnamectl set-hostname {MACHINE}")
    assert len(before) == 1


def test_probes_trust_the_certificate_in_use(as_root, play):
    own = play(INVENTORY, "site.yml", "--tags", "nginx", "-e", "nginx_certificate=")
    assert own.returncode == 0, own.stdout
    self_signed = as_root.run("jewelry-status --wait 30")

    back = play(INVENTORY, "site.yml", "--tags", "nginx")
    assert back.returncode == 0, back.stdout
    signed = as_root.run("jewelry-status --wait 30")

    assert self_signed.rc == 0, self_signed.stdout
    assert "certificate self-signed: browsers warn of it" in self_signed.stdout
    assert signed.rc == 0, signed.stdout
    assert "certificate " not in signed.stdout


def test_certificate_that_visitors_refuse_is_named(as_root):
    """The machine forgets the CA: as if a certificate were another than the probes expect."""
    trusted = "/etc/ssl/trusted-by-probes.crt"
    other = "/etc/nginx/tls/self-signed.crt"
    as_root.check_output(f"cp -P {trusted} /run/trusted; ln -sfn {other} {trusted}")
    try:
        status = as_root.run("jewelry-status")
    finally:
        as_root.check_output(f"rm {trusted}; cp -P /run/trusted {trusted}")
    assert status.rc == 1
    assert f"the probe of {SITE}/healthz fails: " in status.stdout
    assert "certificate signed by unknown authority" in status.stdout


def test_sudo_leaves_no_secret_in_the_journal(as_root, secrets):
    journal = as_root.check_output("journalctl --no-pager --output cat")
    assert "COMMAND=" in journal
    for secret in secrets.values():
        assert secret not in journal


def test_key_that_does_not_fit_is_refused_before_anything_is_changed(visit, as_root, play):
    other = f"nginx_certificate_key={FOLDER}/ca/other.key"

    done = play(INVENTORY, "site.yml", "--tags", "nginx", "-e", other)

    assert done.returncode != 0
    assert "does not fit" in done.stdout
    assert "changed=0" in done.stdout
    # A restart reads the key again, as the next boot will.
    as_root.check_output("systemctl restart nginx")
    assert visit(f"{SITE}/readyz").status == 200


def test_another_name_of_the_database_is_refused_until_the_data_have_it(as_root, play):
    clients = f"sha256sum /etc/postgresql/{POSTGRESQL_VERSION}/main/pg_hba.conf"
    psql = "runuser -u postgres -- psql --no-psqlrc --quiet"
    before = as_root.check_output(clients)

    def run(*arguments):
        done = play(INVENTORY, "site.yml", "--tags", "postgresql", *arguments)
        return done.returncode, " ".join(done.stdout.split())

    for option, words in (
        ("database=Shop-Two", 'ALTER DATABASE "store" RENAME TO "Shop-Two"'),
        ("role=trader", 'ALTER ROLE "keeper" RENAME TO "trader"'),
    ):
        status, said = run("-e", f"postgresql_{option}")
        assert status != 0
        assert words in said
        assert "changed=0" in said
    assert as_root.check_output(clients) == before

    other = ("--check", "-e", "postgresql_database=Shop-Two")
    as_root.check_output(f"{psql} -c 'CREATE DATABASE \"Shop-Two\"'")
    try:
        empty, _ = run(*other)
        as_root.check_output(
            f"{psql} Shop-Two -c 'CREATE TABLE django_migrations ()'"
            " -c 'ALTER TABLE django_migrations OWNER TO keeper'"
        )
        filled, said = run(*other)
    finally:
        as_root.check_output(f"{psql} -c 'DROP DATABASE \"Shop-Two\"'")
    assert empty != 0
    assert filled == 0, said
