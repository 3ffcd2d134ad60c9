"""What the preflight says of settings that would fail later, without a machine."""

import datetime
import functools
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REPOSITORY = Path(__file__).parents[1]
ROLES = REPOSITORY / "roles"
PASSWORD = "s3cr3t-p4ss"
REDIS = ("port", "max_memory_mb", "policy", "persistent")

# As playbooks/group_vars/all.yml finds them.
SETTINGS = (REPOSITORY / "app/config/settings.py").read_text()
QUEUES = ["celery", *re.findall(r'"queue": "([^"]+)"', SETTINGS)]

ENVIRONMENT = {
    "DJANGO_SECRET_KEY": "fA9-" * 20 + "zQxW7uK1",
    "DJANGO_ALLOWED_HOSTS": "shop.example.org,localhost",
    "DATABASE_URL": f"postgresql://jewelry:{PASSWORD}@127.0.0.1:5432/jewelry",
    "BROKER_URL": f"redis://jewelry:{PASSWORD}@127.0.0.1:6379/0",
    "CACHE_URL": f"redis://jewelry:{PASSWORD}@127.0.0.1:6380/0",
}


@functools.cache
def defaults():
    """Return the defaults of all roles."""
    files = sorted(ROLES.glob("*/defaults/main.yml"))
    return {
        name: value
        for path in files
        for name, value in (yaml.safe_load(path.read_text()) or {}).items()
    }


def broker(**changed):
    """Return Redis's settings of the broker, some of them changed."""
    return {**defaults()["redis_instances"]["broker"], **changed}


def ask(script, **given):
    """Return what a script of the preflight answers."""
    return subprocess.run(
        [sys.executable, "-IB", ROLES / "preflight/files" / script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )


path = ROLES / "preflight/files/check_settings.py"
spec = importlib.util.spec_from_file_location("check_settings", path)
check_settings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_settings)


def of_roles(**settings):
    """Return what is wrong with the roles' changed variables on a machine of 2000 MB."""
    known = {name: value for name, value in defaults().items() if "{{" not in str(value)}
    return check_settings.of_roles(known | settings, ROLES, 2000, "shop.example.org")


@pytest.fixture
def faults():
    """Return a function that gives what is wrong with changed settings, environment or memory."""

    def found(
        environment=None,
        memory_mb=2000,
        queues=QUEUES,
        variables=(),
        app=REPOSITORY / "app",
        **settings,
    ):
        done = ask(
            "check_settings.py",
            source=str(app),
            roles=str(ROLES),
            environment=ENVIRONMENT | (environment or {}),
            settings=defaults() | settings,
            memory_mb=memory_mb,
            ssh_port=22,
            domain="shop.example.org",
            queues=queues,
            variables=variables,
        )
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout
        return json.loads(done.stdout)

    return found


def test_an_alert_may_end_at_once():
    assert of_roles(alerts_for={"CPUBusy": "0s"}, alerts_keep_firing_for={"CPUBusy": "0s"}) == []


def test_defaults_are_right(faults):
    assert faults() == []


@pytest.fixture
def routed(tmp_path):
    """A copy of the application that sends tasks to a queue `mail`."""
    app = Path(shutil.copytree(REPOSITORY / "app", tmp_path / "app", symlinks=True))
    settings = app / "config/settings.py"
    routes = "CELERY_TASK_ROUTES: dict[str, dict[str, str]] = {"
    text = settings.read_text()
    assert routes in text
    settings.write_text(
        text.replace(routes, f'{routes}"apps.sales.tasks.x": {{"queue": "mail"}}, ')
    )
    return app


def test_a_variable_that_is_almost_an_option(faults):
    renamed = "postgres_exporter_listen_address"
    (said,) = faults(variables=["nginx_https_port", renamed, "redis_exporter_team", "web_team"])
    assert said.startswith(f"`{renamed}` is no option of a role: rename it to `postgres_exporter_a")


def test_a_queue_that_no_worker_would_read(faults, routed):
    (said,) = faults(app=routed)
    assert said.startswith(
        "`redis_queues` or `worker_queues` lacks mail, to which the application sends tasks"
    )
    assert faults(app=routed, queues=[*QUEUES, "mail"]) == []


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DEFAULT_FROM_EMAIL": "no-reply@192.0.2.10"}, "DEFAULT_FROM_EMAIL is not an e-mail"),
        ({"EMAIL_URL": f"smpt://a:{PASSWORD}@mail"}, "EMAIL_URL begins with none of"),
        ({"WEB_WORKERS": "two"}, "WEB_WORKERS is not a whole number from 1 up"),
        ({"METRICS_TENANTS": "-1"}, "METRICS_TENANTS is not a whole number"),
        ({"DJANGO_LOG_LEVEL": "LOUD"}, "DJANGO_LOG_LEVEL is none of DEBUG"),
        (
            {"DATABASE_URL": f"mysql://a:{PASSWORD}@b/c"},
            "DATABASE_URL does not begin with postgres",
        ),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE is no time zone"),
    ],
)
def test_what_the_application_refuses(faults, environment, words):
    (said,) = faults(environment)
    assert said.startswith("the application refuses `jewelry_environment`: ")
    assert words in said


NAS = {"host": "nas", "address": "192.0.2.1:9100"}


def extra(targets):
    """Return the setting of more targets for job node."""
    return {"prometheus_extra_targets": {"node": targets}}


def test_targets_with_labels_of_their_own_are_right():
    redis = {"__metrics_path__": "/scrape", "__param_target": "redis://a:1", "rack": 5}
    assert of_roles(**extra([NAS, NAS | redis])) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # A string where a list belongs would be taken apart into its letters.
        ({"postgresql_listen_addresses": "localhost"}, "`postgresql_listen_addresses` is no list"),
        ({"redis_instances": {"a": {"port": 1}}}, "`redis_instances` lacks max_memory_mb for a"),
        ({"redis_instances": {}}, "`redis_instances` lacks broker, cache, which the application"),
        ({"redis_instances": "broker"}, "`redis_instances` is no dict"),
        (
            {"redis_instances": {"a": dict.fromkeys(REDIS, 1) | {"port": "x"}}},
            "`redis_instances` says x for port of a",
        ),
        ({"firewall_ssh_from": ["999.1.1.1"]}, "`firewall_ssh_from` holds 999.1.1.1: give"),
        (
            extra("192.0.2.1:9100"),
            "`prometheus_extra_targets` has no list of targets for node (exa",
        ),
        (extra(["192.0.2.1:9100"]), "`prometheus_extra_targets` has no list of targets for node"),
        (
            extra([NAS | {"host": ""}]),
            "`prometheus_extra_targets` has a target of node without host",
        ),
        (extra([{"host": "nas"}]), "has a target of node without address (example: {node: [{host:"),
        (extra([NAS | {"my-label": 5}]), "has the label my-label for a target of node: a label's"),
        (extra([NAS | {"__address__": "x"}]), "has the label __address__ for a target of node"),
        (extra([NAS | {"team": ["x"]}]), "has no text for the label team of a target of node"),
        (
            {"prometheus_targets": {"node": [NAS | {"9": "x"}]}},
            "`prometheus_targets` has the label 9 for",
        ),
        ({"worker_concurrency": "many"}, "`worker_concurrency` is no int, such as 2"),
        ({"alerts_cpu_high": "90%"}, "`alerts_cpu_high` is no float, such as 0.9"),
        ({"prometheus_retention_time": 30}, "`prometheus_retention_time` is 30, which its service"),
        ({"prometheus_retention_size": "10 GB"}, "`prometheus_retention_size` is 10 GB"),
        ({"alertmanager_group_wait": "soon"}, "`alertmanager_group_wait` is soon"),
        ({"alerts_for": {"CPUBusy": "long"}}, "`alerts_for` says long for CPUBusy"),
        ({"alerts_for": {"CPUBussy": "2h"}}, "`alerts_for` names CPUBussy, which is no alert"),
        ({"alerts_extra": [{"alert": "SalesStopped"}]}, "`alerts_extra`: missing required argum"),
        ({"web_memory_max": 1024}, "`web_memory_max` is 1024, which its service"),
        ({"nginx_client_max_body_size": "10MB"}, "`nginx_client_max_body_size` is 10MB"),
        ({"metrics_celery_address": "127.0.0.1"}, "`metrics_celery_address` is 127.0.0.1, which"),
        ({"prometheus_address": "127.0.0.1:99999"}, "`prometheus_address` is 127.0.0.1:99999"),
        ({"prometheus_address": "127.0.0.1;x:9090"}, "`prometheus_address` is 127.0.0.1;x:9090"),
        ({"prometheus_address": ""}, "`prometheus_address` is , which"),
        ({"nginx_https_port": 0}, "`nginx_https_port` is 0, which"),
        ({"nginx_http_port": 65536}, "`nginx_http_port` is 65536, which"),
        ({"postgresql_database": "template1"}, "`postgresql_database` is template1"),
        ({"postgresql_role": "postgres"}, "`postgresql_role` is postgres"),
        ({"postgresql_memory_mb": -512}, "`postgresql_memory_mb` is -512"),
        ({"postgresql_application_networks": ["10.0.0.0/99"]}, "holds 10.0.0.0/99: give"),
        ({"worker_concurrency": 0}, "`worker_concurrency` is 0"),
        ({"nginx_passwords_per_minute": 0}, "`nginx_passwords_per_minute` is 0"),
        ({"nginx_prometheus_user": "a:b"}, "`nginx_prometheus_user` is a:b"),
        ({"prometheus_retention_time": "0d"}, "`prometheus_retention_time` is 0d"),
        ({"dashboards_directory": "/etc"}, "`dashboards_directory` is /etc"),
        ({"alerts_cpu_high": 90}, "`alerts_cpu_high` is 90: it is a share"),
        ({"alerts_http_latency_seconds": float("nan")}, "`alerts_http_latency_seconds` is nan"),
        ({"alerts_slo_burn_1h": -1}, "`alerts_slo_burn_1h` is -1: give"),
        ({"redis_bind": []}, "`redis_bind` is empty"),
        *[
            ({"redis_instances": {"broker": broker(**wrong)}}, words)
            for wrong, words in (
                ({"policy": "allkeys-lru"}, "lets the broker evict tasks"),
                ({"policy": "nonsense"}, "says nonsense for policy of broker"),
                ({"max_memory_mb": 0}, "says 0 for max_memory_mb of broker"),
                ({"persistent": "maybe"}, "says maybe for persistent of broker"),
                ({"save": 60}, "has the unknown save for broker"),
            )
        ],
    ],
)
def test_what_a_service_would_not_understand(settings, words):
    assert any(words in fault for fault in of_roles(**settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metrics_celery_address": "127.0.0.1:9100"}, "Port 9100 is used twice, by"),
        ({"prometheus_address": "127.0.0.1:5432"}, "Port 5432 is used twice"),
        ({"nginx_local_address": "127.0.0.1:443"}, "Port 443 is used twice"),
        ({"grafana_address": "127.0.0.1:9100", "grafana_package_file": "/a.deb"}, "Port 9100"),
        ({"postgresql_port": 22}, "Port 22 is used twice, by `ssh` and `postgresql_port`"),
        ({"nginx_prometheus_address": "127.0.0.1:9190"}, "`prometheus_address` is 127.0.0.1:9090"),
        ({"nginx_alertmanager_address": "127.0.0.1:1"}, "`alertmanager_address` is 127.0.0.1:9093"),
        ({"postgres_exporter_port": 5433}, "`postgresql_port` is 5432: leave the first out"),
        (
            {"nginx_server_names": ["www.example.org"]},
            "lacks shop.example.org, the `jewelry_domain",
        ),
        ({"postgresql_memory_mb": 1500}, "leave nothing of the machine's 2000 MB"),
        ({"prometheus_interval": "45s"}, "`prometheus_interval` is 45s"),
        ({"alerts_disk_free_critical": 0.2}, "(0.2) is not below `alerts_disk_free_low`"),
        ({"alerts_slo_latency_seconds": "0.3"}, "is 0.3, which is none of 0.001, 0.0025"),
        ({"alerts_slo_latency_seconds": "1"}, "is 1, which is none of"),
        ({"alerts_slo_availability": 99.9}, "`alerts_slo_availability` is 99.9"),
    ],
)
def test_settings_that_contradict_each_other(settings, words):
    assert any(words in fault for fault in of_roles(**settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"web_memory_max": "128M"}, "WEB_WORKERS (2) needs 180M or more"),
        ({"worker_concurrency": 20}, "`worker_memory_max` is 1G, but `worker_concurrency` (20)"),
        ({"nginx_application_timeout": 300}, "lets requests end for 60 s only"),
        ({"nginx_application_timeout": 15}, "WEB_STATEMENT_TIMEOUT is 15 and"),
        ({"worker_stop_timeout": 300}, "the time limit of tasks (300 s) must be below"),
        ({"worker_stop_timeout": 900}, "must be below the broker's visibility timeout (900 s)"),
    ],
)
def test_settings_that_contradict_the_application(faults, settings, words):
    assert any(words in fault for fault in faults(**settings))


def test_memory_of_the_machine_against_its_processes(faults):
    said = faults({"WEB_WORKERS": "12", "WEB_THREADS": "1"}, memory_mb=1500)
    assert any("do not fit into the machine's 1500 MB" in fault for fault in said)


def test_connections_that_the_database_does_not_have(faults):
    (said,) = faults({"WEB_WORKERS": 8, "WEB_THREADS": 16}, memory_mb=8000)
    # Both web units and both workers of a release, others, reserved: 2 x (8 x 16 + 2) + 10 + 8.
    assert "`postgresql_max_connections` is 100, but WEB_WORKERS (8) x WEB_THREADS (16)" in said
    assert "set it to 278 or more" in said


def test_enough_connections(faults):
    environment = {"WEB_WORKERS": "8", "WEB_THREADS": "16"}
    assert faults(environment, memory_mb=8000, postgresql_max_connections=278) == []
    assert faults(environment, memory_mb=8000, postgresql_max_connections="277") != []
    elsewhere = {"DATABASE_URL": f"postgresql://jewelry:{PASSWORD}@db.example.org/jewelry"}
    assert faults(environment | elsewhere, memory_mb=8000) == []


@pytest.mark.parametrize("name", ["alerts_http_latency_seconds", "alerts_backup_hours"])
def test_what_is_measured_may_have_a_fraction(name):
    assert of_roles(**{name: 0.8}) == []
    assert of_roles(**{name: "0.8"}) == []  # with -e everything is a string


def make(names=("shop.example.org",), days=30):
    """Return a certificate for names, with its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example.org")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=90))
        .not_valid_after(end)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), key


def pem(key, password=None):
    """Return a key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


def judge(certificate, key, name="shop.example.org"):
    """Return what the preflight says of a certificate and its key."""
    done = ask(
        "check_certificate.py", certificate=certificate.decode(), key=key.decode(), names=[name]
    )
    assert "PRIVATE KEY-----\n" not in done.stderr
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def test_certificate_that_is_right():
    certificate, key = make()
    assert judge(certificate, pem(key)) == ""
    certificate, key = make(names=["*.example.org"])
    assert judge(certificate, pem(key)) == ""


def test_certificate_that_is_wrong():
    certificate, key = make()
    assert "does not fit" in judge(certificate, pem(make()[1]))
    assert "not for www.example.org" in judge(certificate, pem(key), "www.example.org")
    assert "not for 192.0.2.10" in judge(certificate, pem(key), "192.0.2.10")
    assert "holds no certificate in PEM form" in judge(b"nothing", pem(key))
    assert "holds no key in PEM form" in judge(certificate, b"nothing")
    assert "encrypted with a passphrase" in judge(certificate, pem(key, b"passphrase"))
    certificate, key = make(names=[])
    assert "not for shop.example.org" in judge(certificate, pem(key))
    certificate, key = make(days=-1)
    assert "ended on" in judge(certificate, pem(key))


def test_every_user_that_a_role_makes_is_looked_for():
    made = set()
    for path in ROLES.glob("*/tasks/*.yml"):
        for task in yaml.safe_load(path.read_text()) or []:
            if exporter := task.get("vars", {}).get("_exporter_name"):
                made.add(f"prometheus-{exporter}-exporter")
            elif "ansible.builtin.user" in task and path.parts[-3] != "_exporter":
                made.add(task["ansible.builtin.user"]["name"])
    assert len(made) >= 9
    known = yaml.safe_load((ROLES / "preflight/vars/main.yml").read_text())
    wiring = yaml.safe_load((REPOSITORY / "playbooks/group_vars/all.yml").read_text())
    units = {service["unit"] for service in wiring["platform_services"].values()}
    exporters = {unit.removesuffix(".service") for unit in units if unit.startswith("prometheus-")}
    assert made <= exporters | set(known["__preflight_users_of_roles"])


def test_no_measured_threshold_is_whole_numbers_only():
    for path in ROLES.glob("*/meta/argument_specs.yml"):
        found = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        for name, option in found.items():
            if name.startswith("alerts_") and name.endswith(("_seconds", "_hours", "_days")):
                assert option["type"] in ("float", "str"), name
