"""Grafana's files, unit and way through nginx; a package that stands in for Grafana answers."""

import configparser
import json
import re
from pathlib import Path

import build_dashboards
import pytest
import yaml

MACHINE = "platform-operator"
URL = "https://shop.example.org:8443/grafana"
INVENTORY = Path(__file__).parents[1] / "inventory"
SECRETS = Path("/var/lib/jewelry-lab/machines") / MACHINE / "secrets"
PAGES = "/usr/local/share/pages"

testinfra_hosts = [f"ansible://{MACHINE}"]


@pytest.fixture(autouse=True)
def as_root(host):
    """Let every command go through sudo."""
    with host.sudo():
        yield


@pytest.fixture
def settings(host):
    """What grafana.ini says."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(host.file("/etc/grafana/grafana.ini").content_string)
    return parser


def test_settings_are_for_a_service_behind_the_proxy(settings):
    server = settings["server"]
    assert (server["http_addr"], server["http_port"]) == ("127.0.0.1", "13000")
    assert (server["domain"], server["root_url"]) == ("shop.example.org", f"{URL}/")
    assert server.getboolean("serve_from_sub_path")
    assert settings["security"].getboolean("cookie_secure")


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("analytics", "reporting_enabled"),
        ("analytics", "check_for_updates"),
        ("analytics", "check_for_plugin_updates"),
        ("auth.anonymous", "enabled"),
        ("metrics", "enabled"),
        ("news", "news_feed_enabled"),
        ("public_dashboards", "enabled"),
        ("snapshots", "external_enabled"),
        ("users", "allow_sign_up"),
    ],
)
def test_no_anonymous_access_and_no_reports(settings, section, name):
    assert settings[section].getboolean(name) is False


@pytest.mark.parametrize(
    ("name", "secret"), [("admin_password", "password"), ("secret_key", "secret_key")]
)
def test_secrets_are_in_files_of_their_own(host, settings, name, secret):
    path = re.fullmatch(r"\$__file\{(/.+)\}", settings["security"][name])[1]
    file = host.file(path)
    assert (file.user, file.group, file.mode) == ("root", "grafana", 0o640)
    assert file.content_string == (SECRETS / f"grafana_{secret}").read_text().strip()
    assert host.run(f"runuser -u grafana -- cat {path}").rc == 0
    assert host.run(f"runuser -u jewelry -- cat {path}").rc == 1


def test_nothing_of_it_shows_a_secret_to_everybody(world_readable):
    # From the machine's own files: the arguments of sudo are in the journal.
    write = "for name in admin_password secret_key; do cat /etc/grafana/$name; echo; done"
    assert world_readable(write) == ["/etc/planted"]


def test_check_mode_shows_no_secret(play):
    changed = "Zq84" * 20
    variables = {
        "vault_grafana_password": changed,
        "vault_grafana_secret_key": changed,
        "grafana_settings": {"smtp": {"enabled": True, "password": changed}},
    }

    done = play(
        INVENTORY,
        "site.yml",
        *("--tags", "grafana", "--check", "--diff", "-vv"),
        "-e",
        json.dumps(variables),
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"changed=1 ", done.stdout)  # its files
    assert changed not in done.stdout


def test_configuration_is_as_the_package_leaves_it(host):
    listing = host.check_output("find /etc/grafana -printf '%M %u:%g %P\\n'").splitlines()
    assert {line.rsplit(" ", 1)[0] for line in listing} == {
        "drwxr-xr-x root:root",
        "drwxr-xr-x root:grafana",
        "-rw-r----- root:grafana",
    }


def test_data_source_is_a_prometheus_that_answers(host):
    text = host.file("/etc/grafana/provisioning/datasources/jewelry.yml").content_string
    (source,) = yaml.safe_load(text)["datasources"]
    assert (source["type"], source["uid"], source["isDefault"]) == ("prometheus", "jewelry", True)
    ask = f"runuser -u grafana -- curl -sSf {source['url']}/api/v1/query --data query=up"
    assert json.loads(host.check_output(ask))["status"] == "success"


def test_dashboards_are_those_of_the_source(host):
    text = host.file("/etc/grafana/provisioning/dashboards/jewelry.yml").content_string
    (provider,) = yaml.safe_load(text)["providers"]
    served = json.loads(host.file(f"{PAGES}/dashboards.json").content_string)["dashboards"]
    folder = provider["options"]["path"]
    assert len(served) == len(build_dashboards.ORDER)
    names = {f"{dashboard['name']}.json" for dashboard in served}
    assert set(host.check_output(f"ls {folder}").split()) == names
    for dashboard in served:
        read = host.check_output(f"runuser -u grafana -- cat {folder}/{dashboard['name']}.json")
        assert json.loads(read) == build_dashboards.grafana_dashboard(dashboard)


def test_dashboard_that_is_gone_is_removed(host, play):
    host.check_output(f"echo '{{}}' > {PAGES}/grafana/gone.json")

    done = play(INVENTORY, "site.yml", "--tags", "dashboards")

    assert done.returncode == 0, done.stdout
    assert "changed=1 " in done.stdout
    assert not host.file(f"{PAGES}/grafana/gone.json").exists


def test_unit_runs_in_a_sandbox_and_listens_on_the_machine_only(host):
    unit = host.service("grafana-server")
    assert unit.is_running
    assert unit.is_enabled
    shown = host.check_output(
        "systemctl show -p NRestarts,User,MemoryMax,ProtectSystem grafana-server"
    )
    assert set(shown.split()) == {
        "NRestarts=0",
        "User=grafana",
        f"MemoryMax={1 << 30}",
        "ProtectSystem=strict",
    }
    report = host.check_output("systemd-analyze security --no-pager grafana-server | tail -n 1")
    assert float(report.split(":")[1].split()[0]) <= 2.0, report
    listening = host.check_output("ss -Hltn 'sport = :13000' | awk '{print $4}'")
    assert listening == "127.0.0.1:13000"


def test_status_shows_it(host):
    (row,) = [line for line in host.run("jewelry-status").stdout.splitlines() if "grafana" in line]
    assert row.split() == ["grafana-server.service", "active", "0.1", f"{URL}/"]


def test_proxy_passes_on_and_asks_for_no_password_of_its_own(host):
    asked = json.loads(host.check_output(f"curl -sSf '{URL}/api/search?query=web'"))
    assert asked["path"] == "/grafana/api/search?query=web"
    assert asked["host"] == "shop.example.org:8443"
    assert asked["x-forwarded-proto"] == "https"
    assert "upgrade" not in asked
    assert host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' {URL}") == "301"


def test_proxy_passes_the_websocket_on(host):
    upgrade = "-H 'Connection: Upgrade' -H 'Upgrade: websocket'"
    asked = json.loads(host.check_output(f"curl -sSf --http1.1 {upgrade} {URL}/api/live/ws"))
    assert (asked["connection"], asked["upgrade"]) == ("upgrade", "websocket")
    assert asked["host"] == "shop.example.org:8443"
    assert asked["x-forwarded-proto"] == "https"


def test_passwords_cannot_be_tried_out_fast(host):
    try_40 = "curl -s -o /dev/null -w '%{http_code}\\n'"
    form = host.check_output(f"{try_40} -d user=admin '{URL}/login?try=[1-40]'").split()
    basic = host.check_output(f"{try_40} -u admin:wrong '{URL}/api/user?try=[1-40]'").split()
    assert form[:10] == basic[:10] == ["200"] * 10
    assert "429" in form[15:]
    assert "429" in basic[15:]
