from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from elastic_search.arch.edit import elastic
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.data.dataset import Examples
from elastic_search.nn.init import build
from elastic_search.recipes import Proxy, Training
from elastic_search.train import batches, loop
from elastic_search.train.ema import Average
from elastic_search.train.loop import LAYOUTS, Loop, Setting
from elastic_search.train.run import Run
from tests.train.staging import Recorder

CPU = torch.device("cpu")
TRAINING = Training(epochs=2, batch=10, learning_rate=0.002)
SPEC = Proxy(Fraction(1, 8), input=16).of(
    elastic(published("resnext50").with_depths((1, 1, 1, 1)), parse_split("1/2,1/2"))
)


def examples(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    images = torch.randint(0, 100, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    images[:, 0] += 15 * labels[:, None, None].to(torch.uint8)
    return Examples(images, labels)


def trained(training=TRAINING, setting=Setting(), steps=None):  # noqa: B008
    """The weights after two epochs, the losses of the epochs, and the loop."""
    of = Loop(training, examples(60), examples(30, 1), CPU, setting)
    trainee = of.start(build(SPEC, 0, zero_init_last=False))
    losses = [of.train_epoch(trainee, 0, epoch, lambda: None, steps) for epoch in range(2)]
    return trainee, losses, of


def weights(trainee):
    return torch.cat([p.detach().flatten() for p in trainee.net.parameters()])


TOLERANCE = 2e-3
"""Of the weights after twelve steps in float32, as a share of their length, between settings of a device."""


@pytest.mark.parametrize(
    "setting", (Setting("contiguous"), Setting(products=False), Setting("contiguous", products=False))
)
def test_training_is_equal_within_a_tolerance_whatever_the_setting(setting):
    one, losses, _ = trained()
    other, others, of = trained(setting=setting)
    assert of.layout == (setting.layout or "channels_last")
    assert others == pytest.approx(losses, rel=1e-3)
    first, second = weights(one), weights(other)
    start = torch.cat([p.detach().flatten() for p in build(SPEC, 0, zero_init_last=False).parameters()])
    assert (first - second).norm() < TOLERANCE * first.norm()
    assert (first - start).norm() > 20 * (first - second).norm()  # the trainings have gone somewhere


def test_batches_from_the_map_train_the_same_bit_for_bit(monkeypatch):
    training = replace(TRAINING, shift=2)
    one, losses, of = trained(training)
    assert of.resident
    monkeypatch.setattr(batches, "free_memory", lambda device: 0.0)
    other, others, streaming = trained(training)
    assert not streaming.resident
    assert losses == others
    assert torch.equal(weights(one), weights(other))
    assert torch.equal(of.predictions(one.tested(), of.ranked), streaming.predictions(other.tested(), streaming.ranked))


@pytest.mark.parametrize("fault", (None, RuntimeError("not permitted")))
def test_recorded_steps_train_the_same_bit_for_bit(monkeypatch, fault):
    """With a stand-in for the GPU, on which all that a step reads must lie in place."""
    training = replace(TRAINING, shift=1, ema=0.9, optimizer="muon")
    one, losses, _ = trained(training)
    recorder = Recorder(fault)
    monkeypatch.setattr(loop, "recorder_for", lambda device, mode: recorder)
    with pytest.warns(RuntimeWarning, match="not permitted") if fault else nullcontext():
        other, others, _ = trained(training)
    assert recorder.calls[:4] == ["run", "run", "run", "record"]
    assert recorder.calls.count("replay") == (0 if fault else 9)
    assert losses == others
    assert torch.equal(weights(one), weights(other))
    kept, expected = other.average.weights, one.average.weights
    assert all(torch.equal(kept[key], expected[key]) for key in expected)
    other.close()
    assert recorder.freed


def test_nothing_waits_for_the_device_between_the_steps(monkeypatch):
    """No value of a tensor is asked for before the epoch's loss."""
    of = Loop(replace(TRAINING, shift=1, ema=0.9), examples(60), examples(30, 1), CPU)
    trainee = of.start(build(SPEC, 0))
    asked = []
    for name in ("item", "tolist", "__float__", "__int__", "__bool__", "cpu", "numpy"):
        own = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *a, own=own, name=name: (asked.append(name), own(self, *a))[1]
        )
    told = []
    of.train_epoch(trainee, 0, 0, lambda: told.append(len(asked)))
    assert told == [0] * 6
    assert asked == ["__float__"]


def test_images_are_normalised_in_the_layout():
    of = Loop(TRAINING, examples(60), examples(30, 1), CPU)
    found = of.normalised(of.train.images)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found.mean((0, 2, 3)).abs().max() < 1e-4
    assert (found.std((0, 2, 3)) - 1).abs().max() < 1e-4


def test_shift_and_average_change_the_training():
    plain = weights(trained()[0])
    assert not torch.equal(plain, weights(trained(replace(TRAINING, shift=2))[0]))
    averaged, _, of = trained(replace(TRAINING, ema=0.9))
    assert torch.equal(plain, weights(averaged))  # the average is tested, and trains nothing
    own = of.predictions(averaged.net.eval(), of.ranked)
    kept = averaged.average.weights["stem.conv1.weight"]
    assert not torch.equal(kept, averaged.net.state_dict()["stem.conv1.weight"])
    images = of.normalised(of.ranked.images)
    with torch.no_grad():
        assert not torch.equal(averaged.tested()(images), averaged.net(images))
    assert own.shape == of.predictions(averaged.tested(), of.ranked).shape


def test_average_follows_the_weights_with_a_short_memory_at_first():
    net = torch.nn.BatchNorm1d(1)
    average, expected = Average(net, 0.5), 1.0
    for step in range(6):
        with torch.no_grad():
            net.weight.fill_(float(step))
        average.before(step)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert average.weights["weight"].item() == pytest.approx(expected)
    assert "num_batches_tracked" not in average.weights


@pytest.mark.parametrize(
    "training", (replace(TRAINING, ema=0.9, shift=1), replace(TRAINING, optimizer="muon", ema=0.5))
)
def test_training_with_an_average_is_resumed_bit_for_bit(training):
    of = Loop(training, examples(60), examples(30, 1), CPU)
    whole = Run(SPEC, 0, of, "one")
    whole.epoch(lambda: None)
    middle = whole.checkpoint
    whole.epoch(lambda: None)
    resumed = Run(SPEC, 0, of, "one", middle)
    resumed.epoch(lambda: None)
    for one in (resumed, whole):
        one.state["seconds"] = 0.0
    assert resumed.state == whole.state
    assert torch.equal(resumed.predictions, whole.predictions)
    kept, expected = resumed._trainee.average.weights, whole._trainee.average.weights
    assert all(torch.equal(kept[key], expected[key]) for key in expected)


@pytest.mark.parametrize(("paces", "chosen"), (((2.0, 1.0), "contiguous"), ((1.0, 2.0), "channels_last")))
def test_layout_is_chosen_once_by_the_pace_of_both(monkeypatch, paces, chosen):
    of = Loop(TRAINING, examples(60), examples(30, 1), CPU)
    of.layout_is_measured = False  # as on a GPU
    tried, of_layout = [], dict(zip(LAYOUTS, paces, strict=True))

    def paced(self, net, layout, steps, seconds):
        tried.append(layout)
        self._take(layout)
        return of_layout[layout], 0.001

    monkeypatch.setattr(loop.Loop, "_paced", paced)
    net = build(SPEC, 0)
    assert of.pace(net) == pytest.approx(6 * min(paces) + 0.03)
    assert of.pace(net) == pytest.approx(6 * min(paces) + 0.03)
    assert tried == [*LAYOUTS, chosen, chosen]
    assert of.layout == chosen
    assert of.train.images.is_contiguous(memory_format=LAYOUTS[chosen])


def test_pace_gives_the_modules_back_and_learns_in_the_layout_of_the_cpu():
    of = Loop(TRAINING, examples(60), examples(30, 1), CPU)
    net = build(SPEC, 0)
    assert 0 < of.pace(net, 1, 0.0) < 60
    assert of.layout == "channels_last"
    assert not any("forward" in vars(module) for module in net.modules())


def test_doubled_batch_is_compared_on_the_same_images():
    of = Loop(TRAINING, examples(60), examples(30, 1), CPU)
    images = of.train.images.data_ptr()
    assert of.doubled(build(SPEC, 0)) > 0
    assert of.train.images.data_ptr() == images
    assert of.batch == TRAINING.batch
    assert Loop(replace(TRAINING, batch=20), examples(60), examples(30, 1), CPU).doubled(build(SPEC, 0)) is None
