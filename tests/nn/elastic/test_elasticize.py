"""A model with its convolutions divided; errors change nothing."""

import copy
from dataclasses import FrozenInstanceError

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic_search.arch.ops import Shape
from elastic_search.arch.split import Split, parse_split
from elastic_search.cost.tools import CONVENTIONS, MACS
from elastic_search.errors import ShapeError, SpecError, SplitError, UnknownNameError
from elastic_search.nn.elastic.elasticize import Change, elasticize
from elastic_search.nn.tools import authors_counts, fvcore_counts, torch_counts
from tests.nn.elastic.staging import Residual


class VGG(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for i, (inputs, width) in enumerate(((3, 16), (16, 32), (32, 64))):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)] if i < 2 else [nn.AdaptiveAvgPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(256, 5), nn.Dropout(), nn.Linear(5, 5))

    def forward(self, x):
        return self.classifier(self.features(x))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = nn.Conv2d(3, 16, 3, padding=1)
        self.down2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect") for _ in range(2)])
        self.up = nn.ConvTranspose2d(32, 16, 2, 2)
        self.join = nn.Conv2d(32, 16, 5, padding=2)
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        a = F.relu(self.down1(x))
        y = F.relu(self.down2(a))
        for conv in self.middle:
            y = F.relu(conv(y))
        return {"map": self.out(self.join(torch.cat((a, self.up(y)), 1)))}


CNNS = {
    Residual: ["conv1", "conv2", "again"],
    VGG: ["features.2", "features.6", "features.8", "features.12", "features.14"],
    UNet: ["middle.0", "middle.1", "join"],
}


@pytest.mark.parametrize("split", ("1/2,1/2", "1/2,1/4,1/4"))
@pytest.mark.parametrize("cnn", CNNS)
def test_a_cnn_keeps_class_other_weights_and_shapes_and_costs_less(cnn, split):
    model = cnn().eval()
    before = copy.deepcopy(model)
    report = elasticize(model, split, input=(3, 64, 48))
    assert report.model is model
    assert type(model) is cnn
    assert [change.path for change in report.replaced] == CNNS[cnn]
    convs = [path for path, module in before.named_modules() if isinstance(module, nn.Conv2d)]
    assert sorted(CNNS[cnn] + [left.path for left in report.left]) == sorted(convs)
    for path, module in before.named_modules():
        if path not in CNNS[cnn]:
            assert type(model.get_submodule(path)) is type(module)
    old, new = before.state_dict(), model.state_dict()
    kept = [name for name in old if name.rpartition(".")[0] not in CNNS[cnn]]
    assert all(torch.equal(new[name], old[name]) for name in kept)
    assert sum(p.numel() for p in before.parameters()) == sum(p.numel() for p in model.parameters()) == report.params

    x = torch.zeros(1, 3, 64, 48)
    tools = [(fvcore_counts(m, x)[0], sum(torch_counts(m, x).values())) for m in (before, model)]
    (fvcore_before, torch_before), (fvcore_after, torch_after) = tools
    assert fvcore_after["conv"] < fvcore_before["conv"]
    assert sum(fvcore_before.values()) - sum(fvcore_after.values()) == report.saved > 0
    assert (report.macs_before, report.macs_after) == (torch_before // 2, torch_after // 2)

    for size in ((64, 48), (50, 66), (34, 38)):
        images = torch.randn(2, 3, *size)
        y, z = before(images), model(images)
        if isinstance(y, dict):
            y, z = y["map"], z["map"]
        assert y.shape == z.shape
        assert not torch.equal(y, z)
        assert z.isfinite().all()


@pytest.mark.parametrize("convention", ("macs", "fvcore", "torch", "authors"))
def test_a_change_is_what_the_tool_counts_on_the_module(convention):
    model = Residual().eval()
    before = copy.deepcopy(model)
    report = elasticize(model, "1/2,1/4@1/2,1/4@1/3", input=(3, 62, 94), convention=convention)
    assert report.replaced
    assert (report.convention, report.unit) == (convention, CONVENTIONS[convention].unit)
    tool = {"macs": "torch", "fvcore": "fvcore"}.get(convention, convention)
    counter = {"fvcore": lambda m, x: fvcore_counts(m, x)[0], "torch": torch_counts, "authors": authors_counts}[tool]
    for change in report.replaced:
        for side, count in ((before, change.before), (model, change.after)):
            module = side.get_submodule(change.path)
            counted = sum(sum(counter(module, torch.zeros(1, *x)).values()) for x, _ in change.calls)
            assert count == counted // (2 if convention == MACS.name else 1)
    assert len(report.replaced[-1].calls) == 2


def test_gradients_flow_and_the_model_learns():
    model = VGG()
    elasticize(model, "1/2,1/4,1/4", input=(3, 32, 32))
    assert all(module.training for module in model.modules())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    images, labels = torch.randn(10, 3, 27, 33), torch.arange(10) % 5
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(model.features(images).flatten(1)[:, :5], labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.features[2].parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2


def test_trial_runs_leave_modes_buffers_and_random_numbers_alone():
    class Counting(VGG):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            torch.rand(1)
            return super().forward(x)

    model = Counting()
    model.features[3].eval()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state = torch.get_rng_state()
    assert elasticize(model, input=(3, 32, 32)).replaced
    assert torch.equal(torch.get_rng_state(), state)
    assert [name for name, module in model.named_modules() if not module.training] == ["features.3"]
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def test_a_state_dict_from_before_still_loads():
    plain, model = Residual(), Residual()
    elasticize(model, "1/2,1/4,1/4", input=(3, 64, 64))
    old = plain.state_dict()
    names = list(old)
    model.load_state_dict(old)
    assert list(old) == names
    elasticize(plain, "1/2,1/4,1/4", input=(3, 64, 64))
    assert {"conv2.at1.conv.bias", "conv2.at4.conv.weight"} <= set(plain.state_dict())
    for name, tensor in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    del old["conv2.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*conv2\.at1\.conv\.weight"):
        model.load_state_dict(old)


def test_the_report_is_a_value_that_prints():
    model = VGG()
    report = elasticize(model, Split(parse_split("1/2,1/2").branches, up="nearest"), input=(3, 32, 32))
    assert "Linear" not in repr(report)
    assert report.input == Shape(3, 32, 32)
    assert all(isinstance(change, Change) and change.after < change.before for change in report.replaced)
    assert model.features[2].at2.up.mode == "nearest"
    with pytest.raises(FrozenInstanceError):
        report.params = 0


# --- errors change nothing


class Reads(VGG):
    """Also uses a weight without its module."""

    def forward(self, x):
        return super().forward(x) + self.features[2].weight.sum()


@pytest.mark.parametrize(
    ("make_model", "options", "error", "problem"),
    [
        (VGG, {"split": "1/2,1/3"}, SplitError, "must add up to 1"),
        (VGG, {"split": "halves"}, SplitError, "cannot read branch"),
        (VGG, {"split": parse_split("1/2,1/2", "trained", "trained")}, SplitError, "adds parameters"),
        (VGG, {"convention": "fvcor"}, UnknownNameError, "fvcor"),
        (VGG, {"input": (4, 32, 32)}, ShapeError, "does not run on an image of 4x32x32"),
        (VGG, {"where": lambda path, conv: 1 / 0}, ZeroDivisionError, "division"),
        (Reads, {}, SpecError, "cannot run with its convolutions replaced"),
        (lambda: nn.Sequential(nn.LazyConv2d(8, 3, padding=1)), {}, SpecError, "lazy"),
        (lambda: nn.Conv2d(8, 8, 3, padding=1), {}, SpecError, "alone"),
    ],
)
def test_an_error_leaves_the_model_as_it_was(make_model, options, error, problem):
    model = make_model().train()
    modules = dict(model.named_modules())
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with pytest.raises(error, match=problem) as raised:
        elasticize(model, **{"input": (3, 32, 32), **options})
    if issubclass(error, SpecError) and problem != "must add up to 1":
        assert raised.value.hint
    assert dict(model.named_modules()) == modules
    assert all(module.training and not module._forward_hooks for module in modules.values())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
