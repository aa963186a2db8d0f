"""Checkpoints that were cut or flipped: named and refused, or the training goes on as it would have."""

import random
import signal
from fractions import Fraction

import pytest
import torch

from elastic_search.arch.zoo import spec_id
from elastic_search.errors import EnvironmentFault
from elastic_search.files import parse_space
from elastic_search.proxy.evaluator import ProxyEvaluator
from elastic_search.recipes import Proxy, Training, recipe_dict
from elastic_search.search.evaluator import InterruptedTrainingError, Verdict
from elastic_search.search.store import integrity
from elastic_search.train.checkpoint import DamagedError
from elastic_search.train.run import Run
from tests.proxy.staging import Keeper
from tests.search.staging import TEXT, Trainer, flipped, start  # noqa: F401


@pytest.fixture(scope="module")
def checkpoint():
    """A real one, and what a training goes on with from it."""
    spec = parse_space(TEXT, "small", "small.toml").space.base
    training = Training(epochs=2, train_images=20, test_images=10, batch=10)
    evaluator = ProxyEvaluator(Proxy(Fraction(1, 32), input=16), training, torch.device("cpu"))
    keeper = Keeper(verdicts=[Verdict.STOP])
    with pytest.raises(InterruptedTrainingError):
        evaluator(spec, 0, keeper)
    loop, proxy = evaluator._loop, evaluator.proxy.of(spec)
    identity = f"{spec_id(proxy)} 0 {recipe_dict(evaluator.proxy, training)}"

    def load(content):
        run = Run(proxy, 1, loop, identity, content)
        return run.state["curve"], run.state["seconds"], run._trainee.net.state_dict()

    return keeper.checkpoint, load


def damaged_checkpoints(checkpoint, folder, cuts, flips, seed):
    """Cut and flip a checkpoint; how often it was refused."""
    content, load = checkpoint
    rng, refused = random.Random(seed), 0
    curve, seconds, weights = load(content)
    assert len(curve) == 1
    changes = [content[: rng.randrange(len(content))] for _ in range(cuts)]
    # Half of the flips lie in the directory of the archive, at its end.
    changes += [flipped(rng.randrange(10**9) if i % 2 else -rng.randrange(1, 20_000), rng.randrange(8))(content)
                for i in range(flips)]  # fmt: skip
    for change in changes:
        file = folder / "damaged.pt"
        file.write_bytes(change)
        whole = integrity._is_whole(file)
        try:
            found = load(change)
        except DamagedError:
            refused += 1
            continue
        assert whole
        assert found[:2] in ((curve, seconds), ([], 0.0))
        if found[0]:
            assert all(torch.equal(found[2][key], weights[key]) for key in weights)
    return refused


def test_damaged_checkpoint_is_named(start):  # noqa: F811
    def stop(epoch):
        if epoch == 5:
            signal.raise_signal(signal.SIGTERM)

    search = start(Trainer(stop), name="torn")
    assert search.run() == "signal"
    file = search.folder.checkpoint(0)
    file.write_bytes(b"torn")
    with pytest.raises(EnvironmentFault, match=r"0\.pt: damaged"):
        start(name="torn").run()
    file.unlink()
    file.mkdir()
    with pytest.raises(EnvironmentFault, match=r"0\.pt: damaged") as caught:
        start(name="torn").run()
    assert "its trial starts again" in caught.value.hint


def test_damaged_checkpoint_is_refused_or_the_same(checkpoint, tmp_path):
    assert damaged_checkpoints(checkpoint, tmp_path, 6, 14, seed=1) >= 6


@pytest.mark.full
def test_many_damaged_checkpoints_are_refused_or_the_same(checkpoint, tmp_path):
    assert damaged_checkpoints(checkpoint, tmp_path, 40, 160, seed=2) >= 60
