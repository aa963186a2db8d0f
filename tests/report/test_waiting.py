import io

import pytest

from elastic_search.report import waiting
from elastic_search.report.waiting import Waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Sets the seconds since the start."""
    now = [100.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, 100.0 + seconds)


def told(monkeypatch, clock, stderr, *calls):
    monkeypatch.setattr("sys.stderr", stderr)
    waiting = Waiting("wide")
    for seconds, doing, share in calls:
        clock(seconds)
        waiting(doing, share)
    return stderr.getvalue()


def test_short_count_says_nothing(monkeypatch, clock):
    calls = (0.1, "counting networks", 0.1), (1.9, "counting networks", 0.9), (2.5, "counting networks", 1.0)
    for stderr in (io.StringIO(), Terminal()):
        assert told(monkeypatch, clock, stderr, *calls) == ""


def test_long_count_is_one_plain_line_in_a_pipe(monkeypatch, clock):
    calls = (3, "counting networks", 0.25), (6, "counting networks", 0.5), (9, "counting each choice", 0.5)
    line = "wide: counting networks: 25% done, about 0:00:09 left\n"
    assert told(monkeypatch, clock, io.StringIO(), *calls) == line


def test_long_count_rewrites_its_line_on_a_terminal_and_removes_it(monkeypatch, clock):
    calls = (3, "counting networks", 0.25), (3.1, "counting networks", 0.3), (6, "counting networks", 0.5)
    shown = told(monkeypatch, clock, Terminal(), *calls, (7, "counting networks", 1.0))
    assert shown == (
        "\rwide: counting networks: 25% done, about 0:00:09 left\x1b[K"
        "\rwide: counting networks: 50% done, about 0:00:06 left\x1b[K\r\x1b[K"
    )


def test_time_left_is_that_of_what_is_being_done(monkeypatch, clock):
    calls = (3, "counting networks", 0.25), (10, "counting each choice", 0.0), (14, "counting each choice", 0.8)
    assert told(monkeypatch, clock, Terminal(), *calls).endswith("80% done, about 0:00:01 left\x1b[K")
