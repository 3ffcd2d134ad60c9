"""nginx in use and under attack: bodies and answers of any size, own errors, passwords tried."""

import json
import re

import pytest

testinfra_hosts = ["ansible://proxy"]

CURL = "curl -sSk --max-time 60"
LOGS = "/var/log/nginx/access.log /var/log/nginx/error.log"


@pytest.fixture
def url(host):
    """The site's address. Requests from the machine itself take no tries away from other tests."""
    return f"https://{host.interface('host0').addresses[0]}"


@pytest.fixture
def ask(host):
    """Return a function that runs curl on the machine; it gives status, headers and body."""

    def send(arguments, write=":"):
        text = host.check_output(f"{{ {write}; }} | {CURL} -i {arguments}").replace("\r", "")
        head, _, body = re.sub(r"\AHTTP/\S+ 100.*?\n\n", "", text, flags=re.S).partition("\n\n")
        status, *headers = head.splitlines()
        named = [line.partition(": ") for line in headers]
        return int(status.split()[1]), {name.lower(): value for name, _, value in named}, body

    return send


@pytest.fixture
def codes(host):
    """Return a function that sends a request so many times at once; it gives the statuses."""

    def send(times, arguments, address):
        at_once = f"-Z --parallel-immediate --parallel-max {times} -o /dev/null"
        tell = "%{http_code} %header{retry-after}\\n"
        said = host.run(f"{CURL} {at_once} -w '{tell}' {arguments} '{address}#[1-{times}]'").stdout
        answers = [line.partition(" ") for line in said.splitlines()]
        for status, _, wait in answers:
            assert status != "429" or int(wait) > 0
        return [status for status, _, _ in answers]

    return send


@pytest.fixture
def password(secret):
    """curl's arguments with Prometheus's user and password."""
    return f"-u admin:{secret('prometheus_password')}"


# -- A check leaves nginx what it needs


def test_any_size_goes_in_and_out_after_a_check_by_root(host, ask, url, password):
    host.check_output("nginx -t")

    for size in (20_000, 2_000_000):
        body = f"head -c {size} /dev/zero | tr '\\0' ' '"
        json_of = "-H 'Content-Type: application/json' -H 'Expect:' --data-binary @-"
        assert ask(f"{json_of} {url}/api/v1/items/", body)[0] == 401, size
    everything = f"{password} -G --data-urlencode 'match[]={{job=~\".+\"}}'"
    slowly = "--limit-rate 300k --max-time 30"
    status, _, answer = ask(f"{slowly} {everything} {url}/prometheus/api/v1/series")
    assert status == 200
    assert len(answer) > 500_000  # a fault cuts it off at what the buffers hold
    assert json.loads(answer)["status"] == "success"


def test_logs_that_are_missing_are_made_for_the_service(host, ask, url):
    """Root's `nginx -t` makes them for root; the service could not start again."""
    host.check_output(f"rm {LOGS} && nginx -t && systemctl reload nginx")
    assert host.check_output(f"stat -c %U {LOGS}").split() == ["www-data"] * 2

    host.check_output(f"rm {LOGS} && nginx -t && systemctl restart nginx")

    assert ask(f"{url}/healthz")[0] == 200
    assert "/healthz" in host.file(LOGS.split()[0]).content_string


def test_reload_that_nginx_refuses_fails(host):
    """`nginx -t` cannot see that a running zone has another key."""
    host.check_output("cp -p /etc/nginx/nginx.conf /run/nginx.conf")
    try:
        host.check_output(
            "sed -i 's/limit_conn_zone $client/limit_conn_zone $uri/' /etc/nginx/nginx.conf"
        )
        host.check_output("nginx -t")
        assert host.run("systemctl reload nginx").rc != 0
        said = host.check_output("journalctl -u nginx -n 20 -o cat --no-pager")
        assert 'uses the "$uri" key while previously it used' in said
    finally:
        # Nobody remembers what a reload by hand has read.
        host.check_output("cp -p /run/nginx.conf /etc/nginx/nginx.conf && systemctl restart nginx")


@pytest.mark.parametrize("path", ["alerts/groups", "silences"])
def test_alertmanager_can_be_read_and_not_changed(ask, url, password, path):
    address = f"{url}/prometheus/alertmanager/api/v2/{path}"
    assert ask(address)[0] == 401
    status, _, body = ask(f"{password} {address}")
    assert status == 200
    assert isinstance(json.loads(body), list)
    for method in ("POST", "PUT", "DELETE"):
        assert ask(f"{password} -X {method} -d x=1 {address}")[0] == 403, method
    assert ask(f"{password} {url}/prometheus/alertmanager/api/v2/status")[0] == 404


# -- What nginx says itself

LONG = "$(head -c 9000 /dev/zero | tr '\\0' a)"
REFUSED = {
    "method": (405, "-X BREW {}"),
    "body": (413, "--data-binary @- -H 'Expect:' {}"),
    "address": (414, f"--http1.1 {{}}?search={LONG}"),
    "header": (431, f"--http1.1 -H X-Long:{LONG} {{}}"),
    "headers": (431, "$(seq -f '-HX-%.0f:a' 3000) {}"),
    "length": (400, "-H 'Content-Length: x' -X POST {}"),
    "coding": (400, "--http1.1 -H 'Transfer-Encoding: x' {}"),
    "version": (400, "--http1.1 -X 'GET {0} HTTP/3.0' {0}"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_nginx_refuses_is_a_problem_to_programs_and_a_page_to_people(ask, url, refused):
    status, arguments = REFUSED[refused]
    body = "head -c 11000000 /dev/zero" if refused == "body" else ":"

    code, headers, text = ask(arguments.format(f"{url}/api/v1/items/"), body)
    assert (code, headers["content-type"]) == (status, "application/problem+json")
    problem = json.loads(text)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert headers["x-content-type-options"] == "nosniff"

    code, headers, text = ask(arguments.format(f"{url}/"), body)
    assert (code, headers["content-type"]) == (status, "text/html")
    assert f"<h1>{problem['title']}</h1>" in text


@pytest.mark.parametrize("refused", ["coding", "version"])
def test_what_a_client_does_wrong_is_no_error_of_the_site(host, ask, url, refused):
    """A 5xx would wake somebody, and roll a good release back."""
    status, arguments = REFUSED[refused]
    for address in (url, url.replace("https:", "http:"), "http://127.0.0.1:8000"):
        for name in ("", " -H Host:other.test"):
            assert ask(arguments.format(address) + name)[0] == status, address + name
    assert host.run(f"grep -E '\"status\":50[15]' {LOGS.split()[0]}").stdout == ""


def test_what_nginx_lets_pass_the_application_takes(ask, url):
    """gunicorn would refuse in HTML. In HTTP/2 it is the packed head that nginx measures."""
    for version in ("--http1.1", "--http2"):
        long = "$(head -c 8100 /dev/zero | tr '\\0' a)"
        arguments = f"{version} -H X-Long:{long} $(seq -f '-HX-%.0f:a' 300) {url}/api/v1/?a={long}"
        status, headers, _ = ask(arguments)
        assert status == 400  # the API knows no such parameter
        assert headers["content-type"] == "application/problem+json"
    assert ask(f"--http2 -H X-Long:{LONG} {url}/api/v1/")[0] == 200


def test_without_the_application_nginx_answers_at_once(host, ask, url):
    host.check_output("mv /run/jewelry-web/live /run/jewelry-web/gone")
    try:
        program = ask(f"-X POST -d x=1 {url}/api/v1/sales/")
        person = ask(f"{url}/")
    finally:
        host.check_output("mv /run/jewelry-web/gone /run/jewelry-web/live")

    status, headers, text = program
    assert status == json.loads(text)["status"] == 502
    assert headers["content-type"] == "application/problem+json"
    assert 0 < int(headers["retry-after"]) <= 60
    status, headers, text = person
    assert status == 502
    assert 0 < int(headers["retry-after"]) <= 60
    assert "<h1>Back in a moment</h1>" in text
    logged = host.check_output(f'grep -F \'"uri":"/api/v1/sales/"\' {LOGS.split()[0]} | tail -n 1')
    assert json.loads(logged)["method"] == "POST"  # though nginx itself asked for the page


def test_nginx_names_what_does_not_answer(host, ask, url, password):
    """Only the dashboards need Alertmanager: the site is well."""
    host.check_output("systemctl stop prometheus-alertmanager")
    try:
        status, _, text = ask(f"{password} {url}/prometheus/alertmanager/api/v2/silences")
    finally:
        host.check_output("systemctl start prometheus-alertmanager")
    assert status == 502
    assert "Alertmanager does not answer just now." in text
    ready = "until curl -sf http://127.0.0.1:9093/-/ready; do sleep 0.5; done"
    host.check_output(f"timeout 30 sh -c '{ready}'")


# -- Tries at a password


@pytest.mark.parametrize("path", ["/api/v1/token/", "/admin/login/"])
def test_of_many_tries_at_once_most_are_refused_before_the_application(host, ask, codes, url, path):
    patience = "--max-time 3"  # who is let through waits in a row, so that visitors do not
    answered = codes(60, f"{patience} -d username=nobody -d password=wrong", f"{url}{path}")
    assert 45 <= answered.count("429") < 60
    lines = host.check_output(f'grep -F \'"uri":"{path}"\' {LOGS.split()[0]} | tail -n 60')
    by_nginx = [line for line in map(json.loads, lines.splitlines()) if line["status"] == 429]
    assert sum(line["answered_by"] == "nginx" for line in by_nginx) >= 45

    assert ask(f"{url}/admin/login/")[0] == 200  # to look is not to try


@pytest.mark.parametrize(
    ("arguments", "path", "refused"),
    [
        ("-u admin:wrong", "/prometheus/api/v1/query?query=1", True),
        ("-H 'Authorization: Bearer wrong'", "/prometheus/api/v1/query?query=2", True),
        ("", "/prometheus/api/v1/query?query=3", False),
        ("-X POST", "/prometheus/api/v1/query?query=4", False),
    ],
)
def test_only_a_password_that_came_is_refused(host, ask, url, eventually, arguments, path, refused):
    """A browser asks first without one. (The next test uses up the tries.)"""
    ask(f"{arguments} '{url}{path}'")
    line = f'grep -F \'"uri":"{path}"\' {LOGS.split()[0]} | tail -n 1'
    logged = json.loads(eventually(lambda: host.run(line).stdout))
    expected = "monitoring" if refused else "challenge"
    assert (logged["status"], logged["area"]) == (401, expected)


def test_prometheus_password_cannot_be_tried_fast_and_dashboards_are_not_limited(
    host, codes, url, password
):
    query = f"{url}/prometheus/api/v1/query?query=up"
    jar = "/run/cookies"
    host.check_output(f"{CURL} -o /dev/null -c {jar} {password} '{query}'")

    wrong = codes(100, "-u admin:wrong", query)
    assert set(wrong) == {"401", "429"}
    assert wrong.count("401") <= 70
    # If a right one passed now, that would reveal it.
    assert "429" in codes(20, password, query)
    assert "429" not in codes(100, "", f"{url}/prometheus/")  # no password, no try
    # Browsers keep the cookie that came with their first answer.
    assert codes(90, f"-b {jar} {password}", query) == ["200"] * 90
    assert set(codes(5, f"-b {jar} -u admin:wrong", query)) == {"401"}
    host.check_output(f"rm {jar}")
