"""The loop with a trainer that is told what to do, so that faults can be staged."""

import json
import re
import signal
from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from elastic_search.arch.ops import image
from elastic_search.arch.zoo import spec_id
from elastic_search.atomic import sealed
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import EnvironmentFault, NothingFitsError, UsageError
from elastic_search.files import load_spec, parse_space
from elastic_search.search.evaluator import (
    DamagedCheckpointError,
    Epoch,
    InterruptedTrainingError,
    Score,
    TrialError,
    Verdict,
)
from elastic_search.search.propose.strategies import START
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import ranking
from elastic_search.search.store.study import open_study
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.loop import Search, Settings
from elastic_search.space.match import Matcher
from tests.staging import SPACE

TEXT = SPACE.replace('"3..5"', '"3..8"').replace("[4, 6]", '"4..9"').replace("layer3 = 6", 'layer3 = "4..7"')
TEXT += "[proxy]\nepochs = 3\n"


def pretend(spec):
    """An accuracy that depends on the network alone."""
    return (tally(spec.graph(), image(64, 64), FVCORE).total % 1009) / 1009


CHECKPOINT = re.compile(rb"([0-9a-f]+ \d+) ([1-3])")
"""Of a Trainer: the network's id, the seed, and how many epochs were trained."""


class Trainer:
    """Three epochs a trial; ``fault(epoch number over all trials)`` may raise or send a signal."""

    def __init__(self, fault: Callable[[int], None] = lambda epoch: None) -> None:
        self.fault = fault
        self.seconds = 3.0
        self.epochs = 0
        self.trained = []

    def __call__(self, spec, seed, monitor):
        curve = [0.5 * pretend(spec), pretend(spec), pretend(spec)]
        identity = f"{spec_id(spec)} {seed}"
        done = self.done(monitor.checkpoint, identity)
        while True:
            if done:
                verdict = monitor.epoch(Epoch(done, 3, 1.0, curve[done - 1]), f"{identity} {done}".encode())
                if done == 3:
                    break
                if verdict is Verdict.PRUNE:
                    return Score(curve[done - 1], {}, self.seconds, 10, 20, curve[:done])
                if verdict is Verdict.STOP:
                    raise InterruptedTrainingError
            self.steps_of_epoch(monitor)
            self.epochs += 1
            self.fault(self.epochs)
            done += 1
        self.trained.append(spec)
        return Score(pretend(spec), {"small": 0.1}, self.seconds, 10, 20, curve)

    def done(self, checkpoint, identity):
        """Epochs that an earlier start of this training made."""
        if checkpoint is None:
            return 0
        found = CHECKPOINT.fullmatch(checkpoint)
        if not found:
            raise DamagedCheckpointError("torn")
        return int(found[2]) if found[1].decode() == identity else 0

    def steps_of_epoch(self, monitor):
        monitor.step()

    def pace(self, spec):
        return self.seconds / 3


class Silent:
    def __init__(self) -> None:
        self.reasons = []

    def started(self, pending, depths, again): ...
    def epoch(self, epoch): ...
    def finished(self, result, why):
        self.reasons.append(why)


@pytest.fixture
def start(tmp_path):
    """Makes a search in tmp_path; calling it again is starting the command again."""
    return starter(tmp_path)


def starter(root):
    """What ``start`` is, in any folder."""
    plan = parse_space(TEXT, "small", "small.toml")
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)

    def make(
        trainer=None, trials=6, seconds=None, seed=0, name="run", epoch_seconds=None, counter=None, hung_code=3, **more
    ) -> Search:
        folder = RunFolder(root, name)
        folder.begin({"space": "small", "text": TEXT, "seed": seed})
        settings = Settings(trials, seed, **{"halving": False, **more})
        clock = Clock(folder, seconds, epoch_seconds=epoch_seconds)
        options = {"counter": counter, "hung_code": hung_code}
        return Search(plan, matcher, folder, trainer or Trainer(), settings, Silent(), clock, **options)

    return make


def proposals(search):
    study = open_study(search.folder)
    return [
        (t.number, t.state.name, tuple(sorted(t.params.items())), t.value) for t in study.get_trials(deepcopy=False)
    ]


def test_every_proposal_is_inside_the_band_and_new(start):
    search = start(trials=25)
    assert search.run() == "trials"
    done = proposals(search)
    assert len(done) == 25 > START
    assert len({values for _, _, values, _ in done}) == 25
    for _, _, values, _ in done:
        spec = search.plan.space.decode(dict(values))
        assert tally(spec.graph(), image(224, 224), FVCORE).total in search.plan.band
        assert spec != search.plan.space.base


def test_same_seed_gives_the_same_proposals_and_another_seed_others(start):
    searches = [start(seed=seed, name=name, trials=14) for seed, name in ((1, "a"), (1, "b"), (2, "c"))]
    for search in searches:
        search.run()
    first, same, other = map(proposals, searches)
    assert first == same
    assert first != other


def test_resume_goes_on_as_the_uninterrupted_run_would(start):
    whole = start(trials=14, name="whole")
    whole.run()
    for trials in (3, 4, 11, 14):
        part = start(trials=trials, name="parts")
        assert part.run() == "trials"
    assert proposals(part) == proposals(whole)


def test_signal_ends_after_the_epoch_and_the_trial_goes_on_later(start):
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


def test_signal_handlers_are_restored(start):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    start(trials=1).run()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_result_on_disk_that_the_study_never_heard_of_is_told(start, monkeypatch):
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


def test_trial_killed_before_its_values_were_stored_gets_the_same_values(start):
    search = start(trials=2)
    search.run()
    study = open_study(search.folder)
    study.ask()
    resumed = start(trials=4)
    resumed.run()
    whole = start(trials=4, name="whole")
    whole.run()
    assert proposals(resumed) == proposals(whole)


def test_lost_study_is_made_anew_from_the_results(start):
    search = start(trials=5)
    search.run()
    before = proposals(search)
    search.folder.study_file.unlink()
    again = start(trials=7)
    again.run()
    assert proposals(again)[:5] == before
    assert len(again.evaluator.trained) == 2


def test_study_that_contradicts_the_results_is_refused(start):
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


def test_stale_best_is_refreshed(start):
    search = start(trials=6)
    search.run()
    text = search.folder.best_file.read_text()
    search.folder.best_file.write_text("# an older one")
    start(trials=6).run()
    assert search.folder.best_file.read_text() == text


def test_search_prefers_what_was_good(start):
    """After the uniform start, proposals are better than it by the pretended accuracy's own rule."""

    class Deep(Trainer):
        def __call__(self, spec, seed, monitor):
            score = super().__call__(spec, seed, monitor)
            return replace(score, accuracy=spec.depths[1] / 20)

    search = start(Deep(), trials=30)
    search.run()
    values = [value for _, _, _, value in proposals(search)]
    assert sum(values[START:]) / len(values[START:]) > sum(values[:START]) / START + 0.02


def test_trial_with_little_left_is_finished_although_a_new_one_would_not_fit(start, monkeypatch):
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


def test_base_that_cannot_be_trained_ends_the_search(start):
    def fail(epoch):
        raise TrialError("out of memory")

    with pytest.raises(EnvironmentFault, match="the base network cannot be trained: out of memory"):
        start(Trainer(fail)).run()


def test_failed_trial_is_recorded_with_its_reason_and_the_search_goes_on(start):
    def fail(epoch):
        if epoch == 8:
            raise TrialError("the loss is nan in epoch 2")
        if epoch == 12:
            raise ValueError("unforeseen")

    search = start(Trainer(fail))
    assert search.run() == "trials"
    states = [state for _, state, _, _ in proposals(search)]
    assert (states.count("PRUNED"), states.count("FAIL")) == (1, 1)
    assert len(states) == 6
    rows = ranking(search.plan, search.folder)
    assert next(row.result.reason for row in rows if row.rank == "failed") == "the loss is nan in epoch 2"
    assert "unforeseen" in search.folder.result(3).traceback


def test_first_trial_that_fails_ends_the_search(start):
    def fail(epoch):
        if epoch > 3:
            raise ValueError("a bug")

    with pytest.raises(EnvironmentFault, match="a bug"):
        start(Trainer(fail)).run()


def test_time_is_kept_over_starts(start, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("elastic_search.search.trials.loop.time.monotonic", lambda: now[0])

    def tick(epoch):
        now[0] += 10

    search = start(Trainer(tick), trials=None, seconds=100)
    search.evaluator.seconds = 30.0
    assert search.run() == "time"
    assert search.evaluator.epochs == 9  # a fourth training would not end
    assert search.folder.spent_seconds == 90
    again = start(Trainer(tick), trials=None, seconds=100)
    assert again.run() == "time"
    assert again.evaluator.epochs == 0
    longer = start(Trainer(tick), trials=None, seconds=145)
    longer.folder.spend(100)
    assert longer.run() == "time"
    assert longer.evaluator.epochs == 3


def test_trial_that_cannot_end_in_time_is_not_started(start, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("elastic_search.search.trials.loop.time.monotonic", lambda: now[0])

    def tick(epoch):
        now[0] += 1

    # Scores say that a trial takes 3 seconds; after the base and two trials 2 are left.
    search = start(Trainer(tick), trials=None, seconds=11)
    assert search.run() == "time"
    assert search.evaluator.epochs == 9


def test_exhausted_band_ends_the_search(tmp_path):
    plan = parse_space(TEXT + '[band]\ntolerance = "0.02%"', "tiny", "tiny.toml")
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)
    others = [c for c in matcher.inside(plan.band) if c.spec != plan.space.base]
    assert 2 <= len(others) <= 12
    folder = RunFolder(tmp_path, "run")
    folder.begin({})
    for _ in range(2):
        search = Search(plan, matcher, folder, Trainer(), Settings(50, halving=False), Silent(), Clock(folder, None))
        assert search.run() == "exhausted"
        assert [state for _, state, _, _ in proposals(search)] == ["COMPLETE"] * len(others)


def test_empty_band_is_refused_before_anything_is_trained(tmp_path):
    plan = parse_space(SPACE.replace('"1", ', "") + '[band]\ntolerance = "0.001%"', "tiny", "tiny.toml")
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)
    folder = RunFolder(tmp_path, "run")
    search = Search(plan, matcher, folder, Trainer(), Settings(5), Silent(), Clock(folder, None))
    with pytest.raises(NothingFitsError, match="the nearest cost"):
        search.run()
    assert not search.evaluator.epochs


def test_best_network_is_written_as_a_spec(start):
    search = start(trials=12)
    search.run()
    best = max(search.evaluator.trained[1:], key=pretend)
    assert load_spec(search.folder.best_file) == best
    rows = ranking(search.plan, search.folder)
    assert [row.rank for row in rows[:3]] == ["base", "1", "2"]
    assert rows[1].spec == best
    assert rows[1].result.accuracy == max(row.result.accuracy for row in rows[1:])


def test_other_space_or_seed_under_the_same_name_is_refused(start):
    start(trials=1).run()
    with pytest.raises(UsageError, match="another seed"):
        start(seed=5)


def test_run_in_use_is_refused(tmp_path):
    folder = RunFolder(tmp_path, "run")
    with folder.locked(), pytest.raises(EnvironmentFault, match="in use"), RunFolder(tmp_path, "run").locked():
        pass


@pytest.mark.parametrize("name", ("../x", "", "a/b", ".hidden", "-x", "a" * 65, "a\x00", "nul\n", "é"))
def test_run_name_cannot_be_a_path(tmp_path, name):
    with pytest.raises(UsageError, match="run name"):
        RunFolder(tmp_path, name)


def test_run_name_with_braces_or_percent_cannot_reach_the_database_url(tmp_path):
    root = tmp_path / "a{b}%20c?d"
    folder = RunFolder(root, "run")
    folder.begin({})
    open_study(folder)
    assert folder.study_file.exists()


def test_damaged_files_are_named(start):
    search = start(trials=1)
    search.run()
    (search.folder.path / "base.json").write_text('{"schema": 1, "acc')
    with pytest.raises(EnvironmentFault, match=r"base\.json: damaged"):
        start(trials=2).run()
    (search.folder.path / "base.json").unlink()
    search.folder.study_file.write_bytes(b"not a database, " * 1000)
    with pytest.raises(EnvironmentFault, match=r"study\.db"):
        start(trials=2).run()


def test_result_with_a_missing_key_is_damaged(start):
    search = start(trials=1)
    search.run()
    (search.folder.path / "trials/0.json").write_text(sealed({}))
    with pytest.raises(EnvironmentFault, match="number is missing"):
        start(trials=2).run()


def test_study_is_an_optuna_study(start):
    search = start(trials=3)
    search.run()
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{search.folder.study_file}")
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert json.loads((search.folder.path / "run.json").read_text())["seed"] == 0
