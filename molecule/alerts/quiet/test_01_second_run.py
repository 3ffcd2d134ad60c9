"""`--check --diff` shows what a run would change, and no secret."""

import re
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://all"]

REPOSITORY = Path(__file__).parents[3]
ALERTMANAGER = (
    "vault_alertmanager_email_password",
    "vault_alertmanager_slack_url",
    "vault_alertmanager_pagerduty_routing_key",
    "vault_alertmanager_sns_access_key",
    "vault_alertmanager_sns_secret_key",
    "vault_alertmanager_sms_token",
)


@pytest.fixture
def check_mode(play):
    """Return a function that runs site.yml with --check --diff and returns what it said."""

    def run(**variables):
        extra = [word for item in variables.items() for word in ("-e", "{}={}".format(*item))]
        inventory = Path(__file__).parents[1] / "inventory"
        done = play(inventory, "site.yml", "--check", "--diff", "-vv", *extra)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_nothing_is_left_to_do_in_few_tasks(check_mode):
    recap = re.search(r"ok=(\d+) +changed=(\d+)", check_mode())
    assert int(recap[2]) == 0
    assert int(recap[1]) <= 120


def test_no_secret_is_shown_when_all_change(check_mode, secrets, vault):
    names = [*vault, *ALERTMANAGER]
    changed = {name: f"{number}Zq8abcdefgh" * 7 for number, name in enumerate(names)}
    changed["vault_alertmanager_slack_url"] = f"https://{changed['vault_alertmanager_slack_url']}"

    said = check_mode(**changed)

    assert int(re.search(r"changed=(\d+)", said)[1]) > 0
    for secret in [*secrets.values(), *changed.values()]:
        assert secret not in said
