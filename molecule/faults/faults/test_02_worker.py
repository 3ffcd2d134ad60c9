"""No work is broken off by a release, none is lost with the broker's process."""

import time

import pytest

testinfra_hosts = ["ansible://worker"]

UNIT = "jewelry-worker"
EMAIL = "worker@example.com"


@pytest.fixture
def shown(host):
    """Return a function that gives a property of the worker's unit."""
    return lambda name: host.check_output(f"systemctl show --value -p {name} {UNIT}")


@pytest.fixture
def sale(rows):
    """The newest sale, its receipt not yet sent."""
    return rows(
        f"update sales_sale set customer_email = '{EMAIL}', receipt_sent_at = null,"
        " receipt_claimed_at = null, receipt_attempts = 0"
        " where id = (select max(id) from sales_sale) returning id"
    )


@pytest.fixture
def let_go(host, rows, sale, eventually):
    """Hold the sale, so that the task of its receipt waits; return a function that lets it go."""
    holder = "from pg_stat_activity where application_name = 'holder'"
    host.check_output(
        "PGAPPNAME=holder runuser -u postgres -- psql -qX jewelry -c"
        f" 'begin; select 1 from sales_sale where id = {sale} for update; select pg_sleep(120)'"
        " > /dev/null 2>&1 &"
    )
    eventually(lambda: rows(f"select wait_event {holder}") == "PgSleep")

    def release():
        return rows(f"select pg_terminate_backend(pid) {holder}")

    yield release
    release()


def test_restart_lets_the_running_task_end(host, rows, shown, eventually, sale, let_go):
    before = shown("InvocationID")
    send = f"from apps.sales.tasks import send_receipt as task; print(task.delay({sale}).id)"
    task = host.check_output(f"jewelry-manage shell -c '{send}'").splitlines()[-1]
    waits = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock'"
    eventually(lambda: rows(waits) == "t")

    host.check_output(f"systemctl restart --no-block {UNIT}")
    eventually(lambda: shown("ActiveState") == "deactivating")
    time.sleep(3)  # what does not wait for tasks is over by now
    assert shown("ActiveState") == "deactivating"
    assert rows(waits) == "t"
    assert let_go() == "t"

    eventually(lambda: shown("ActiveState") == "active" and shown("InvocationID") != before)
    assert rows(f"select receipt_sent_at is not null from sales_sale where id = {sale}") == "t"
    logged = f"journalctl --no-pager --output cat _SYSTEMD_INVOCATION_ID={before}"
    assert f"[{task}] succeeded" in host.check_output(logged)
    everything = host.check_output(f"journalctl --no-pager --output cat -u {UNIT}")
    assert everything.count(f"[{task}] received") == 1
    assert shown("NRestarts") == "0"


def test_broker_keeps_what_was_written_in_transactions(host, eventually):
    """As the worker writes down who took a task, and that it is done."""

    def broker(call):
        return host.check_output(
            "jewelry-manage shell --no-imports -c 'import redis; from django.conf import settings;"
            f" print(redis.from_url(settings.CELERY_BROKER_URL).{call})'"
        ).splitlines()[-1]

    pid = host.check_output("systemctl show --value -p MainPID redis-server@broker")
    assert (
        broker('pipeline().set("probe", "made").append("probe", ", kept").execute()')
        == "[True, 10]"
    )
    time.sleep(1.5)  # its file is written every second
    host.check_output(f"kill -9 {pid}")
    try:
        eventually(lambda: host.run("systemctl is-active redis-server@broker").rc == 0)
        assert broker('get("probe")') == "b'made, kept'"
    finally:
        assert broker('delete("probe")') == "1"
    eventually(lambda: host.run("jewelry-status").rc == 0, 120)
