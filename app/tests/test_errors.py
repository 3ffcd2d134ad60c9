"""Whatever goes wrong below /api/ is said in one shape, and nothing a client sends is a 500."""

import json

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from config.wsgi import application
from tests.services import free_port

ITEMS, SALES, TOKEN = "/api/v1/items/", "/api/v1/sales/", "/api/v1/token/"
RING = {"sku": "R", "name": "Ring", "metal": "SILVER", "weight_grams": "1", "price": "1"}


@pytest.fixture
def stranger() -> Client:
    """A client that shows a failure as visitors see it."""
    return Client(raise_request_exception=False)


def problem(response, status: int) -> dict:
    """The answer's body, which must be a problem of RFC 9457."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert all(isinstance(body[name], str) for name in ("type", "title", "detail"))
    return body


# -- One shape


def test_each_kind_of_refusal_has_the_same_shape(api, stranger, item, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    a_page = {"HTTP_ACCEPT": "text/html"}
    for response, status in (
        (api.post(ITEMS, "{", content_type="application/json"), 400),
        (stranger.get(ITEMS), 401),
        (api.get(f"{ITEMS}999/"), 404),
        (stranger.get("/api/nowhere"), 404),
        (api.delete(ITEMS), 405),
        (stranger.generic("BREW", ITEMS), 405),
        (api.get(ITEMS, **a_page), 406),
        (api.post(SALES, {"lines": [{"sku": item.sku, "quantity": 99}]}), 409),
        (api.post(ITEMS, "a" * 1001, content_type="application/json"), 413),
        (api.post(ITEMS, "a", content_type="text/plain"), 415),
        (stranger.get(ITEMS, HTTP_HOST="evil.example"), 400),
    ):
        problem(response, status)
    assert stranger.get("/nowhere")["Content-Type"].startswith("text/html")


def test_what_is_wrong_is_said_by_field(api, item):
    body = problem(api.post(SALES, {"lines": [{"sku": item.sku, "quantity": 0}]}), 400)
    assert body["errors"] == {
        "lines.0.quantity": ["Ensure this value is greater than or equal to 1."]
    }
    body = problem(api.post(ITEMS, []), 400)
    assert list(body["errors"]) == ["non_field_errors"]


def test_refusals_keep_their_headers(api, stranger, db):
    assert stranger.get(ITEMS)["WWW-Authenticate"].startswith("Token")
    assert "GET" in api.delete(ITEMS)["Allow"]


# -- What clients send


@pytest.mark.parametrize("path", [ITEMS, SALES, TOKEN])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"sku":' * 50_000,
        b'{"sku": NaN}',
        b'{"sku": -Infinity}',
        b'{"price": 1e400}',
        b'{"price": ' + b"9" * 5000 + b"}",
        b'{"metal": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"sku": "\xff"}',
        b'{"sku": "\\u0000"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"",
        b"null",
        b"{} {}",
    ],
)
def test_bodies_that_are_no_json_get_400(api, path, body):
    client = api if path != TOKEN else APIClient(raise_request_exception=False)
    client.raise_request_exception = False
    problem(client.generic("POST", path, body, content_type="application/json"), 400)


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "hex", "idna", "nonsense", "\xff"])
@pytest.mark.parametrize("path", [ITEMS, TOKEN, "/admin/login/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_utf_8_is_understood(db, method, path, charset):
    # By the server's own door: Django's test client has requests of another class.
    content = {"CONTENT_TYPE": f"application/json; charset={charset}", "HTTP_HOST": "shop.test"}
    environment = RequestFactory()._base_environ(
        REQUEST_METHOD=method, PATH_INFO=path, QUERY_STRING="a=%C3%A4", **content
    )
    started = []
    application(environment, lambda *answer: started.append(answer))
    assert started[0][0] == "415 Unsupported Media Type"


@pytest.mark.parametrize("path", ["/api/v1/items/?search=%00", "/api/%00", "/admin/%00", "/%00"])
def test_null_characters_get_400(stranger, api, path):
    for client in (stranger, api):
        assert client.get(path).status_code == 400


def test_a_null_character_in_a_cookie_gets_400(stranger, db):
    stranger.cookies.load({"sessionid": "a" * 32})
    # As a browser would send it: quoted, the octal way.
    response = stranger.get("/admin/", HTTP_COOKIE=r'sessionid="abcdefgh\000"')
    assert response.status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        {"nonsense": "1"},
        {"format": "xml"},
        {"Search": "ring"},
        {"page": ["1", "2"]},
        {"page_size": "many"},
        {"page_size": "0"},
        {"ordering": "nonsense"},
        {"ordering": "price,-price"},
        {"ordering": "tenant__users__password"},
        {"metal": "TIN"},
        {"low_stock": "maybe"},
        {"price_min": "1e400"},
        {"price_max": "NaN"},
        {"search": " ".join(["ring"] * 11)},
        {"search": ",".join(["ring"] * 700)},
    ],
)
def test_queries_that_nobody_understands_get_400_that_names_them(api, query):
    body = problem(api.get(ITEMS, query), 400)
    assert list(body["errors"]) == list(query)


def test_every_address_of_the_api_refuses_unknown_parameters(api, item):
    root = api.get("/api/v1/").json()
    assert {"items", "sales", "valuations", "token", "schema", "docs"} <= root.keys()
    paths = [*root.values(), f"{ITEMS}{item.pk}/", "/api/v1/valuations/now/", "/api/v1/"]
    for path in paths:
        method = api.post if path == root["token"] else api.get
        body = problem(method(f"{path}?nonsense=1"), 400)
        assert "nonsense" in json.dumps(body.get("errors", "nonsense")), path


# -- The database


@pytest.fixture
def dead_database(transactional_db):
    """Nobody listens where the application looks for its database."""
    connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", free_port())
        yield
        connection.close()


@pytest.mark.usefixtures("dead_database")
def test_without_the_database_the_answer_says_when_to_try_again(stranger, caplog):
    token = {"HTTP_AUTHORIZATION": "Token 0123456789abcdef"}
    refused = problem(stranger.get(ITEMS, **token), 503)
    assert "database" in refused["detail"]
    session = {"HTTP_COOKIE": f"sessionid={'a' * 32}"}
    for response in (stranger.get(ITEMS, **token), stranger.get("/admin/", **session)):
        assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert response["Content-Type"].startswith("text/html")
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)", 503),
        ("SET TRANSACTION READ ONLY; CREATE TABLE never (a int)", 503),
        ("SELECT 1/0", 500),
        (f"SELECT {','.join('1' * 1700)}", 500),
    ],
)
def test_a_statement_that_fails(api, statement, status, monkeypatch):
    def fail(*args):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    monkeypatch.setattr("apps.inventory.api.ItemViewSet.get_queryset", fail)
    api.raise_request_exception = False
    problem(api.get(ITEMS), status)
