"""The run of the command from Python: an observer in the place of the terminal, and no torch."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import elastic_search
from elastic_search.arch.zoo import published
from elastic_search.errors import EnvironmentFault, NothingFitsError, UsageError
from elastic_search.files import parse_space
from elastic_search.search.evaluator import Named, TrialError
from elastic_search.search.run import Silent
from elastic_search.search.run import search as function
from elastic_search.search.store.result import Result
from tests.search.staging import TEXT, Trainer

SPACE = parse_space(TEXT, "small", "small.toml")
OPTIONS = {"counter": None, "halving": False}


class Heard(Silent):
    """Remembers what happened."""

    def __init__(self):
        self.events, self.plans = [], []

    def note(self, what):
        self.events.append(what.split()[0])

    def planned(self, run, fits):
        self.plans.append((fits.trials, run.pace.base))

    def finished(self, result, why):
        self.events.append(result.number)


def trainer(worker=0):
    """What a worker makes of a name."""
    return Trainer()


def test_search_is_the_command_s_run_with_an_observer(tmp_path):
    heard, trainer = Heard(), Trainer()
    options = {"root": tmp_path, "observer": heard, **OPTIONS}
    run = elastic_search.search(SPACE, trainer, trials=3, **options)
    assert run.ended == "trials"
    assert heard.events == ["new", "measuring", None, 0, 1, 2]
    assert heard.plans == [(3, trainer.pace(None))]
    rows = run.rows()
    assert [row.rank for row in rows] == ["base", "1", "2", "3"]
    assert rows[0].spec == published("resnext50")
    assert all(row.result.cost in SPACE.band for row in rows[1:])
    assert run.folder.best_file.exists()
    more = elastic_search.search(SPACE, trainer, trials=4, **options)
    assert heard.events[6:] == ["resuming", 3]
    again = elastic_search.search(SPACE, trainer, trials=4, **options)
    assert len(heard.events) == 8
    assert again.rows() == more.rows()


def test_several_workers_make_their_evaluators_by_name(tmp_path):
    with pytest.raises(UsageError, match="by name"):
        function(SPACE, Trainer(), trials=4, root=tmp_path, workers=2, **OPTIONS)
    heard = Heard()
    named = Named("tests.search.test_run:trainer", {})
    run = function(SPACE, named, trials=4, root=tmp_path, workers=2, observer=heard, **OPTIONS)
    assert run.ended == "trials"
    assert sorted(heard.events[2:], key=str) == [0, 1, 2, 3, None]
    values = {json.dumps(row.result.values) for row in run.rows()[1:]}
    assert len(values) == 4


def test_search_without_a_budget_or_a_network_in_the_band_is_refused(tmp_path):
    with pytest.raises(UsageError, match="needs a budget"):
        function(SPACE, Trainer(), root=tmp_path)
    empty = parse_space(TEXT + "[band]\ntarget = 9_000_000_000\n", "empty", "empty.toml")
    with pytest.raises(NothingFitsError):
        function(empty, Trainer(), trials=1, root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", ("elastic_search.search", "elastic_search.search.run", "json"))
def test_search_can_be_called_whatever_was_imported_first_and_needs_no_torch(tmp_path, first):
    code = (
        f"import sys\nimport {first}\nfrom elastic_search import search\n"
        "from tests.search.test_run import OPTIONS, SPACE, Trainer\n"
        f"print(search(SPACE, Trainer(), trials=1, root={str(tmp_path)!r}, **OPTIONS).ended, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "trials False\n"


def test_test_accuracy_is_recorded_where_there_is_one():
    result = Result(0, {}, "id", 1, 1, 0, 0.5, {"small": 0.5}, 1.0, 1, 1, (0.25, 0.5))
    assert "test_accuracy" not in result.to_dict()
    tested = replace(result, test_accuracy=0.75)
    for one in (result, tested):
        assert Result.read(json.loads(json.dumps(one.to_dict())), 0, "0.json", "") == one
    with pytest.raises(EnvironmentFault, match="test_accuracy is not valid"):
        Result.read({**json.loads(json.dumps(tested.to_dict())), "test_accuracy": "0.75"}, 0, "0.json", "")


class Slow(Trainer):
    """Cannot be measured."""

    def pace(self, spec):
        raise TrialError("out of memory")


@pytest.mark.parametrize("trainer", (Slow(), Named("json:nothing", {}), Named("nowhere:make", {})))
def test_run_that_fails_before_a_training_begins_leaves_no_folder(tmp_path, trainer):
    faults = (EnvironmentFault, AttributeError, ModuleNotFoundError)
    with pytest.raises(faults):
        function(SPACE, trainer, trials=1, root=tmp_path / "runs", **OPTIONS)
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").mkdir()
    with pytest.raises(faults):
        function(SPACE, trainer, trials=1, root=tmp_path / "runs", **OPTIONS)
    assert not list((tmp_path / "runs").iterdir())


def test_run_that_fails_later_or_again_keeps_its_folder(tmp_path):
    function(SPACE, Trainer(), trials=1, root=tmp_path, **OPTIONS)
    before = sorted(path.name for path in (tmp_path / "small").rglob("*.json"))
    with pytest.raises(UsageError, match="other settings"):
        function(SPACE, Trainer(), trials=1, seed=3, root=tmp_path, **OPTIONS)
    assert sorted(path.name for path in (tmp_path / "small").rglob("*.json")) == before

    def fault(epoch):
        if epoch == 2:
            raise RuntimeError("in the second epoch of the base")

    with pytest.raises(RuntimeError, match="second epoch"):
        function(SPACE, Trainer(fault), trials=1, root=tmp_path, name="later", **OPTIONS)
    assert (tmp_path / "later/checkpoints/base.pt").exists()
    assert (tmp_path / "later/run.json").exists()
