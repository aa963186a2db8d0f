import io
import json
import zipfile

import pytest
import torch
from torch import nn

from elastic_search.recipes import Training
from elastic_search.train import checkpoint
from elastic_search.train.checkpoint import STATE_FILE, DamagedError, from_bytes, snapshot, to_bytes
from elastic_search.train.ema import Average
from elastic_search.train.optim import make_optimizer, set_learning_rate

STATE = {"identity": "one", "curve": [1 / 3], "loss": 0.1, "seconds": 2.5}
CPU = torch.device("cpu")


def network(value=0.5):
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 4, 1), nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(value)
    return net.to(memory_format=torch.channels_last)


def stepped(net, training):
    optimizer = make_optimizer(net, training)
    net(torch.randn(3, 3, 4, 4)).square().sum().backward()
    optimizer.step()
    return optimizer


def test_snapshot_is_of_its_moment_whatever_comes_before_it_is_written():
    net = network()
    optimizer = stepped(net, Training())
    expected = {key: value.clone() for key, value in net.state_dict().items()}
    moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
    taken = snapshot(net, optimizer)
    with torch.no_grad():
        for value in net.state_dict().values():
            value.zero_()
        for state in optimizer.state.values():
            state["exp_avg"].zero_()
    content = taken.to_bytes(STATE)
    other = network()
    of_other = make_optimizer(other, Training())
    assert from_bytes(content, other, of_other, {**STATE, "curve": []}, CPU) == STATE
    assert all(torch.equal(value, expected[key]) for key, value in other.state_dict().items())
    assert all(torch.equal(s["exp_avg"], m) for s, m in zip(of_other.state.values(), moments, strict=True))


def test_restored_state_lies_in_memory_as_the_weights_do():
    """A fused optimiser goes through both in the order of memory."""
    net = network()
    content = to_bytes(net, stepped(net, Training()), STATE)
    other = network()
    optimizer = make_optimizer(other, Training())
    from_bytes(content, other, optimizer, STATE, CPU)
    for p, state in optimizer.state.items():
        assert state["exp_avg"].stride() == p.stride()
        assert state["exp_avg"].data_ptr() % 64 == 0


def test_learning_rate_may_be_a_number_or_on_the_device():
    """As on a CPU and on a GPU; a checkpoint of one is read on the other."""
    nets = network(), network()
    optimizers = [make_optimizer(net, Training()) for net in nets]
    for group in optimizers[1].param_groups:
        group["lr"] = torch.tensor(group["lr"])
    for step in range(3):
        for net, optimizer in zip(nets, optimizers, strict=True):
            set_learning_rate(optimizer, step, 10, Training())
            net.zero_grad()
            net(torch.ones(3, 3, 4, 4)).square().sum().backward()
            optimizer.step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)
    content, number = to_bytes(nets[1], optimizers[1], STATE), make_optimizer(network(), Training())
    from_bytes(content, network(), number, STATE, CPU)
    assert all(isinstance(group["lr"], float) for group in number.param_groups)


def test_muon_takes_its_learning_rate_from_the_device():
    nets = network(0.1), network(0.1)
    training = Training(optimizer="muon", learning_rate=0.1)
    for number, net in enumerate(nets):
        torch.manual_seed(0)
        optimizer = make_optimizer(net, training)
        for group in optimizer.param_groups if number else ():
            group["lr"] = torch.tensor(group["lr"])
        set_learning_rate(optimizer, 2, 10, training)
        net(torch.randn(3, 3, 4, 4)).square().sum().backward()
        optimizer.step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_checkpoint_of_an_earlier_version_is_read():
    net = network()
    optimizer = stepped(net, Training())
    content = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **STATE}, content)
    other = network(0.1)
    found = from_bytes(content.getvalue(), other, make_optimizer(other, Training()), {**STATE, "curve": []}, CPU)
    assert found == STATE
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    another = {**STATE, "identity": "two", "curve": []}
    assert from_bytes(content.getvalue(), other, make_optimizer(other, Training()), another, CPU) is another


def test_checkpoint_without_the_average_of_its_recipe_is_damaged():
    net = network()
    content = to_bytes(net, stepped(net, Training()), STATE)
    with pytest.raises(DamagedError):
        from_bytes(content, net, make_optimizer(net, Training()), STATE, CPU, Average(net, 0.9))


def test_state_is_plain_json_beside_the_tensors():
    net = network()
    with zipfile.ZipFile(io.BytesIO(to_bytes(net, stepped(net, Training()), STATE))) as file:
        assert json.loads(file.read(STATE_FILE)) == STATE


def test_what_comes_from_a_gpu_is_written_in_a_thread_once_it_has_arrived(monkeypatch):
    events = []

    class Event:
        def record(self, stream):
            events.append(f"recorded on {stream}")

        def synchronize(self):
            events.append("arrived")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the stream")
    kept = {"net": {"weight": torch.arange(5.0)}}
    content = checkpoint._in_thread(kept, CPU).result()
    assert events == ["recorded on the stream", "arrived"]
    content.seek(0)
    assert torch.equal(torch.load(content, weights_only=True)["net"]["weight"], kept["net"]["weight"])


def test_gathered_tensors_are_copies_that_lie_in_memory_as_they_did():
    net = network()
    kept = {"weights": dict(net.state_dict()), "more": [torch.arange(3), torch.arange(12.0).view(3, 4).T, 7, "text"]}
    found = checkpoint._gathered(kept, CPU)
    pairs = [(found["weights"][key], value) for key, value in kept["weights"].items()]
    pairs += list(zip(found["more"][:2], kept["more"][:2], strict=True))
    for copy, value in pairs:
        assert torch.equal(copy, value)
        assert copy.stride() == value.stride()
        assert copy.data_ptr() != value.data_ptr()
        assert copy.storage_offset() % checkpoint.ALIGNED == 0
    assert found["more"][2:] == [7, "text"]
    assert len({copy.untyped_storage().data_ptr() for copy, _ in pairs}) == 2  # of floats and of integers
