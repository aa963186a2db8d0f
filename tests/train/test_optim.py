import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from elastic_search.recipes import Training
from elastic_search.train.checkpoint import from_bytes, to_bytes
from elastic_search.train.optim import Muon, make_optimizer, orthogonal, schedule, set_learning_rate

MUON = Training(optimizer="muon", learning_rate=0.1)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 16, 1, bias=False), nn.Conv2d(16, 8, 1),
        nn.Conv2d(8, 16, 1, bias=False), nn.Conv2d(16, 16, 1, groups=4), nn.Conv2d(16, 1, 1),
        nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip


def train(net, optimizer, steps, training=MUON, first=0):
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        loss = net(torch.randn(6, 3, 4, 4, generator=generator)).square().mean()
        set_learning_rate(optimizer, step, 20, training)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def same(net, other):
    return all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_schedule_rises_to_its_peak_and_falls_to_zero():
    rates = [schedule(step, 100, Training(pct_start=0.4)) for step in range(100)]
    assert rates.index(max(rates)) == 39
    assert max(rates) == pytest.approx(1)
    assert rates[0] < 0.03
    assert rates[-1] < 0.02


@pytest.mark.parametrize("pct_start", (0.0, 0.3, 1.0))
def test_schedule_is_a_share_whatever_its_peak(pct_start):
    rates = [schedule(step, 10, Training(pct_start=pct_start)) for step in range(10)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == rates[max(0, round(10 * pct_start) - 1)]


@pytest.mark.parametrize("pct_start", (0.0, 0.3, 1.0))
def test_cosine_rises_as_the_triangle_does_and_falls_along_half_a_wave(pct_start):
    triangle, cosine = (
        [schedule(step, 100, Training(pct_start=pct_start, schedule=name)) for step in range(100)]
        for name in ("triangular", "cosine")
    )
    top = round(100 * pct_start)
    assert cosine[:top] == triangle[:top]
    falling, wave = torch.tensor(triangle[top:]), torch.tensor(cosine[top:])
    torch.testing.assert_close(wave, (1 - torch.cos(torch.pi * falling)) / 2)
    assert max(cosine) == pytest.approx(1)
    assert all(rate > 0 for rate in cosine)


@pytest.mark.parametrize("momentum", (0.0, 0.8))
def test_sgd_makes_the_steps_of_nesterov_momentum(momentum):
    """Against the two lines of Sutskever et al. 2013 as torch writes them, in float64, with decay on weights alone."""
    training = Training(optimizer="sgd", learning_rate=0.05, momentum=momentum, weight_decay=0.01)
    net, other = network().double(), network().double()
    optimizer = make_optimizer(net, training)
    buffers = [torch.zeros_like(p) for p in other.parameters()]
    for step in range(5):
        images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        set_learning_rate(optimizer, step, 20, training)
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()
        found = torch.autograd.grad(other(images).square().mean(), list(other.parameters()))
        with torch.no_grad():
            for p, gradient, buffer in zip(other.parameters(), found, buffers, strict=True):
                gradient = gradient + (0.01 * p if p.ndim > 1 else 0)
                buffer.mul_(momentum).add_(gradient)
                p.sub_(0.05 * schedule(step, 20, training) * (gradient + momentum * buffer))
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-12, rtol=1e-9)


def test_sgd_is_fused():
    optimizer = make_optimizer(network(), Training(optimizer="sgd"))
    assert all(group["fused"] for group in optimizer.param_groups)


def test_muon_takes_the_momentum_of_its_recipe():
    nets = [network() for _ in range(3)]
    for net, momentum in zip(nets, (0.9, 0.9, 0.5), strict=True):
        training = replace(MUON, momentum=momentum)
        train(net, make_optimizer(net, training), 3, training)
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_muon_updates_the_one_by_one_convolutions_and_adamw_the_rest():
    net = network()
    optimizer = make_optimizer(net, MUON)
    matrices, weights, others = ([tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups)
    # Neither a grouped convolution nor a single row is a matrix over all channels.
    assert matrices == [(16, 8, 1, 1), (8, 16, 1, 1), (16, 8, 1, 1)]
    assert weights == [(8, 3, 3, 3), (16, 4, 1, 1), (1, 16, 1, 1), (4, 16)]
    assert all(len(shape) == 1 for shape in others)
    assert [group.get("weight_decay") for group in optimizer.param_groups] == [None, 0.05, 0.0]
    set_learning_rate(optimizer, 5, 20, MUON)
    peak = schedule(5, 20, MUON)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1 * peak, 0.01 * peak, 0.01 * peak]


def test_muon_leaves_what_is_not_its_own_to_torch_adamw():
    """With the matrices frozen, the same steps as torch.optim.AdamW, bit for bit."""
    nets = network(), network()
    trainings = MUON, replace(MUON, optimizer="adamw", learning_rate=MUON.adamw_lr)
    for net, training in zip(nets, trainings, strict=True):
        optimizer = make_optimizer(net, training)
        for conv in (net[2], net[3], net[4]):
            conv.weight.requires_grad_(False)
        train(net, optimizer, 5, training)
    assert same(*nets)


def test_muon_steps_have_equal_length_in_all_directions():
    net = network()
    weight, optimizer = net[2].weight, make_optimizer(net, MUON)
    before = weight.detach().clone()
    left, right = (torch.linalg.qr(torch.randn(size, 8))[0] for size in (16, 8))
    weight.grad = (left * torch.linspace(0.3, 2, 8) @ right.mT).view_as(weight)
    optimizer.step()
    step = (before - weight.detach()).flatten(1)
    # The longer side is the outputs', twice as many as the inputs.
    assert torch.linalg.svdvals(step).div(0.1 * 2**0.5).sub(0.95).abs().max() < 0.35


@pytest.mark.parametrize("shape", ((3, 12, 5), (3, 5, 12), (1, 6, 6)))
def test_orthogonal_keeps_singular_vectors_and_levels_their_values(shape):
    left, _ = torch.linalg.qr(torch.randn(shape[0], shape[1], min(shape[1:])))
    right, _ = torch.linalg.qr(torch.randn(shape[0], shape[2], min(shape[1:])))
    values = torch.linspace(0.2, 3, min(shape[1:]))
    found = orthogonal(left * values @ right.mT, 5)
    levelled = left.mT @ found @ right
    assert torch.linalg.svdvals(found).sub(0.95).abs().max() < 0.35
    torch.testing.assert_close(levelled, torch.diag_embed(levelled.diagonal(dim1=1, dim2=2)), atol=1e-4, rtol=0)


def test_orthogonal_of_a_batch_is_that_of_each():
    matrices = torch.randn(4, 8, 3)
    each = torch.cat([orthogonal(matrix[None], 4) for matrix in matrices])
    torch.testing.assert_close(orthogonal(matrices, 4), each)


def test_orthogonal_of_nothing_is_nothing():
    assert torch.equal(orthogonal(torch.zeros(1, 4, 3), 4), torch.zeros(1, 4, 3))


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
@pytest.mark.parametrize("optimizer", ("muon", "adamw", "sgd"))
def test_training_from_a_checkpoint_goes_on_bit_for_bit(optimizer, layout):
    training = replace(MUON, optimizer=optimizer)
    whole = network().to(memory_format=layout)
    of_whole = make_optimizer(whole, training)
    train(whole, of_whole, 4, training)
    content = to_bytes(whole, of_whole, {"identity": "a", "curve": []})
    train(whole, of_whole, 3, training, first=4)

    resumed = copy.deepcopy(network()).to(memory_format=layout)
    of_resumed = make_optimizer(resumed, training)
    from_bytes(content, resumed, of_resumed, {"identity": "a", "curve": []}, torch.device("cpu"))
    train(resumed, of_resumed, 3, training, first=4)
    assert same(whole, resumed)
    assert set(of_resumed.state_dict()) == {"state", "param_groups"}


def test_muon_skips_parameters_without_a_gradient_and_evaluates_a_closure():
    net = network()
    optimizer = make_optimizer(net, MUON)
    assert isinstance(optimizer, Muon)
    before = copy.deepcopy(net)
    assert optimizer.step(lambda: 7) == 7
    assert same(net, before)


def test_muon_takes_a_network_without_matrices():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    train(net, make_optimizer(net, MUON), 2)


@pytest.mark.parametrize("name", ["cpu"] + ["cuda"] * torch.cuda.is_available())
def test_muon_runs_and_resumes_on_a_device(name):
    device = torch.device(name)
    net = network().to(device)
    optimizer = make_optimizer(net, MUON)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.ones(6, 3, 4, 4, device=device)).square().mean().backward()
        optimizer.step()
    again = network().to(device)
    of_again = make_optimizer(again, MUON)
    from_bytes(to_bytes(net, optimizer, {"identity": "a"}), again, of_again, {"identity": "a"}, device)
    assert same(net, again)
    places = {value.device.type for state in of_again.state.values() for value in state.values()}
    assert places == {name}
