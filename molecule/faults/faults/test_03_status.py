"""jewelry-status shows what really runs, not what should."""

import pytest

testinfra_hosts = ["ansible://machine"]

GROUP = "/sys/fs/cgroup/system.slice/jewelry-worker.service/cgroup.procs"


@pytest.fixture
def status_with(host):
    """Return a function that shows the status while a program is one of the worker's processes.

    The program is deleted while it runs, as by an update.
    """

    def show(called, program="/usr/local/bin/updated"):
        script = (
            f"cp /usr/bin/sleep /usr/local/bin/updated; (exec -a {called} {program} 60) &"
            f" echo $! > {GROUP}; sleep 0.5; rm /usr/local/bin/updated;"
            " jewelry-status; code=$?; kill $!; exit $code"
        )
        return host.run("bash -c %s", script)

    return show


def test_a_process_of_another_release_is_named(status_with):
    done = status_with("/srv/jewelry/releases/0.0.1-other/bin/python3", "/usr/bin/sleep")
    assert done.rc == 1
    assert "jewelry-worker.service runs 0.0.1-other, " in done.stdout
    assert ", and the live release is " in done.stdout
    assert "has replaced" not in done.stdout


def test_a_process_of_a_replaced_program_is_named(status_with):
    done = status_with("updated")
    assert done.rc == 1, done.stdout
    words = "jewelry-worker.service runs files that an update has replaced: run site.yml"
    assert words in done.stdout


def test_every_unit_of_the_application_shows_the_release_that_it_runs(host):
    live = host.check_output("basename $(readlink /srv/jewelry/live)")
    lines = host.check_output("jewelry-status --wait 60").splitlines()
    shown = {line.split()[0]: line.split()[2] for line in lines if line.startswith("jewelry-")}
    assert len(shown) == 4
    assert set(shown.values()) == {live}
