#!/usr/bin/env python3
"""Measure what the instrumentation costs: requests, memory, scrapes, and time that goes by.

The application answers in two processes of the same release on the same PostgreSQL and Redis, one
as it is in production, one with the settings `uninstrumented`; batches of requests alternate
between them. Scrapes of files in slots are compared with prometheus_client's own mode, which has
files of each process that ever lived. Times are of this machine; look at ratios and differences.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen
from wsgiref.util import setup_testing_defaults

APP = Path(__file__).resolve().parents[1] / "app"
sys.path.insert(0, str(APP))
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client looks at it when it is imported
MODES = ("slots", "plain")
ROUNDS, REQUESTS = 60, 200  # batches, and requests in each
VIEWS = {  # path: highest cost in µs
    "/healthz": 200,
    "/api/v1/items/": 1000,  # answered from the cache, after three queries
}
LOGIN = """
from knox.models import AuthToken
from apps.core.models import User
print(AuthToken.objects.create(User.objects.get(username="demo-aurum"))[1])
"""
PROCESSES, SERIES_VIEWS = (1, 4, 8), (15, 50, 200)
SCRAPES = 7
COUNTED = "django_http_responses_total_by_status_view_method_total{"


# -- What runs in processes of its own -----------------------------------------------------------


def serve(token):
    """Answer a batch for each path on standard input; print its seconds of CPU and wall time."""
    from config.wsgi import application

    environ = {"HTTP_HOST": "localhost", "HTTP_AUTHORIZATION": f"Token {token}"}
    setup_testing_defaults(environ)
    answers = []
    for line in sys.stdin:
        environ["PATH_INFO"] = line.strip()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(REQUESTS):
            request = {**environ, "wsgi.input": io.BytesIO()}
            response = application(request, lambda status, headers: answers.append(status))
            b"".join(response)
            response.close()
        print(time.process_time() - cpu, time.perf_counter() - wall, flush=True)
        if set(answers) != {"200 OK"}:
            sys.exit(f"{line.strip()} was answered with {set(answers)}")
        answers.clear()


def count(mode, processes, views, recycled):
    """Have processes count requests, tell when all have, and keep them until standard input ends.

    `recycled` others come and go before, as many at once as stay.
    """
    from apps.monitoring import sharing

    if mode == "plain":
        sharing.share = lambda: sharing.ProcessMetrics(forked=False)

    from django.conf import settings

    latency = settings.PROMETHEUS_LATENCY_BUCKETS[0]  # loads the settings, which share

    from django_prometheus.middleware import Metrics
    from prometheus_client import multiprocess

    def work():
        """In a child: count two requests of each view."""
        sharing.ProcessMetrics(forked=True)
        metrics = Metrics.get_instance()
        for number in range(int(views)):
            for method in ("GET", "POST"):
                labels = {"view": f"view-{number}", "method": method}
                metrics.requests_by_view_transport_method.labels(transport="https", **labels).inc()
                metrics.responses_by_status_view_method.labels(status="200", **labels).inc()
                metrics.requests_latency_by_view_method.labels(**labels).observe(latency)

    def fork(then):
        pid = os.fork()
        if pid == 0:
            work()
            then()
            os._exit(0)
        return pid

    def stay():
        os.write(sys.stdout.fileno(), b"counted\n")
        os.read(sys.stdin.fileno(), 1)

    for _ in range(int(recycled) // int(processes)):
        for pid in [fork(lambda: None) for _ in range(int(processes))]:
            os.waitpid(pid, 0)
            multiprocess.mark_process_dead(pid)  # as its manual wants it; slots need it not
    for _ in range(int(processes)):
        fork(stay)
    os.read(sys.stdin.fileno(), 1)


def scrape(mode, directory):
    """Print the median CPU seconds of collecting and rendering, and how much was counted."""
    from apps.monitoring import files, slots
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    class Slots:
        def collect(self):
            return files.total(folder, slots.holders(folder)).families.values()

    folder = Path(directory)
    registry = CollectorRegistry()
    registry.register(Slots() if mode == "slots" else MultiProcessCollector(None, directory))
    seconds = []
    for _ in range(1 + SCRAPES):
        began = time.process_time()
        page = generate_latest(registry)
        seconds.append(time.process_time() - began)
    lines = [line for line in page.decode().splitlines() if line.startswith(COUNTED)]
    print(statistics.median(seconds[1:]), sum(float(line.split()[-1]) for line in lines))


# -- What starts them ----------------------------------------------------------------------------


@contextmanager
def running(*command, **variables):
    """Run a command with pipes and further variables; end it with the block."""
    with subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=APP,
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def counting(mode, processes, views, recycled, directory):
    """Have processes count into a directory, and keep them until the block ends."""
    command = (__file__, "count", mode, processes, views, recycled)
    with running(*command, **{VARIABLE: str(directory)}) as service:
        for _ in range(processes):
            service.stdout.readline()
        yield


def manage(*command):
    """Return what a management command prints."""
    words = [sys.executable, "manage.py", *command]
    return subprocess.run(words, cwd=APP, check=True, text=True, stdout=subprocess.PIPE).stdout


def batch(server, path):
    """Return the seconds of CPU and wall time that a server takes for a batch."""
    server.stdin.write(f"{path}\n")
    server.stdin.flush()
    return [float(word) for word in server.stdout.readline().split()]


def memory(pid):
    """Return the proportional and the resident set size of a process, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines}
    return kilobytes["Pss:"] / 1e3, kilobytes["Rss:"] / 1e3


def microseconds(values):
    """Return the median and the quartiles of values per request in seconds, as text in µs."""
    low, middle, high = (1e6 * value for value in statistics.quantiles(values, n=4))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def measure_requests(servers):
    """Print what a request costs more in the first of two servers than in the second.

    The medians and quartiles are of rounds, in each of which both serve a batch.
    """
    print("| request | without, µs CPU | more, µs CPU | more, µs wall | at most |")
    print("|---|---|---|---|---|")
    for path, goal in VIEWS.items():
        bare, more_cpu, more_wall = [], [], []
        for number in range(1 + ROUNDS):
            order = servers if number % 2 else servers[::-1]
            took = {server: batch(server, path) for server in order}
            if number == 0:  # they were warming up
                continue
            (cpu, wall), (bare_cpu, bare_wall) = (took[server] for server in servers)
            bare.append(bare_cpu / REQUESTS)
            more_cpu.append((cpu - bare_cpu) / REQUESTS)
            more_wall.append((wall - bare_wall) / REQUESTS)
        figures = " | ".join(map(microseconds, (bare, more_cpu, more_wall)))
        print(f"| {path} | {figures} | {goal} |")


def exporter_memory(directory):
    """Return the memory of an exporter that was scraped, as `memory` does."""
    from tests.services import free_port

    ports = {"django": free_port(), "celery": free_port()}
    addresses = [f"--{job}=127.0.0.1:{port}" for job, port in ports.items()]
    with running("manage.py", "export_metrics", f"--directory={directory}", *addresses) as exporter:
        scrapes = 0
        while scrapes < 20:
            try:
                for port in ports.values():
                    urlopen(f"http://127.0.0.1:{port}/metrics").read()
                scrapes += 1
            except URLError:  # not there yet
                if exporter.poll() is not None:
                    raise
                time.sleep(0.1)
        return memory(exporter.pid)


def measure_application(work):
    """Print what instrumented requests and processes cost."""
    manage("migrate", "--verbosity=0")
    manage("seed_demo")
    token = manage("shell", "--no-imports", f"--command={LOGIN}").strip()
    shared = work / "metrics/web"
    shared.mkdir(parents=True)
    bare = {"DJANGO_SETTINGS_MODULE": "uninstrumented"}
    with (
        running(__file__, "serve", token, **{VARIABLE: str(shared)}) as ours,
        running(__file__, "serve", token, **bare) as theirs,
    ):
        measure_requests([ours, theirs])
        rows = {"web process": memory(ours.pid), "web process without": memory(theirs.pid)}
        rows["exporter"] = exporter_memory(shared.parent)
    with tempfile.TemporaryDirectory() as directory:
        (web := Path(directory) / "web").mkdir()
        with counting("slots", 8, 200, 0, web):
            rows["exporter, 8 processes, 200 views"] = exporter_memory(directory)
    more = zip(rows["web process"], rows["web process without"], strict=True)
    rows["more in a web process"] = [ours - theirs for ours, theirs in more]
    print("\n| memory, MB | PSS | RSS | PSS at most |\n|---|---|---|---|")
    for name, goal in (
        ("web process", ""),
        ("web process without", ""),
        ("more in a web process", 5),
        ("exporter", 60),
        ("exporter, 8 processes, 200 views", ""),
    ):
        print(f"| {name} | {rows[name][0]:.1f} | {rows[name][1]:.1f} | {goal} |")


def scrape_of(mode, processes, views, recycled=0):
    """Return what processes leave: ms of CPU that a scrape takes, files, and MB of them."""
    with tempfile.TemporaryDirectory() as directory:
        with (
            counting(mode, processes, views, recycled, directory),
            running(__file__, "scrape", mode, directory) as scraping,
        ):
            seconds, counted = map(float, scraping.stdout.readline().split())
        sizes = [path.stat().st_blocks * 512 / 1e6 for path in Path(directory).iterdir()]
    if counted != 2 * views * (processes + recycled):
        sys.exit(f"{mode}: {counted:.0f} requests counted by {processes + recycled} processes")
    return 1e3 * seconds, len(sizes), sum(sizes)


def measure_scrapes():
    """Print the CPU time of scrapes by what there is to add up."""
    print("\n| processes | views | slots, ms CPU | plain, ms CPU | slots ÷ plain |")
    print("|---|---|---|---|---|")
    for processes in PROCESSES:
        for views in SERIES_VIEWS:
            ours, plain = (scrape_of(mode, processes, views)[0] for mode in MODES)
            print(f"| {processes} | {views} | {ours:.1f} | {plain:.1f} | {ours / plain:.2f} |")


def measure_recycling(processes=4, views=50, recycled=500):
    """Print what scrapes cost before and after many processes have come and gone."""
    print(
        f"\n| {processes} processes, {views} views | files | MB "
        f"| scrape, ms CPU | after {recycled} recycled | ratio | at most |"
    )
    print("|---|---|---|---|---|---|---|")
    for mode, goal in zip(MODES, (1.1, ""), strict=True):
        first, files, size = scrape_of(mode, processes, views)
        later, more_files, more_size = scrape_of(mode, processes, views, recycled)
        print(
            f"| {mode} | {files}, later {more_files} | {size:.1f}, later {more_size:.1f} "
            f"| {first:.1f} | {later:.1f} | {later / first:.2f} | {goal} |"
        )


def main():
    """Print the figures as tables in Markdown."""
    if "PGHOST" not in os.environ:
        command = ["pg_virtualenv", sys.executable, *sys.argv]
        os.execvp(command[0], command)  # noqa: S606 - no shell is what is wanted

    from tests.services import CACHE_PORT, environment, redis_server  # sets the environment

    os.environ.update(environment())
    os.environ["BROKER_URL"] = f"redis://127.0.0.1:{CACHE_PORT}/1"
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    subprocess.run(["createdb", "jewelry"], check=True)
    try:
        with tempfile.TemporaryDirectory() as work, redis_server(CACHE_PORT, Path(work)):
            measure_application(Path(work))
            measure_scrapes()
            measure_recycling()
    finally:
        subprocess.run(["dropdb", "jewelry"], check=True)


if __name__ == "__main__":
    part = {"serve": serve, "count": count, "scrape": scrape}
    if len(sys.argv) > 1:
        part[sys.argv[1]](*sys.argv[2:])
    else:
        main()
