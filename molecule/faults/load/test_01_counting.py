"""What Prometheus counts is what clients counted, while processes are killed and replaced."""

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

testinfra_hosts = ["ansible://web"]

CLIENTS = 4
READS, SALES = 250, 30  # by each client
UNTRUSTED = ssl._create_unverified_context()  # noqa: S323 - the lab's certificate is self-signed
BY_VIEW = "django_http_responses_total_by_status_view_method_total"


class Gate:
    """Lets requests pass while it is open. Closing it waits until none is under way.

    What a process was doing when it was killed has no right count: the client cannot know whether
    its request was done. So processes are killed between requests.
    """

    def __init__(self):
        self._change = threading.Condition()
        self._under_way, self._closed = 0, False

    @contextmanager
    def passing(self):
        with self._change:
            self._change.wait_for(lambda: not self._closed)
            self._under_way += 1
        try:
            yield
        finally:
            with self._change:
                self._under_way -= 1
                self._change.notify_all()

    @contextmanager
    def closed(self):
        with self._change:
            self._closed = True
            self._change.wait_for(lambda: not self._under_way)
        try:
            yield
        finally:
            with self._change:
                self._closed = False
                self._change.notify_all()


@pytest.fixture(scope="module")
def shop():
    """What the tests of this module share."""
    return {}


@pytest.fixture
def item(site, secret, shop):
    """An item of which there is enough, and the token of its shop."""
    if not shop:
        login = {"username": "demo-luna", "password": secret("demo_password")}
        shop["token"] = site("POST", "/api/v1/token/", login)[1]["token"]
        new = {
            "sku": f"COUNTED-{time.time():.0f}", "name": "Counted ring", "metal": "SILVER",
            "weight_grams": "2.5", "price": "12.50", "stock": 100_000,
        }  # fmt: skip
        status, shop["item"] = site("POST", "/api/v1/items/", new, token=shop["token"])
        assert status == 201, shop["item"]
    return shop["item"]


@pytest.fixture
def clients(host, shop, item):
    """Return a function that runs clients and returns what they counted, (view, status) by view.

    Each client sends its requests, given as a function of their number, on a connection of its
    own; `during` is called with the gate while they do.
    """
    address = host.interface("host0").addresses[0]
    headers = {"Authorization": f"Token {shop['token']}", "Content-Type": "application/json"}

    def run(count, request, during):
        gate = Gate()

        def client(_):
            counted = Counter()
            connection = http.client.HTTPSConnection(address, context=UNTRUSTED, timeout=60)
            for number in range(count):
                method, path, view, body = request(number)
                with gate.passing():
                    connection.request(method, path, body and json.dumps(body), headers)
                    answer = connection.getresponse()
                    answer.read()
                counted[view, str(answer.status)] += 1
            connection.close()
            return counted

        with ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(client, number) for number in range(CLIENTS)]
            time.sleep(1)
            during(gate)
            return sum((one.result() for one in running), Counter())

    return run


@pytest.fixture
def now(page):
    """Return a function that reads a page of the exporter.

    It gives a function that sums the samples of a name and labels on that page.
    """

    def read(job):
        samples = [one for f in text_string_to_metric_families(page(job)) for one in f.samples]

        def value(name, /, **labels):
            return sum(
                sample.value
                for sample in samples
                if sample.name == name and labels.items() <= sample.labels.items()
            )

        return value

    return read


@pytest.fixture
def settled(total, eventually):
    """Return a function that waits until an expression has that value in Prometheus."""

    def wait(expression, wanted):
        seen = set()
        try:
            eventually(lambda: seen.add(total(expression)) or wanted in seen, seconds=50)
        except AssertionError:
            raise AssertionError(f"{expression} became {seen}, not {wanted}") from None
        assert total(expression) == wanted

    return wait


@pytest.fixture
def throughout(prometheus, total, scraped):
    """A context: no counter of the application is reset inside, and its targets stay up."""

    @contextmanager
    def steady():
        began = time.time()
        yield
        scraped("django|celery")  # after the last event
        window = f"{time.time() - began:.0f}s"
        names, families = prometheus("label/__name__/values"), prometheus("metadata")
        gauges = {name for name, (family, *_) in families.items() if family["type"] == "gauge"}
        counters = [
            name for name in names
            if name.startswith(("django_", "celery_", "jewelry_sales", "process_cpu", "python_gc"))
            and name.endswith(("_total", "_count", "_sum", "_bucket"))
            and name not in gauges
        ]  # fmt: skip
        assert len(counters) > 50
        for name in counters:
            # The exporter itself may be restarted; its own metrics start again then.
            series = f'{name}{{job=~"django|celery",service!="metrics"}}'
            assert total(f"resets({series}[{window}])") == 0, name
        for job in ("django", "celery"):
            up = prometheus("query", query=f'min_over_time(up{{job="{job}"}}[{window}])')
            assert [one["value"][1] for one in up["result"]] == ["1"], job

    return steady


@pytest.fixture
def live(host):
    """Return a function that gives the live web unit's name."""
    return lambda: f"jewelry-web@{host.check_output('readlink /run/jewelry-web/live')}"


@pytest.fixture
def kill(host, eventually):
    """Return a function that kills a unit's main process, or the newest that it forked."""

    def unit(name, *, child=False):
        main = host.check_output(f"systemctl show --value -p MainPID {name}")
        pid = host.check_output(f"pgrep -n -P {main}") if child else main
        host.check_output(f"kill -KILL {pid}")
        eventually(lambda: host.run(f"test -e /proc/{pid}").rc == 1)
        if not child:
            state = f"systemctl show --value -p MainPID {name}"
            eventually(lambda: host.check_output(state) not in ("0", main))

    return unit


@pytest.fixture
def activate(host, live):
    """Return a function that changes a setting and lets the other web unit take over with it."""
    settings = "/etc/jewelry/jewelry.env"
    release = host.check_output("basename $(readlink /srv/jewelry/live)")
    host.check_output(f"cp -a {settings} {settings}.before")

    def switch(setting=""):
        before = live()
        host.check_output(f"cat {settings}.before > {settings}; echo '{setting}' >> {settings}")
        host.check_output(f"jewelry-release activate {release} --watch 0")
        assert live() != before

    yield switch
    host.check_output(
        f"mv {settings}.before {settings}; jewelry-release activate {release} --watch 0"
    )


def queries(counted, by_probe):
    """Give the queries on a page, without those of the probes of readiness."""
    return counted("django_db_execute_total") - by_probe * counted(BY_VIEW, view="readyz")


@pytest.fixture
def queries_by(now):
    """Return a function that gives the queries that a request to /readyz and another one make."""

    def measure(probe, send):
        def after_ten(call):
            for _ in range(10):
                call()
            return now("django")

        first, second, third = now("django"), after_ten(probe), after_ten(send)
        probes = second(BY_VIEW, view="readyz") - first(BY_VIEW, view="readyz")
        by_probe = (queries(second, 0) - queries(first, 0)) / probes
        return by_probe, (queries(third, by_probe) - queries(second, by_probe)) / 10

    return measure


def test_requests_queries_and_cache_reads(
    host, clients, now, queries_by, item, site, shop, settled, throughout, live, kill, activate,
    eventually,
):  # fmt: skip
    def ready():
        host.check_output("curl -sf http://localhost:8000/readyz")

    def listed():
        assert site("GET", listing, token=shop["token"])[0] == 200

    listing, detail = "/api/v1/items/?page_size=5", f"/api/v1/items/{item['id']}/"
    requests = (
        ("GET", "/", "home", None),
        ("GET", listing, "item-list", None),
        ("GET", detail, "item-detail", None),
        ("GET", "/nowhere", "<unnamed view>", None),
        ("HEAD", listing, "item-list", None),
    )
    answers = {
        ("home", "200"), ("item-list", "200"), ("item-detail", "200"), ("<unnamed view>", "404"),
    }  # fmt: skip

    def during(gate):
        host.check_output(f"systemctl reload {live()}")
        time.sleep(2)
        for _ in range(3):
            with gate.closed():
                kill(live(), child=True)
            time.sleep(1)
        with gate.closed():
            kill(live())
            eventually(lambda: host.run("curl -sf http://localhost:8000/healthz").rc == 0)
        time.sleep(1)
        activate("WEB_MAX_REQUESTS=60")

    activate("WEB_MAX_REQUESTS=50")
    listed()
    site("GET", detail, token=shop["token"])
    # A read sets up or tries its connection, and asks for the token's user and the user's tenant;
    # the rest is cached. A probe also asks for the migrations and writes, in two queries each.
    by_probe, by_read = queries_by(ready, listed)
    assert (by_probe, by_read) == (6, 3)
    gets = ("django_cache_get_total", "django_cache_get_hits_total")
    before = now("django")
    timed = before("django_http_requests_latency_seconds_by_view_method_count", view="home")

    since = host.check_output("date +%s")

    with throughout():
        counted = clients(READS, lambda number: requests[number % len(requests)], during)

    assert sum(counted.values()) == CLIENTS * READS
    assert counted.keys() == answers
    counted["home", "200"] += 1  # by the release, which asks for its pages before it is served
    for (view, status), number in counted.items():
        wanted = before(BY_VIEW, view=view, status=status) + number
        settled(f'{BY_VIEW}{{view="{view}",status="{status}"}}', wanted)
    home = counted["home", "200"]
    settled('django_http_requests_latency_seconds_by_view_method_count{view="home"}', timed + home)
    reads = counted["item-list", "200"] + counted["item-detail", "200"]
    for name in gets:
        settled(f'{name}{{job="django"}}', before(name) + reads)
    probes = f'{by_probe} * sum({BY_VIEW}{{view="readyz"}})'
    wanted = queries(before, by_probe) + by_read * reads
    settled(f'sum(django_db_execute_total{{job="django"}}) - {probes}', wanted)
    # Processes were replaced in every way, and left no more behind than were there at once.
    journal = host.check_output(f"journalctl --output cat -u 'jewelry-web@*' --since @{since}")
    assert journal.count("Autorestarting worker after current request") >= 5
    slots = host.check_output("stat -c %s /run/jewelry-metrics/web/child.lock")
    assert int(slots) <= 8


def test_sales_and_tasks(host, clients, now, item, rows, settled, throughout, kill, eventually):
    lines = [{"sku": item["sku"], "quantity": 1}]
    email = f"{time.time():.0f}@example.com"
    sale = ("POST", "/api/v1/sales/", "sale-list", {"customer_email": email, "lines": lines})
    task = {"name": "apps.sales.tasks.send_receipt"}
    names = [f"celery_task_{name}_total" for name in ("sent", "received", "started", "succeeded")]
    names += ["celery_task_queue_wait_seconds_count", "celery_task_runtime_count"]
    made = f"select count(*) from sales_sale where customer_email = '{email}'"

    def done():
        unsent = rows(f"{made} and receipt_sent_at is null")
        return unsent == "0" and now("celery")("celery_worker_tasks_active") == 0

    def during(gate):
        for _ in range(2):
            with gate.closed():
                eventually(done)
                time.sleep(0.5)  # the worker takes the last one off its list
                kill("jewelry-worker", child=True)
        host.check_output("systemctl restart jewelry-metrics")
        with gate.closed():
            eventually(done)
            time.sleep(0.5)
            kill("jewelry-worker")
        time.sleep(1)
        host.check_output("systemctl restart jewelry-worker")
        host.check_output("kill -KILL $(systemctl show --value -p MainPID jewelry-metrics)")

    web, worker = now("django"), now("celery")

    with throughout():
        counted = clients(SALES, lambda number: sale, during)
        eventually(done)

    number = CLIENTS * SALES
    assert counted == {("sale-list", "201"): number}
    assert rows(made) == str(number)
    inserts = 'django_model_inserts_total{job="django",model="sale"}'
    settled(inserts, web("django_model_inserts_total", model="sale") + number)
    for name, rise in (("sales", number), ("sales_value", number * 12.5)):
        family, tenant = f"jewelry_{name}_total", "demo-luna"
        settled(f'{family}{{tenant="{tenant}"}}', web(family, tenant=tenant) + rise)
    for name in names:
        settled(f'{name}{{name="{task["name"]}"}}', worker(name, **task) + number)
    assert now("celery")("celery_worker_up") == 1


HOSTILE = """
import http.client, socket
def send(method, path, host):
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("/run/jewelry-web/live/web.sock")
    connection.request(method, path, headers={"Host": host, "X-Forwarded-Proto": "https"})
    connection.getresponse().read()
    connection.close()
for number in range(COUNT):
    send(f"BREW{number}", "/", "localhost")
    send("GET", f"/nowhere/{number}", "localhost")
    send("GET", f"/api/v1/items/{number}/", "localhost")
    send("GET", "/", f"host{number}.example")
"""


def test_strangers_cannot_make_series(host, page):
    """Past nginx, which would stop most of it; first once, then a thousand times."""

    def series(count):
        host.check_output(f"python3 - <<'END'\n{HOSTILE.replace('COUNT', str(count))}END")
        return {line.rsplit(" ", 1)[0] for line in page("django").splitlines() if line[0] != "#"}

    once = series(1)
    assert series(1000) - once == set()


@pytest.fixture
def answers(host):
    """Return a function that gives what visitors got, as the exporter of nginx's log counts it."""

    def read():
        page = host.check_output("curl -sSf http://127.0.0.1:4040/metrics")
        (family,) = (
            family for family in text_string_to_metric_families(page)
            if family.name == "nginx_http_responses"
        )  # fmt: skip
        return Counter(
            {
                (one.labels["answered_by"], one.labels["status"]): int(one.value)
                for one in family.samples
            }
        )

    return read


def ask(address, path):
    """Return the status of an answer on a connection of its own, None if there was none."""
    connection = http.client.HTTPSConnection(address, context=UNTRUSTED, timeout=60)
    try:
        connection.request("GET", path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_what_nginx_answers_itself_is_counted(
    host, answers, activate, live, prometheus, eventually
):
    address = host.interface("host0").addresses[0]
    log, exporter = "/var/log/nginx/access.log", "prometheus-nginx-log-exporter"
    # Who answers while the application runs; nobody where nobody counts.
    paths = {
        "/": "application",
        "/static/nothing": "nginx",
        "/healthz": "",
        "/prometheus/api/v1/": "",
    }
    over = threading.Event()

    def client(_):
        counted = Counter()
        while not over.is_set():
            for path, by in paths.items():
                if (status := ask(address, path)) and by:
                    counted["nginx" if status == "502" else by, status] += 1
        return counted

    def live_web(verb):
        host.check_output(f"systemctl {verb} {live()}.socket {live()}.service")

    def rotate():
        host.check_output(
            f"mv {log} {log}.1 && install -o www-data -g adm -m 640 /dev/null {log}"
            " && invoke-rc.d nginx rotate"
        )

    before = answers()
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(client, number) for number in range(CLIENTS)]
        try:
            time.sleep(1)
            live_web("stop")
            time.sleep(3)
            rotate()
            time.sleep(1)
            live_web("start")
            host.check_output(f"systemctl restart {exporter} && systemctl reload nginx")
            time.sleep(1)
            host.check_output(f"kill -KILL $(systemctl show --value -p MainPID {exporter})")
            rotate()
            host.check_output("systemctl restart nginx")
            time.sleep(1)
        finally:
            live_web("start")
            over.set()
        counted = sum((one.result() for one in running), Counter())

    eventually(lambda: host.run("curl -sf http://127.0.0.1:4040/metrics").rc == 0)
    assert counted["nginx", "502"] > 20
    assert counted["application", "200"] > 20
    assert answers() - before == counted
    failing = "host:http_errors:ratio_rate5m > 0.01"
    eventually(lambda: prometheus("query", query=failing)["result"])
    # Neither a release nor what looks whether the site is well.
    before = answers()
    activate()
    host.check_output("jewelry-status --wait 60")
    assert answers() == before
