"""A search that is started again: after a signal, after a kill, and with files that are not what it wrote."""

import json
import signal

import pytest

from elastic_search.atomic import sealed
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import parse_space
from elastic_search.search.run import search
from elastic_search.search.store.study import open_study
from tests.search.staging import TEXT, Trainer, proposals, start  # noqa: F401


def test_resume_goes_on_as_the_uninterrupted_run_would(start):  # noqa: F811
    whole = start(trials=14, name="whole")
    whole.run()
    for trials in (3, 4, 11, 14):
        part = start(trials=trials, name="parts")
        assert part.run() == "trials"
    assert proposals(part) == proposals(whole)


def test_signal_ends_after_the_epoch_and_the_trial_goes_on_later(start):  # noqa: F811
    def send(epoch):
        if epoch == 8:
            signal.raise_signal(signal.SIGTERM)

    interrupted = start(Trainer(send), name="interrupted")
    assert interrupted.run() == "signal"
    assert interrupted.signal.received == signal.SIGTERM
    assert interrupted.evaluator.epochs == 8
    assert [state for _, state, _, _ in proposals(interrupted)] == ["COMPLETE", "RUNNING"]
    resumed = start(name="interrupted")
    assert resumed.run() == "trials"
    assert resumed.evaluator.epochs == 3 * 7 - 8
    whole = start(name="whole")
    whole.run()
    assert proposals(resumed) == proposals(whole)


def test_signal_handlers_are_restored(start):  # noqa: F811
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    start(trials=1).run()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_result_on_disk_that_the_study_never_heard_of_is_told(start, monkeypatch):  # noqa: F811
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    search = start(trials=3)
    with monkeypatch.context() as patch:
        patch.setattr("elastic_search.search.trials.work.tell", killed)
        with pytest.raises(KeyboardInterrupt):
            search.run()
    assert [state for _, state, _, _ in proposals(search)] == ["RUNNING"]
    resumed = start(trials=3)
    resumed.run()
    assert [state for _, state, _, _ in proposals(resumed)] == ["COMPLETE"] * 3
    assert len(resumed.evaluator.trained) == 2


def test_trial_killed_before_its_values_were_stored_gets_the_same_values(start):  # noqa: F811
    search = start(trials=2)
    search.run()
    study = open_study(search.folder)
    study.ask()
    resumed = start(trials=4)
    resumed.run()
    whole = start(trials=4, name="whole")
    whole.run()
    assert proposals(resumed) == proposals(whole)


def test_lost_study_is_made_anew_from_the_results(start):  # noqa: F811
    search = start(trials=5)
    search.run()
    before = proposals(search)
    search.folder.study_file.unlink()
    again = start(trials=7)
    again.run()
    assert proposals(again)[:5] == before
    assert len(again.evaluator.trained) == 2


def test_study_that_contradicts_the_results_is_refused(start):  # noqa: F811
    search = start(trials=2)
    search.run()
    file = search.folder.path / "trials/1.json"
    other = json.loads((search.folder.path / "trials/0.json").read_text())["values"]
    changed = {**json.loads(file.read_text()), "values": other}
    file.write_text(json.dumps(changed))
    with pytest.raises(EnvironmentFault, match="checksum"):
        start(trials=3).run()
    file.write_text(sealed({key: value for key, value in changed.items() if key != "sha256"}))
    with pytest.raises(EnvironmentFault, match="other values"):
        start(trials=3).run()


def test_stale_best_is_refreshed(start):  # noqa: F811
    search = start(trials=6)
    search.run()
    text = search.folder.best_file.read_text()
    search.folder.best_file.write_text("# an older one")
    start(trials=6).run()
    assert search.folder.best_file.read_text() == text


def test_trial_with_little_left_is_finished_although_a_new_one_would_not_fit(start, monkeypatch):  # noqa: F811
    now = [0.0]
    monkeypatch.setattr("elastic_search.search.trials.loop.time.monotonic", lambda: now[0])

    def tick(epoch):
        now[0] += 1
        if epoch == 5:
            signal.raise_signal(signal.SIGTERM)

    first = start(Trainer(tick), trials=None, seconds=7)
    assert first.run() == "signal"
    second = start(Trainer(lambda epoch: now.__setitem__(0, now[0] + 1)), trials=None, seconds=7)
    assert second.run() == "time"
    assert [state for _, state, _, _ in proposals(second)] == ["COMPLETE"]


def test_other_space_or_seed_under_the_same_name_is_refused(start):  # noqa: F811
    start(trials=1).run()
    with pytest.raises(UsageError, match=r"seed: 0 before, [0-9]+ now"):
        start(seed=5)


def test_damaged_files_are_named(start):  # noqa: F811
    search = start(trials=1)
    search.run()
    (search.folder.path / "base.json").write_text('{"schema": 1, "acc')
    with pytest.raises(EnvironmentFault, match=r"base\.json: damaged"):
        start(trials=2).run()
    (search.folder.path / "base.json").unlink()
    search.folder.study_file.write_bytes(b"not a database, " * 1000)
    with pytest.raises(EnvironmentFault, match=r"study\.db"):
        start(trials=2).run()


def test_result_with_a_missing_key_is_damaged(start):  # noqa: F811
    search = start(trials=1)
    search.run()
    (search.folder.path / "trials/0.json").write_text(sealed({}))
    with pytest.raises(EnvironmentFault, match="number is missing"):
        start(trials=2).run()


def test_run_goes_on_with_the_shipped_space_that_it_inherited(tmp_path, monkeypatch):
    """A later version ships another space of that name: the stored run keeps its meaning."""
    shipped = tmp_path / "shipped.toml"
    shipped.write_text(TEXT)
    monkeypatch.setattr("elastic_search.files.space.shipped_spaces", lambda: {"shipped": shipped})
    mine = 'schema = 1\ninherit = "shipped"\n[proxy]\nbatch = 20\n'
    plan = parse_space(mine, "mine", "mine.toml")
    run = search(plan, Trainer(), trials=1, root=tmp_path, halving=False, counter=None)
    shipped.write_text(TEXT.replace("layer4 = [3]", "layer4 = [2]"))
    stored = run.folder.plan()
    assert (stored.space, stored.band, stored.recipe) == (plan.space, plan.band, plan.recipe)
    with pytest.raises(UsageError, match=r"depths.layer4: \[3\] before, \[2\] now"):
        search(parse_space(mine, "mine", "mine.toml"), Trainer(), trials=2, root=tmp_path, halving=False, counter=None)
    assert search(stored, Trainer(), trials=2, root=tmp_path, halving=False, counter=None).ended == "trials"
