from types import SimpleNamespace

import numpy as np
import pytest
import torch

from elastic_search.data.dataset import Examples
from elastic_search.train import batches as module
from elastic_search.train.batches import Resident, Room, Streamed, free_memory

CPU = torch.device("cpu")


def examples(count=50, edge=6):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, edge, edge), generator=generator, dtype=torch.uint8)
    return Examples(images, torch.arange(count))


def epoch(batches, seed, number, steps):
    batches.begin(seed, number)
    # A batch is used before the next one is asked for.
    read = (batches.read(*batches.inputs(step)) for step in range(steps))
    return [[None if value is None else value.clone() for value in batch] for batch in read]


def same(one, other):
    return all(
        (a is None and b is None) or torch.equal(a, b)
        for batch, of in zip(one, other, strict=True)
        for a, b in zip(batch, of, strict=True)
    )


@pytest.mark.parametrize("shift", (0, 2))
def test_batches_are_the_same_from_the_device_and_from_the_map(tmp_path, shift):
    of = examples()
    file = np.memmap(tmp_path / "images", np.uint8, "w+", shape=tuple(of.images.shape))
    file[:] = of.images.numpy()
    mapped = Examples(torch.from_numpy(file), of.labels)
    resident, streamed = Resident(of, 8, shift), Streamed(mapped, 8, shift, CPU)
    for number in range(3):
        found = epoch(resident, 1, number, 6)
        assert same(found, epoch(streamed, 1, number, 6))
    assert all(torch.equal(of.images[batch[1]], batch[0]) for batch in found)
    assert len({int(label) for batch in found for label in batch[1]}) == 48


def test_epoch_that_is_left_early_does_not_disturb_the_next():
    resident, streamed = Resident(examples(), 5, 1), Streamed(examples(), 5, 1, CPU)
    for steps in (1, 3, 1, 10):
        assert same(epoch(resident, 0, steps, steps), epoch(streamed, 0, steps, steps))


def test_a_few_batches_are_read_ahead_and_no_more(monkeypatch):
    read = []
    fill = Streamed._fill

    def noted(self, step):
        read.append(step)
        return fill(self, step)

    monkeypatch.setattr(Streamed, "_fill", noted)
    streamed = Streamed(examples(), 5, 0, CPU)
    streamed.begin(0, 0)
    streamed.inputs(0)
    streamed._reader.shutdown()
    assert read == [0, 1, 2]


def test_set_stays_in_its_map_if_it_needs_more_than_a_quarter_of_what_is_free():
    of, layout = examples(), torch.channels_last
    size = of.images.numel()
    for free, trainers, fits in (
        (4 * size, 1, True),
        (4 * size - 1, 1, False),
        (8 * size, 2, True),
        (8 * size, 3, False),
    ):
        placed, resident = Room(CPU, trainers, free).placed(of, layout)
        assert resident == fits
        assert placed.images.is_contiguous(memory_format=layout) == fits
        assert fits or placed.images is of.images


def test_sets_share_the_room():
    of = examples()
    room = Room(CPU, 1, 7 * of.images.numel())
    assert [room.placed(of, torch.contiguous_format)[1] for _ in range(2)] == [True, False]


def test_free_memory_is_the_device_s(monkeypatch):
    assert 2**20 < free_memory(CPU) < 2**50
    monkeypatch.setattr(module, "torch", SimpleNamespace(cuda=SimpleNamespace(mem_get_info=lambda device: (5, 9))))
    assert free_memory(torch.device("cuda", 0)) == 5
