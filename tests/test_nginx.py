"""nginx.conf keeps what its parts rely on."""

import re
from pathlib import Path

TEMPLATE = Path(__file__).parents[1] / "roles/nginx/templates/etc/nginx/nginx.conf.j2"
CONF = TEMPLATE.read_text()


def body(name):
    """The lines of the map that makes a variable."""
    return re.search(rf"map (?:\S+|\"[^\"]+\") \${name} {{(.+?)\n    }}", CONF, re.DOTALL)[1]


def values(name):
    """The keys of the map that makes a variable."""
    return set(re.findall(r"^ +(\w+) ", body(name), re.MULTILINE))


def test_every_answer_has_the_security_headers():
    """A location with an add_header of its own would lose those of all."""
    servers = CONF[CONF.index("    server {") :]
    assert "add_header" not in servers
    assert CONF.count("add_header") >= 7


def test_every_error_of_nginx_has_words():
    lines = re.findall(r"error_page (?:.+ =(\d+)|(.+)) \$error_page;", CONF)
    codes = {code for answered_as, own in lines for code in (answered_as or own).split()}
    assert {"413", "414", "429", "431", "502", "503", "504"} <= codes
    assert values("error_title") == codes
    assert values("error_detail") - {"default"} <= codes


def test_what_does_not_answer_is_named():
    """Behind nginx the application is one of several."""
    details = re.search(r"map \$status \$error_detail {(.+?)\n    }", CONF, re.DOTALL)[1]
    assert len(re.findall(r'50[234] "\$asked_service ', details)) == 3
    paths = set(re.findall(r"location (?:= )?(/(?:prometheus|grafana)/)", CONF))
    named = re.search(r"map \$request_uri \$asked_service {(.+?)\n    }", CONF, re.DOTALL)[1]
    assert paths <= set(re.findall(r'"~\^(\S+)" \w+;', named))
    assert len(paths) == 2


def test_no_client_makes_an_error_of_the_server():
    """An unknown Transfer-Encoding is 501 to nginx, an unknown version 505: alerts count 5xx."""
    servers = CONF[CONF.index("    server {") :].split("    server {")[1:]
    assert all("{{ error_pages() | trim }}" in server for server in servers)
    assert "error_page 501 505 =400 $error_page;" in CONF


def test_the_user_is_named():
    """Root's `nginx -t` would give nginx's folders to `nobody`."""
    assert re.search(r"^user www-data;$", CONF, re.MULTILINE)


def test_a_question_for_a_password_is_no_refusal():
    """Browsers ask first without it, also those that have it in the address."""
    assert '"~^/(prometheus|grafana)/" $monitoring_area;' in body("log_area")
    assert 'map "$status:$login$http_authorization" $monitoring_area {' in CONF
    assert body("monitoring_area").split() == ["default", "monitoring;", '"401:"', "challenge;"]
