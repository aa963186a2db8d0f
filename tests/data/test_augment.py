import pytest
import torch
import torch.nn.functional as F

from elastic_search.data.augment import augmented, draw


def test_draws_depend_on_seed_and_epoch_alone():
    first, again, other, later = draw(1, 2, 50, 3), draw(1, 2, 50, 3), draw(2, 2, 50, 3), draw(1, 3, 50, 3)
    torch.manual_seed(7)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.order, other.order)
    assert not torch.equal(first.order, later.order)
    assert sorted(first.order.tolist()) == list(range(50))


def test_moves_change_neither_order_nor_flips_and_reach_both_ends():
    plain, moved = draw(0, 0, 400), draw(0, 0, 400, 2)
    assert plain.moves is None
    assert torch.equal(plain.order, moved.order)
    assert torch.equal(plain.flips, moved.flips)
    assert 100 < plain.flips.sum() < 300
    assert moved.moves.unique().tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
@pytest.mark.parametrize("shift", (0, 3))
def test_images_are_flipped_then_moved_with_their_reflection(layout, shift):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 3, 8, 8), generator=generator, dtype=torch.uint8)
    draws = draw(0, 0, 20, shift)
    found = augmented(images.contiguous(memory_format=layout), draws.flips, draws.moves)
    assert found.dtype is torch.uint8
    for i, image in enumerate(images):
        expected = image.flip(2) if draws.flips[i] else image
        if shift:
            down, right = draws.moves[i].tolist()
            padded = F.pad(expected[None].float(), (shift,) * 4, mode="reflect")[0].to(torch.uint8)
            expected = padded[:, shift - down : shift - down + 8, shift - right : shift - right + 8]
        assert torch.equal(found[i], expected)
