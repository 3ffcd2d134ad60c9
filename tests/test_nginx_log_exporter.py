"""The exporter of nginx's log counts every line once, whatever is rotated, restarted or cut off."""

import shutil
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "roles/nginx_log_exporter/files/prometheus-nginx-log-exporter"
LOADER = SourceFileLoader("nginx_log_exporter", str(SCRIPT))
exporter = module_from_spec(spec_from_loader(LOADER.name, LOADER))
LOADER.exec_module(exporter)


def line(number, status=200, area="site", by="application", seconds="0.010"):
    return (
        f'{{"time":"now","uri":"/{number}","status":{status:03},"area":"{area}",'
        f'"answered_by":"{by}","upstream_time":"{seconds}","request_id":"{number}"}}\n'
    )


class Nginx:
    """Writes a log, each line another one."""

    def __init__(self, folder):
        self.log, self.state, self.number = folder / "access.log", folder / "state.json", 0

    def answer(self, count=1, log=None, **values):
        with (log or self.log).open("a") as file:
            for _ in range(count):
                self.number += 1
                file.write(line(self.number, **values))

    def exporter(self):
        return exporter.Log(self.log, self.state)


@pytest.fixture
def nginx(tmp_path):
    return Nginx(tmp_path)


def samples(log):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in log.collect()
        for sample in family.samples
        if sample.value
    }


def counted(log):
    found = samples(log)
    return sum(value for name, value in found.items() if name[0] == "nginx_http_responses_total")


def test_counts_continue_after_a_restart(nginx):
    nginx.answer(3)
    assert counted(nginx.exporter()) == 3
    nginx.answer(2)
    assert counted(nginx.exporter()) == 5
    assert counted(nginx.exporter()) == 5


def test_a_rotated_log_is_read_to_its_end(nginx):
    log, rotated = nginx.exporter(), nginx.log.with_name("access.log.1")
    nginx.answer(3)
    assert counted(log) == 3
    nginx.answer(2)
    nginx.log.rename(rotated)
    nginx.log.touch()
    nginx.answer(log=rotated)  # a worker that has not yet opened the new one
    nginx.answer(4)
    assert counted(log) == 10
    nginx.answer(log=rotated)
    assert counted(log) == 11
    # While the exporter is down, too.
    rotated.unlink()
    nginx.answer(5)
    nginx.log.rename(rotated)
    nginx.answer(6)
    assert counted(nginx.exporter()) == 22


def test_a_log_that_is_copied_and_truncated_is_counted_once(nginx):
    log = nginx.exporter()
    nginx.answer(3)
    assert counted(log) == 3
    nginx.answer(2)
    shutil.copy(nginx.log, nginx.log.with_name("access.log.1"))
    nginx.log.write_text("")
    nginx.answer(9)
    assert counted(log) == 14


def test_half_a_line_waits_for_its_end(nginx):
    log, whole = nginx.exporter(), line("whole")
    nginx.answer()
    with nginx.log.open("a") as file:
        file.write(whole[:50])
    assert counted(log) == 1
    with nginx.log.open("a") as file:
        file.write(whole[50:])
    assert counted(log) == 2


def test_the_end_of_a_log_may_be_lost(nginx):
    nginx.answer(5)
    assert counted(nginx.exporter()) == 5
    lines = nginx.log.read_text().splitlines(keepends=True)
    nginx.log.write_text("".join(lines[:3]))
    log = nginx.exporter()
    assert counted(log) == 5
    nginx.answer(2)
    assert counted(log) == 7


def test_packed_logs_are_left_alone(nginx):
    nginx.log.with_name("access.log.2.gz").write_text(line(1))
    assert counted(nginx.exporter()) == 0


def test_only_visitors_are_visitors(nginx):
    nginx.answer(2, status=502, by="nginx", seconds="0.000")
    nginx.answer(4, status=404, by="nginx", seconds="")  # a static file: nobody was asked
    nginx.answer(8, area="probe")
    nginx.answer(16, area="monitoring", status=401, by="nginx", seconds="")
    nginx.answer(32, area="challenge", status=401, by="nginx", seconds="")
    nginx.answer(status=0, by="nginx", seconds="0.200, 0.400")
    nginx.log.open("a").write("not a line\n")
    found = samples(nginx.exporter())
    assert {name: value for name, value in found.items() if "bucket" not in name[0]} == {
        ("nginx_http_responses_total", "502", "nginx"): 2,
        ("nginx_http_responses_total", "404", "nginx"): 4,
        ("nginx_http_responses_total", "000", "nginx"): 1,
        ("nginx_monitoring_responses_total", "401", "nginx"): 16,
        ("nginx_upstream_response_seconds_count",): 3,
        ("nginx_upstream_response_seconds_sum",): pytest.approx(0.6),
        ("nginx_log_unreadable_lines_total",): 1,
    }
    assert found["nginx_upstream_response_seconds_bucket", "0.5"] == 2
    assert found["nginx_upstream_response_seconds_bucket", "0.75"] == 3


def test_a_visitor_cannot_forge_a_line(nginx):
    forged = line(1, status=500).replace('"', '\\"').strip()  # as nginx escapes it
    with nginx.log.open("a") as file:
        file.write(line(1).replace("/1", f"/{forged}"))
    assert ("nginx_http_responses_total", "500", "application") not in samples(nginx.exporter())


def test_other_buckets_start_at_zero(nginx, monkeypatch):
    nginx.answer(2)
    assert counted(nginx.exporter()) == 2
    monkeypatch.setattr(exporter, "BUCKETS", (0.5, 1.0))
    nginx.answer()
    found = samples(nginx.exporter())
    assert found["nginx_upstream_response_seconds_count",] == 1
    assert found["nginx_http_responses_total", "200", "application"] == 3


def test_a_state_that_is_invalid_is_refused_in_words(nginx, monkeypatch):
    nginx.state.write_text("{}")
    arguments = ["-", "--log", str(nginx.log), "--state", str(nginx.state), "--listen", "::1:0"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match=r"state\.json is no state of this exporter .* move it"):
        exporter.main()
