"""On a machine that is well and has little to do, no alert is sent or pending.

The last of the quiet tests: the others run while it counts its ten minutes.
"""

testinfra_hosts = ["ansible://monitoring"]

# The lab's machines see the CPUs of the whole host, on which everything else runs too.
HOST = {("CPUBusy", "pending"), ("LoadHigh", "pending")}


def test_a_healthy_machine_is_silent_for_ten_minutes(prometheus, eventually):
    def seen():
        query = "group by (alertname, alertstate) (present_over_time(ALERTS[10m]))"
        alerts = [one["metric"] for one in prometheus("query", query=query)["result"]]
        return {(alert["alertname"], alert["alertstate"]) for alert in alerts} - HOST

    def watched():
        query = 'count_over_time(up{job="prometheus"}[10m]) >= 39'
        return prometheus("query", query=query)["result"]

    eventually(lambda: watched() and len(seen()) == 1, 630)
    assert seen() == {("Watchdog", "firing")}
