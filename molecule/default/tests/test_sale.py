"""A sale made over HTTPS arrives in the database, in the worker and in the monitoring."""

import base64
import json
import re

import pytest

testinfra_hosts = ["ansible://proxy"]


def test_sale_is_stored_receipted_and_counted(host, site, secret, rows, total, eventually):
    inserts = 'django_model_inserts_total{model="sale"}'
    posts = 'django_http_requests_total_by_method_total{method="POST"}'
    before = total(inserts), total(posts)
    status, answer = site(
        "POST",
        "/api/v1/token/",
        {"username": "demo-aurum", "password": secret("demo_password")},
    )
    assert status == 200, answer
    token = answer["token"]
    status, items = site("GET", "/api/v1/items/?ordering=-stock", token=token)
    assert status == 200, items
    item = items["results"][0]

    status, sale = site(
        "POST",
        "/api/v1/sales/",
        {"customer_email": "customer@example.com", "lines": [{"sku": item["sku"], "quantity": 1}]},
        token=token,
    )

    assert status == 201, sale
    assert rows(f"select count(*) from sales_saleline where sale_id = {sale['id']}") == "1"
    assert rows(f"select stock from inventory_item where id = {item['id']}") == str(
        item["stock"] - 1
    )
    sent = (
        f"select count(*) from sales_sale where id = {sale['id']} and receipt_sent_at is not null"
    )
    assert eventually(lambda: rows(sent) == "1")
    journal = host.check_output("journalctl -u jewelry-worker --since '-2min' --output cat")
    ids = re.findall(r".*send_receipt\[.*succeeded.* request_id=([0-9a-f]{32}) .*", journal)
    assert ids, journal
    requests = host.check_output("grep %s /var/log/nginx/access.log", ids[-1])
    assert "/api/v1/sales/" in requests  # the request that caused it
    assert eventually(lambda: total(inserts) >= before[0] + 1 and total(posts) >= before[1] + 2)


def test_more_than_the_stock_is_refused_and_changes_nothing(site, secret, rows):
    credentials = {"username": "demo-aurum", "password": secret("demo_password")}
    token = site("POST", "/api/v1/token/", credentials)[1]["token"]
    item = site("GET", "/api/v1/items/", token=token)[1]["results"][0]
    sales = rows("select count(*) from sales_sale")
    lines = [{"sku": item["sku"], "quantity": item["stock"] + 1}]

    status, answer = site("POST", "/api/v1/sales/", {"lines": lines}, token=token)

    assert status == 409
    assert item["sku"] in json.dumps(answer)
    assert rows("select count(*) from sales_sale") == sales


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/admin/login/", 200),
        ("GET", "/api/v1/items/", 401),
        ("GET", "/metrics", 403),
        ("GET", "/prometheus/", 401),
        ("GET", "/static/staticfiles.json", 404),
        ("BREW", "/", 405),
    ],
)
def test_strangers_get(site, method, path, status):
    assert site(method, path)[0] == status


def test_static_files_of_the_admin_are_served(host, site):
    page = site("GET", "/admin/login/")[1]
    path = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert site("GET", path)[0] == 200
    assert "x-accel" not in path


def test_plain_http_is_redirected(host):
    answer = host.run(
        "curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' http://$(hostname -I)/"
    )
    assert answer.stdout.startswith("301 https://")


def test_prometheus_opens_with_its_password(site, secret):
    login = base64.b64encode(f"admin:{secret('prometheus_password')}".encode()).decode()
    assert (
        site("GET", "/prometheus/api/v1/query?query=up", Authorization=f"Basic {login}")[0] == 200
    )
