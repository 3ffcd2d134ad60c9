#!/usr/bin/env python3
"""Name the settings that would fail later: at the application, at a service, or against each other.

Reads from standard input, as JSON: `source` (the application's folder), `roles` (the roles'
folder), `environment` (of the application), `settings` (the roles' variables), `memory_mb`,
`ssh_port`, `domain`, `queues` (that workers read and the exporter shows), `variables` (all names
that begin with a role's).
Prints a JSON list of what is wrong, in words that hold no value of a secret.
"""

import difflib
import functools
import importlib
import ipaddress
import itertools
import json
import math
import os
import re
import sys
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

PROCESS_MB = 60  # of one Python process of the application
# Connections of PostgreSQL beside those of web and worker: beat, migrations, commands by hand …
OTHER_CONNECTIONS = 10
# … and those that postgresql.conf reserves for the superuser and for the exporter.
RESERVED_CONNECTIONS = 8

DURATION = r"([0-9]+(ms|[smhdwy]))+"
PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# What the services themselves accept, by the names of the variables.
FORMS = {
    r".+_memory_max": (r"[0-9]+[KMGT]|[0-9]{1,3}%|infinity", "512M"),
    r"nginx_client_max_body_size": (r"[0-9]+[kKmMgG]?", "10m"),
    r"prometheus_retention_time": (rf"(?=.*[1-9]){DURATION}", "30d"),
    r"prometheus_retention_size": (r"[1-9][0-9]*[KMGTP]B", "10GB"),
    r"(prometheus|alertmanager|alerts)_.*(time|interval|wait|recovery)": (DURATION, "15s"),
    r".+_address": (rf"([\w.-]+|\*|\[[0-9a-fA-F:]+\]):{PORT}|", "127.0.0.1:9090"),
    r".+_port": (PORT, "8443"),
    r"postgresql_(database|role)": (r"(?!postgres$|template[01]$)[A-Za-z_][\w-]{0,62}", "jewelry"),
    r"nginx_prometheus_user": (r"[\w.@-]+", "admin"),
    r"(dashboards|nginx_static)_directory": (r"(/(?!etc/|\.)[\w.-]+){2,}", "/srv/jewelry/static"),
    r"worker_concurrency|\w+_memory_mb|nginx_\w+_per_(second|minute)": (r"[1-9][0-9]*", "2"),
}
REDIS_FORMS = {
    "port": (PORT, "6379"),
    "max_memory_mb": (r"[1-9][0-9]*", "256"),
    "policy": (r"noeviction|(allkeys|volatile)-(lru|lfu|random)|volatile-ttl", "allkeys-lru"),
    "persistent": (r"True|False", "true"),
}
# Addresses and ports on which something listens; others name the same ones, to be called.
LISTENING = re.compile(
    r"(alertmanager|prometheus|grafana|\w+_exporter|nginx_local|metrics_(django|celery))_address"
    r"|(nginx_https?|postgresql)_port"
)
# Names of labels; those with two underscores are Prometheus's own, of which these are for targets.
LABEL = re.compile(
    r"(?!__)[a-zA-Z_]\w*|__param_\w+|__(metrics_path|scheme|scrape_interval|scrape_timeout)__",
    re.ASCII,
)
# Seconds: rules look at the last minute, and a rate needs two samples in it.
SCRAPED_WITHIN = 30


def megabytes(text):
    """Return a size such as 512M or 10GB in MB; None if it is no fixed size."""
    found = re.fullmatch(r"([0-9]+)([KMGTP])B?", str(text))
    return int(found[1]) * 1024 ** ("KMGTP".index(found[2]) - 1) if found else None


@functools.cache
def documented(roles):
    """Return the roles' options by name."""
    found: dict[str, dict] = {}
    for path in sorted(Path(roles).glob("*/meta/argument_specs.yml")):
        found |= yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    return found


def options(roles):
    """Return the roles' options that have a default, by name."""
    return {k: option for k, option in documented(roles).items() if not option.get("required")}


def misspelled(variables, roles):
    """Yield the variables with almost the name of an option: no role reads them."""
    known = documented(roles)
    for name in sorted(set(variables) - known.keys()):
        for option in difflib.get_close_matches(name, known, n=1, cutoff=0.85):
            yield f"`{name}` is no option of a role: rename it to `{option}`, or remove it"


def types(settings, documented):
    """Yield the variables that are not of their type."""
    for name, option in documented.items():
        if name not in settings:
            continue
        value, wanted = settings[name], option["type"]
        # Ansible would take a string for a list, and each role would then take it apart.
        fits = not (wanted in ("list", "dict") and isinstance(value, str))
        errors = ArgumentSpecValidator({name: option}).validate({name: value}).error_messages
        if fits and errors and "options" in option:
            yield f"`{name}`: {errors[0]}"
        elif not fits or errors:
            of = f" of {option['elements']}" if "elements" in option else ""
            example = f", such as {option['default']}" if option.get("default") else ""
            yield f"`{name}` is no {wanted}{of}{example}: {option['description']}"


@functools.cache
def alert_names(roles):
    """Return the names of the alerts that role alerts has."""
    files = [yaml.safe_load(path.read_text()) for path in Path(roles).glob("alerts/files/*.yml")]
    return {alert["alert"] for alerts in files for alert in alerts}


def targets(settings):
    """Yield the targets that Prometheus would refuse, which has one file for all of them."""
    for name in ("prometheus_targets", "prometheus_extra_targets"):
        for job, found in settings.get(name, {}).items():
            example = f'{{{job}: [{{host: nas, address: "192.0.2.20:9100"}}]}}'
            if not (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
                yield f"`{name}` has no list of targets for {job} (example: {example})"
                continue
            for one in found:
                for key in ("host", "address"):
                    if not (isinstance(one.get(key), str) and one[key]):
                        yield f"`{name}` has a target of {job} without {key} (example: {example})"
                for label, value in one.items():
                    if not LABEL.fullmatch(str(label)):
                        yield (
                            f"`{name}` has the label {label} for a target of {job}: a label's name"
                            " has letters, digits and _ only, begins with none of the digits, and"
                            " with __ only if it is __param_<name>, __metrics_path__ or __scheme__"
                        )
                    elif not isinstance(value, str | int | float):
                        yield f"`{name}` has no text for the label {label} of a target of {job}"


def forms(settings, roles):
    """Yield the variables whose service would not understand them."""
    for name, value in settings.items():
        nowhere = str(value) == "" and LISTENING.fullmatch(name)
        for pattern, (form, example) in FORMS.items():
            if re.fullmatch(pattern, name) and (nowhere or not re.fullmatch(form, str(value))):
                yield f"`{name}` is {value}, which its service refuses (example: {example})"
    known = alert_names(roles) | {alert["alert"] for alert in settings.get("alerts_extra", [])}
    for name in ("alerts_for", "alerts_keep_firing_for"):
        for alert, value in settings.get(name, {}).items():
            if not re.fullmatch(DURATION, str(value)):
                yield f"`{name}` says {value} for {alert}, which is no duration (example: 15m)"
            if alert not in known:
                yield f"`{name}` names {alert}, which is no alert: see docs/runbooks/"
    for name, instance in settings["redis_instances"].items():
        if not re.fullmatch("[a-z][a-z0-9-]*", name):
            yield f"`redis_instances` has the name {name}: use small letters and digits"
        for key in sorted(REDIS_FORMS.keys() ^ instance.keys()):
            word = "lacks" if key in REDIS_FORMS else "has the unknown"
            yield f"`redis_instances` {word} {key} for {name}"
        for key in sorted(REDIS_FORMS.keys() & instance.keys()):
            form, example = REDIS_FORMS[key]
            if not re.fullmatch(form, str(instance[key])):
                yield (
                    f"`redis_instances` says {instance[key]} for {key} of {name}, which Redis"
                    f" refuses (example: {example})"
                )
    if settings["redis_instances"].get("broker", {}).get("policy", "noeviction") != "noeviction":
        yield "`redis_instances` lets the broker evict tasks: set its policy to noeviction"
    if not settings.get("redis_bind", True):
        yield "`redis_bind` is empty: give the addresses to listen on, such as 127.0.0.1"
    if missing := {"broker", "cache"} - set(settings["redis_instances"]):
        yield f"`redis_instances` lacks {', '.join(sorted(missing))}, which the application needs"
    yield from targets(settings)
    for name in ("firewall_ssh_from", "postgresql_application_networks"):
        for network in settings.get(name, []):
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                yield f"`{name}` holds {network}: give a network such as 192.0.2.0/24"


def numbers(settings, roles):
    """Yield thresholds that nothing could pass; what is a share by default stays one."""
    for name, option in options(roles).items():
        if name not in settings or not name.startswith("alerts_"):
            continue
        if option["type"] not in ("int", "float"):
            continue
        value, default = float(settings[name]), option.get("default")
        is_share = isinstance(default, float) and default < 1 and not name.endswith("_seconds")
        if is_share and not 0 <= value <= 1:
            yield f"`{name}` is {value:g}: it is a share from 0 to 1, such as {default}"
        elif not 0 <= value < math.inf:
            yield f"`{name}` is {value:g}: give a number of 0 or more"


def ports(settings, ssh):
    """Yield the ports that two services would listen on; ssh has one already."""
    taken = {ssh: "ssh"}
    listening: dict[str, str | int] = {
        name: str(settings[name]).rpartition(":")[2]
        for name in settings
        if LISTENING.fullmatch(name)
    }
    if not (settings["grafana_package_file"] or settings["grafana_repository"]):
        del listening["grafana_address"]
    for name, instance in settings["redis_instances"].items():
        listening[f"redis_instances.{name}.port"] = instance["port"]
    for name, port in listening.items():
        first = taken.setdefault(int(port), name)
        if first != name:
            yield f"Port {port} is used twice, by `{first}` and `{name}`: give one of them another"


def references(settings):
    """Yield the options by which one service would not find another; empty ones look for none."""
    for name, of in (
        ("nginx_metrics_address", "metrics_django_address"),
        ("nginx_prometheus_address", "prometheus_address"),
        ("nginx_alertmanager_address", "alertmanager_address"),
        ("postgres_exporter_database", "postgresql_database"),
        ("postgres_exporter_port", "postgresql_port"),
        ("prometheus_blackbox_address", "blackbox_exporter_address"),
    ):
        if str(settings.get(name, "")) not in ("", str(settings[of])):
            yield (
                f"`{name}` is {settings[name]}, but `{of}` is {settings[of]}: leave the first out,"
                " and it follows the second"
            )


def names(settings, domain):
    """Yield that the site has no possible name, or would not answer to its own."""
    if re.fullmatch(r"[0-9.]+", domain):
        try:
            ipaddress.ip_address(domain)
        except ValueError:
            yield f"`jewelry_domain` is {domain}, which is neither a name nor an address"
    served = settings.get("nginx_server_names", [domain])
    if domain not in served:
        yield (
            f"`nginx_server_names` ({', '.join(served)}) lacks {domain}, the `jewelry_domain`:"
            " add it, it is the name that probes and links use"
        )


def memory(settings, machine):
    """Yield the memory settings that do not fit the machine or the processes."""
    redis = sum(int(one["max_memory_mb"]) for one in settings["redis_instances"].values())
    postgresql = int(settings.get("postgresql_memory_mb", machine // 2))
    if redis + postgresql > machine * 0.9:
        yield (
            f"`postgresql_memory_mb` ({postgresql}) and max_memory_mb of `redis_instances`"
            f" ({redis}) leave nothing of the machine's {machine} MB to other services: lower them"
        )


def buckets(roles):
    """Return the bounds of the latency histogram as its labels have them."""
    source = Path(roles) / "nginx_log_exporter/files/prometheus-nginx-log-exporter"
    found = re.search(r"^BUCKETS = \((.+?)\)", source.read_text(), re.DOTALL | re.MULTILINE)
    return [str(float(bound)) for bound in re.findall(r"[\d.]+", found[1])] if found else []


def monitoring(settings, roles):
    """Yield what the alert rules could not work with."""
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
    interval = re.findall(r"([0-9]+)(ms|[smhdwy])", settings["prometheus_interval"])
    if not 1 <= sum(int(number) * seconds[unit] for number, unit in interval) <= SCRAPED_WITHIN:
        yield (
            f"`prometheus_interval` is {settings['prometheus_interval']}: the alert rules look at"
            f" the last minute, so set 1s to {SCRAPED_WITHIN}s"
        )
    critical, low = (float(settings[f"alerts_disk_free_{one}"]) for one in ("critical", "low"))
    if critical >= low:
        yield f"`alerts_disk_free_critical` ({critical}) is not below `alerts_disk_free_low`"
    for name in ("alerts_slo_availability", "alerts_slo_latency"):
        if not 0 < float(settings[name]) < 1:
            yield f"`{name}` is {settings[name]}: it is a share below 1, such as 0.999"
    if (bound := str(settings["alerts_slo_latency_seconds"])) not in (known := buckets(roles)):
        yield f"`alerts_slo_latency_seconds` is {bound}, which is none of {', '.join(known)}"


def application(source, environment):
    """Import the application's settings as its processes do; return them, and gunicorn's."""
    os.environ.clear()
    os.environ.update({name: str(value) for name, value in environment.items()})
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    sys.path.insert(0, source)
    return importlib.import_module("config.settings"), importlib.import_module("config.gunicorn")


def processes(settings, machine, django, gunicorn):
    """Yield what contradicts the application's settings."""
    concurrency = int(settings["worker_concurrency"])
    threads = gunicorn.workers * gunicorn.threads
    # During a release two web units serve, and the new worker may start before the old one ends.
    needed = 2 * (threads + concurrency) + OTHER_CONNECTIONS + RESERVED_CONNECTIONS
    allowed = int(settings["postgresql_max_connections"])
    if django.DATABASES["default"]["HOST"] in ("127.0.0.1", "localhost") and needed > allowed:
        yield (
            f"`postgresql_max_connections` is {allowed}, but WEB_WORKERS ({gunicorn.workers}) x"
            f" WEB_THREADS ({gunicorn.threads}) and `worker_concurrency` ({concurrency}) need"
            f" {needed}, since a release runs the old and the new beside each other: set it to"
            f" {needed} or more, or lower WEB_WORKERS or WEB_THREADS in `jewelry_environment`"
        )
    for name, count, what in (
        ("web_memory_max", gunicorn.workers, "WEB_WORKERS"),
        ("worker_memory_max", concurrency, "`worker_concurrency`"),
    ):
        limit, least = megabytes(settings[name]), (count + 1) * PROCESS_MB
        if limit is not None and limit < least:
            yield f"`{name}` is {settings[name]}, but {what} ({count}) needs {least}M or more"
    if 2 * gunicorn.workers * PROCESS_MB + concurrency * PROCESS_MB > machine * 0.9:
        yield (
            f"WEB_WORKERS ({gunicorn.workers}) and `worker_concurrency` ({concurrency}), some"
            f" {PROCESS_MB} MB each and twice that in a release, do not fit into the machine's"
            f" {machine} MB: lower them"
        )
    if int(settings["nginx_application_timeout"]) > gunicorn.graceful_timeout:
        yield (
            f"`nginx_application_timeout` is {settings['nginx_application_timeout']}, but a release"
            f" lets requests end for {gunicorn.graceful_timeout} s only: set that or less"
        )
    if int(settings["nginx_application_timeout"]) <= django.WEB_STATEMENT_TIMEOUT:
        yield (
            f"WEB_STATEMENT_TIMEOUT is {django.WEB_STATEMENT_TIMEOUT} and"
            f" `nginx_application_timeout` {settings['nginx_application_timeout']}: the database"
            " would still work for requests that nginx has given up: set the first below the second"
        )
    transport = django.CELERY_BROKER_TRANSPORT_OPTIONS
    limits = [
        ("the soft time limit of tasks", django.CELERY_TASK_SOFT_TIME_LIMIT),
        ("the time limit of tasks", django.CELERY_TASK_TIME_LIMIT),
        ("`worker_stop_timeout`", int(settings["worker_stop_timeout"])),
        ("the broker's visibility timeout", transport["visibility_timeout"]),
    ]
    for (first, shorter), (second, longer) in itertools.pairwise(limits):
        if shorter >= longer:
            yield f"{first} ({shorter} s) must be below {second} ({longer} s), or tasks run twice"


def queues(read, django):
    """Yield the queues that tasks are sent to and the worker does not read."""
    sent = {django.CELERY_TASK_DEFAULT_QUEUE}
    sent |= {route["queue"] for route in django.CELERY_TASK_ROUTES.values()}
    for queue in sorted(sent - set(read)):
        yield (
            f"`redis_queues` or `worker_queues` lacks {queue}, to which the application sends tasks"
            " (CELERY_TASK_ROUTES in config/settings.py): add it, or leave them out"
        )


def of_roles(settings, roles, machine, domain, ssh=22):
    """Return what is wrong with the roles' variables; what cannot be read is named first."""
    return (
        list(types(settings, options(roles)))
        or [*forms(settings, roles), *numbers(settings, roles)]
        or [
            *ports(settings, ssh),
            *references(settings),
            *names(settings, domain),
            *memory(settings, machine),
            *monitoring(settings, roles),
        ]
    )


def main():
    """Print the faults of what standard input holds."""
    given = json.load(sys.stdin)
    machine = int(given["memory_mb"])
    # Defaults that Ansible computes are right by themselves.
    settings = {k: v for k, v in given["settings"].items() if "{{" not in str(v)}
    faults = [
        *misspelled(given["variables"], given["roles"]),
        *of_roles(settings, given["roles"], machine, given["domain"], given["ssh_port"]),
    ]
    try:
        django, gunicorn = application(given["source"], given["environment"])
    except ModuleNotFoundError as error:
        faults.append(
            f"the Python of this ansible-playbook lacks {error.name}, with which the application's"
            " settings are checked: make tools, then .venv/bin/ansible-playbook"
        )
    except Exception as error:  # whatever the application refuses
        known = type(error).__name__ == "ImproperlyConfigured"
        reason = str(error) if known else f"{type(error).__name__} when its settings are read"
        faults.append(f"the application refuses `jewelry_environment`: {reason}")
    else:
        faults += [] if faults else processes(settings, machine, django, gunicorn)
        faults += queues(given["queues"], django)
    json.dump(faults, sys.stdout)


if __name__ == "__main__":
    main()
