"""What a terminal shows while a search runs."""

import signal
import sys

from elastic_search.files import parse_space
from elastic_search.report.progress import Progress, Watched
from elastic_search.search.run import Run
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import Result
from elastic_search.search.trials.loop import Settings
from tests.search.staging import TEXT, Trainer


def test_live_line_keeps_the_notice_of_a_signal_visible(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    space = parse_space(TEXT, "small", "small.toml")
    run = Run(space, RunFolder(tmp_path, "small"), Settings(1), Trainer())
    run.stop.notice = "press Ctrl-C again to stop at once"
    progress = Progress()
    with run.stop.listening(), progress.watching(run, lambda: None):
        assert run.stop.notice == ""  # written beside the live line, it would be drawn over
        assert "Ctrl-C" not in progress._render().plain
        signal.raise_signal(signal.SIGINT)
        shown = [progress._render().plain for _ in range(2)]
    assert all(text.splitlines()[-1] == "press Ctrl-C again to stop at once" for text in shown)
    assert run.stop.notice == "press Ctrl-C again to stop at once"


def test_lines_name_the_metric_that_ranks(tmp_path, capsys):
    space = parse_space(TEXT.replace("epochs = 3", 'epochs = 3\nmetric = "balanced_accuracy"'), "small", "small.toml")
    run = Run(space, RunFolder(tmp_path, "small"), Settings(1), Trainer())
    progress = Progress()
    with progress.watching(run, lambda: None):
        watched = Watched(progress, 0)
        watched.finished(Result(0, {}, "a", 10, 20, accuracy=0.5, seconds=3.0), "")
    assert ": balanced accuracy 50.0% in 3 s" in capsys.readouterr().err
