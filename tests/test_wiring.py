"""What the inventory says wins everywhere, and what depends on it follows."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PLAYBOOKS = REPOSITORY / "playbooks"
SPECS = {
    path.parts[-3]: yaml.safe_load(path.read_text())["argument_specs"]["main"].get("options", {})
    for path in sorted((REPOSITORY / "roles").glob("*/meta/argument_specs.yml"))
}
OPTIONS = {name: spec for options in SPECS.values() for name, spec in options.items()}
DEFAULTS = {
    name: value
    for role in SPECS
    for name, value in (
        yaml.safe_load((REPOSITORY / f"roles/{role}/defaults/main.yml").read_text()) or {}
    ).items()
}
WIRING = yaml.safe_load((PLAYBOOKS / "group_vars/all.yml").read_text())
SECRETS = {
    name: f"{name}-0123456789"
    for name in re.findall(r"vault_\w+(?:password|key)\b", str(DEFAULTS) + str(WIRING))
}
GROUPS = ["web", "worker", "beat", "database", "broker", "cache", "proxy", "monitoring"]
ADDRESS = re.compile(r"127\.0\.0\.1:\d+")


@pytest.fixture
def read(tmp_path):
    """Return a function that gives the values of variables on a machine, by name.

    It sets `settings` in an inventory's group_vars/all and reads in plays beside site.yml, of which
    one has all roles, as plays of site.yml have some, and another has none.
    """
    playbooks = tmp_path / "playbooks"
    playbooks.mkdir()
    for name in ("group_vars", "library", "lookup_plugins", "module_utils", "roles"):
        (playbooks / name).symlink_to(PLAYBOOKS / name)

    def values(names, settings, machines=None, groups=None, wired=True, roles=True):
        machines = machines or {"shop1": {}}
        groups = groups or {group: list(machines) for group in GROUPS}
        inventory = tmp_path / "inventory"
        (inventory / "group_vars").mkdir(parents=True, exist_ok=True)
        (inventory / "group_vars/all.yml").write_text(json.dumps(settings))
        members = {group: {"hosts": dict.fromkeys(of)} for group, of in groups.items()}
        (inventory / "hosts.yml").write_text(
            json.dumps({"all": {"hosts": machines, "children": members}})
        )
        if not wired:
            (playbooks / "group_vars").unlink()
        lookup = "vars" if roles else "setting"
        play = {
            "hosts": next(iter(machines)),
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "roles": [{"role": role, "tags": "no"} for role in SPECS] if roles else [],
            "post_tasks": [
                {"set_fact": {"memtotal_mb": 2000, "cacheable": True}, "tags": "read"},
                {
                    "copy": {
                        "content": f"{{{{ dict(names | zip(query('{lookup}', *names))) }}}}",
                        "dest": str(tmp_path / "read.json"),
                    },
                    "tags": "read",
                },
            ],
        }
        (playbooks / "read.yml").write_text(json.dumps([play]))
        (tmp_path / "names.json").write_text(json.dumps({"names": list(names)}))
        done = subprocess.run(
            [
                *("ansible-playbook", "-i", inventory, playbooks / "read.yml"),
                *("--tags", "read", "--skip-tags", "always", "-e", f"@{tmp_path}/names.json"),
            ],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "ANSIBLE_CONFIG"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / "read.json").read_text())

    return values


def another(name, spec):
    """Return a value for an option that is not its default."""
    if "choices" in spec:
        return next(one for one in spec["choices"] if one != spec.get("default"))
    return {
        "bool": not spec.get("default"),
        "int": 4321,
        "float": 0.4321,
        "str": f"set-{name}",
        "path": f"/set/{name}",
        "list": [f"set-{name}"],
        "dict": {"set": name},
    }[spec["type"]]


@pytest.mark.parametrize("roles", [True, False], ids=["in the role", "outside"])
def test_every_option_of_the_inventory_takes_effect(read, roles):
    wanted = {name: another(name, spec) for name, spec in OPTIONS.items()}
    assert read(wanted, {"jewelry_domain": "shop.example.org", **wanted}, roles=roles) == wanted


def test_only_computed_names_are_beside_the_playbooks():
    assert [name for name in WIRING if not name.startswith("platform_")] == []
    for path in PLAYBOOKS.glob("*.yml"):
        text = path.read_text()
        set_here = {
            name for name in OPTIONS if re.search(rf"^\s+(- )?{name}:|[{{,] {name}:", text, re.M)
        }
        # The release that was preflighted is the one that all machines get.
        assert set_here <= {"release_id"}, path


def test_every_role_is_in_the_play_of_its_machines():
    """Those of platform_services that are called as their role: where the registry has them."""
    play_of = {
        role: set(play["hosts"].split(":"))
        for play in yaml.safe_load((PLAYBOOKS / "site.yml").read_text())
        for role in re.findall(r"'(?:name|role)': '(\w+)'", str(play))
    }
    roles = {path.name for path in (REPOSITORY / "roles").iterdir() if path.name[0] != "_"}
    assert roles - set(play_of) == set(), "playbooks/site.yml has no such role"
    for name, service in WIRING["platform_services"].items():
        if name in roles and isinstance(service["groups"], list):
            assert set(service["groups"]) <= play_of[name], f"playbooks/site.yml: {name}"


def test_ports_and_names_are_written_once():
    text = (PLAYBOOKS / "group_vars/all.yml").read_text()
    assert re.findall(r"(?:localhost|[0-9]|\]):\d+", text) == []
    assert re.findall(r"://jewelry@|/jewelry$", text, re.M) == []


def test_the_version_of_postgresql_is_written_once():
    """Runbooks and tests name units and folders that have it in their names."""
    named = re.compile(rf"postgresql[@/-]{DEFAULTS['postgresql_version']}\b")
    folders = ("docs", "molecule", "playbooks", "roles")
    paths = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.*")]
    texts = {
        path: path.read_text() for path in paths if path.suffix in {".j2", ".md", ".py", ".yml"}
    }
    assert [str(path) for path, text in texts.items() if named.search(text)] == []


def test_what_depends_on_an_option_follows_it(read):
    """Change every address, port and name: nothing still names what it was."""
    port = iter(range(20000, 21000))
    addresses = {
        name: f"127.0.0.1:{next(port)}"
        for name, value in DEFAULTS.items()
        if ADDRESS.fullmatch(str(value))
    }
    assert len(addresses) > 10
    settings = {
        **SECRETS,
        **addresses,
        "jewelry_domain": "shop.example.org",
        "jewelry_timezone": "Europe/Berlin",
        "grafana_package_file": "/grafana.deb",
        "nginx_server_names": ["shop.example.org", "www.example.org"],
        "nginx_https_port": 8443,
        "nginx_http_port": 8080,
        "postgresql_database": "store",
        "postgresql_role": "keeper",
        "postgresql_port": next(port),
        "redis_instances": {
            name: {**instance, "port": next(port)}
            for name, instance in DEFAULTS["redis_instances"].items()
        },
        "redis_queues": ["celery", "mail"],
        "dashboards_directory": "/usr/share/pages",
        "worker_node": "worker@somewhere",
        "jewelry_environment": {"WEB_WORKERS": 7},
        "jewelry_site": "north",
        "prometheus_interval": "30s",
    }
    was = {match for value in DEFAULTS.values() for match in ADDRESS.findall(str(value))}
    names = [
        *(name for name, spec in OPTIONS.items() if name != "release_id"),
        *("platform_services", "platform_targets", "platform_units"),
    ]
    found = read(names, settings)
    text = json.dumps(found)

    assert was
    assert sorted(one for one in was if one in text) == []
    environment = found["release_environment"]
    database = f"127.0.0.1:{settings['postgresql_port']}/store"
    assert (
        environment["DATABASE_URL"]
        == f"postgresql://keeper:{SECRETS['vault_database_password']}@{database}"
    )
    for role, instance in settings["redis_instances"].items():
        assert f"@127.0.0.1:{instance['port']}/0" in environment[f"{role}_URL".upper()]
    assert "www.example.org" in environment["DJANGO_ALLOWED_HOSTS"].split(",")
    assert environment["TIME_ZONE"] == found["postgresql_timezone"] == "Europe/Berlin"
    assert found["firewall_tcp_ports"] == [8080, 8443]
    assert found["prometheus_external_url"] == "https://shop.example.org:8443/prometheus/"
    assert found["postgres_exporter_database"] == found["alerts_postgresql_database"] == "store"
    assert found["postgres_exporter_port"] == settings["postgresql_port"]
    assert found["redis_exporter_queues"] == found["worker_queues"] == ["celery", "mail"]
    assert found["prometheus_user_assets"] == "/usr/share/pages"
    assert found["metrics_celery_nodes"] == ["worker@somewhere"]
    assert int(found["alerts_web_workers"]) == 7
    assert found["grafana_prometheus_interval"] == found["dashboards_interval"] == "30s"
    targets = [one for targets in found["prometheus_targets"].values() for one in targets]
    assert {one["site"] for one in targets} == {one["cluster"] for one in targets} == {"north"}
    scraped = {one["address"] for one in targets}
    callable_only = {"nginx_local_address", "grafana_address", "blackbox_exporter_address"}
    for name in set(addresses) - callable_only:
        assert addresses[name] in scraped, (
            f"platform_services in playbooks/group_vars/all.yml has no target at {name}"
        )
    shown = {one.get("address") for one in found["status_services"]}
    assert f"127.0.0.1:{settings['postgresql_port']}" in shown


def test_the_queues_are_those_of_the_applications_settings(read, tmp_path):
    source = tmp_path / "app/config"
    source.mkdir(parents=True)
    routes = '{"a": {"queue": "mail"}, "b": {"queue": "scans"}, "c": {"queue": "mail"}}'
    (source / "settings.py").write_text(f"CELERY_TASK_ROUTES = {routes}\n")
    names = ["redis_queues", "redis_exporter_queues", "worker_queues"]
    found = read(names, {**SECRETS, "jewelry_domain": "shop.example.org"})
    assert list(found.values()) == [["celery", "mail", "scans"]] * 3


def test_the_preflight_knows_which_queues_are_read(read):
    settings = {**SECRETS, "redis_queues": ["celery", "mail"], "worker_queues": ["mail", "scans"]}
    assert read(["__preflight_queues"], settings) == {"__preflight_queues": ["mail"]}


def test_what_stands_in_place_of_a_computed_option_is_followed_too(read, tmp_path):
    """Such as another source, or the whole environment: not only what they are computed from."""
    source = shutil.copytree(
        REPOSITORY / "app", tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__", ".*")
    )
    with (source / "config/settings.py").open("a") as file:
        file.write('CELERY_TASK_ROUTES["a"] = {"queue": "another"}\n')
    settings = {
        **SECRETS,
        "jewelry_domain": "shop.example.org",
        "jewelry_timezone": "Etc/UTC",
        "release_source": str(source),
        "release_environment": {"WEB_WORKERS": 7, "LOGINS_PER_ADDRESS": 3},
        "release_admin_name": "root",
        "nginx_prometheus_user": "watcher",
    }
    numbers = ["alerts_web_workers", "nginx_passwords_per_minute"]
    found = read(["release_id", "worker_queues", "platform_addresses", *numbers], settings)
    program = REPOSITORY / "roles/release/files/build_release.py"
    made = subprocess.run(
        [sys.executable, program, "id", source], capture_output=True, text=True, check=True
    )
    assert found["release_id"] == made.stdout.strip()
    assert "another" in found["worker_queues"]
    assert [int(found[name]) for name in numbers] == [7, 6]
    assert "(user root," in found["platform_addresses"]
    assert "(user watcher," in found["platform_addresses"]


def test_defaults_that_follow_the_application_are_the_applications():
    """Roles repeat a setting's default, for they cannot read the application."""
    application = "".join(path.read_text() for path in (REPOSITORY / "app/config").glob("*.py"))
    defaults = (REPOSITORY / "roles").glob("*/defaults/main.yml")
    repeated = re.findall(
        r"platform_settings \| default\({}\)\)\.(\w+) \| default\((\w+)\)",
        "".join(path.read_text() for path in defaults),
    )
    assert len(repeated) >= 2
    for name, default in repeated:
        assert f'"{name}", default={default},' in application, name


def test_services_of_several_machines_are_at_their_own_addresses(read):
    settings = {**SECRETS, "jewelry_domain": "shop.example.org", "jewelry_timezone": "Etc/UTC"}
    machines = {
        "web1": {"node_exporter_address": "10.0.0.1:9100"},
        "db1": {
            "node_exporter_address": "10.0.0.2:9100",
            "postgresql_listen_addresses": ["localhost", "10.0.0.2"],
            "redis_bind": ["127.0.0.1", "10.0.0.2"],
        },
    }
    of_db1 = ("database", "broker")
    groups = {group: ["db1" if group in of_db1 else "web1"] for group in GROUPS}
    names = ["prometheus_targets", "release_environment", "status_services", "redis_run"]
    found = read(names, settings, machines, groups)

    targets = {
        (one["job"], one["host"], one["address"])
        for targets in found["prometheus_targets"].values()
        for one in targets
    }
    assert {one for one in targets if one[0] in ("node", "postgres", "redis", "nginx")} == {
        ("node", "web1", "10.0.0.1:9100"),
        ("node", "db1", "10.0.0.2:9100"),
        ("postgres", "db1", DEFAULTS["postgres_exporter_address"]),
        ("redis", "db1", DEFAULTS["redis_exporter_address"]),
        ("redis", "web1", DEFAULTS["redis_exporter_address"]),
        ("nginx", "web1", DEFAULTS["nginx_exporter_address"]),
    }
    environment = found["release_environment"]
    assert environment["DATABASE_URL"].endswith("@10.0.0.2:5432/jewelry")
    assert environment["BROKER_URL"].endswith("@10.0.0.2:6379/0")
    assert environment["CACHE_URL"].endswith("@127.0.0.1:6380/0")
    assert found["redis_run"] == ["cache"]
    assert {one["alerts"] for one in found["status_services"]}.isdisjoint(of_db1)
    # The exporter asks Redis on its own machine.
    asked = {one["__param_target"] for one in found["prometheus_targets"]["redis"]}
    assert asked == {"redis://127.0.0.1:6379", "redis://127.0.0.1:6380"}


def test_an_address_that_roles_repeat_is_its_owners_default():
    """A role that stands alone has one in place of the computed one."""
    owned = {value for value in DEFAULTS.values() if ADDRESS.fullmatch(str(value))}
    owned |= {f"127.0.0.1:{one['port']}" for one in DEFAULTS["redis_instances"].values()}
    repeated = {one for value in DEFAULTS.values() for one in ADDRESS.findall(str(value))}
    assert repeated - owned == set()


def test_every_role_stands_alone(read):
    """Without the playbooks' variables each role has defaults, but for what is required."""
    optional = [name for name, spec in OPTIONS.items() if not spec.get("required")]
    found = read(optional, {}, wired=False)
    assert "{{" not in json.dumps(found)


def test_a_scenario_changes_every_address_and_port():
    """Molecule's operator installs with them, and finds all healthy."""
    inventory = REPOSITORY / "molecule/operator/inventory"
    made = subprocess.run([inventory / "addresses.py"], capture_output=True, text=True, check=True)
    written = inventory / "group_vars/all/changed.yml"
    changed = json.loads(made.stdout)["all"]["vars"] | yaml.safe_load(written.read_text())
    listened_on = {name for name, value in DEFAULTS.items() if is_listened_on(name, value)}
    assert listened_on - set(changed) == set(), f"set them in {written}"
    for name, value in changed.items():
        assert value != DEFAULTS[name], name


def is_listened_on(name, value):
    """Tell whether an option is a port or an address, and not one that follows another."""
    return "{{" not in str(value) and (ADDRESS.search(str(value)) or name.endswith("_port"))


def test_documentation_lists_every_job_with_its_address():
    text = (REPOSITORY / "docs/monitoring/overview.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `([\d.:]+)` \|", text, re.M))
    jobs = {
        target["job"]: f"roles/{name}/README.md"
        for name, service in WIRING["platform_services"].items()
        for target in service.get("scrape", [])
    }
    assert set(rows) <= set(jobs)
    assert set(rows.values()) <= {value for value in DEFAULTS.values() if isinstance(value, str)}
    for job in set(jobs) - set(rows):
        readme = REPOSITORY / jobs[job]
        assert readme.exists() and f"job `{job}`" in readme.read_text(), (
            f"{jobs[job]} does not say which metrics the job `{job}` has"
        )
