"""The loop with a trainer that is told what to do, so that faults can be staged."""

import re
from collections.abc import Callable
from typing import ClassVar

import pytest

from elastic_search.arch.ops import image
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.files import parse_space
from elastic_search.search.evaluator import (
    DamagedCheckpointError,
    Epoch,
    InterruptedTrainingError,
    Score,
    Verdict,
)
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.study import open_study
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.loop import Search, Settings
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

    chosen: ClassVar = {}
    remarks = ()

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

    def make(
        trainer=None, trials=6, seconds=None, seed=0, name="run", epoch_seconds=None, counter=None, hung_code=3, **more
    ) -> Search:
        folder = RunFolder(root, name)
        folder.begin({"space": "small", "text": TEXT, "seed": seed})
        settings = Settings(trials, seed, **{"halving": False, **more})
        clock = Clock(folder, seconds, epoch_seconds=epoch_seconds)
        options = {"counter": counter, "hung_code": hung_code}
        return Search(plan, folder, trainer or Trainer(), settings, Silent(), clock, **options)

    return make


def proposals(search):
    study = open_study(search.folder)
    return [
        (t.number, t.state.name, tuple(sorted(t.params.items())), t.value) for t in study.get_trials(deepcopy=False)
    ]


class Steps(Trainer):
    """Makes ten steps an epoch, of a second each; ``fault`` hears of every step."""

    def __init__(self, clock, fault=lambda step: None):
        super().__init__()
        self.clock, self.each, self.steps = clock, fault, 0

    def steps_of_epoch(self, monitor):
        for _ in range(10):
            self.steps += 1
            self.clock.now += 1
            self.each(self.steps)
            monitor.step()


class KilledError(BaseException):
    """Stands for a SIGKILL: nothing of the program runs after it."""


def killed_at(*epochs):
    def fault(epoch):
        if epoch in epochs:
            raise KilledError

    return fault


def counted(spec):
    return ("a tool", 1, 1)


def outcome(search):
    folder = search.folder
    found = {number: folder.result(number) for number in (None, *folder.trials())}
    return found, proposals(search), folder.best_file.read_text().splitlines()[1:]


def flipped(at, bit):
    def change(content):
        changed = bytearray(content)
        changed[at % len(changed)] ^= 1 << bit
        return bytes(changed)

    return change
