"""On a machine that is well and has little to do, nothing is told. First of the operations: what
they break is remembered by some alerts for an hour.
"""

testinfra_hosts = ["ansible://monitoring"]

# The lab's machines see the CPUs of the whole host, on which everything else runs too.
HOST = {"CPUBusy", "LoadHigh"}


def test_a_healthy_machine_is_silent(prometheus, eventually):
    def told():
        return {
            (alert["labels"]["alertname"], alert["state"])
            for alert in prometheus("alerts")["alerts"]
            if alert["state"] == "firing" or alert["labels"]["alertname"] not in HOST
        }

    assert eventually(lambda: told() == {("Watchdog", "firing")}, 120), told()
