"""Which images an epoch's batches hold."""

from collections import Counter

import numpy as np
import pytest

from train.loader import EpochOrder, balanced


@pytest.mark.parametrize(
    ("count", "batch_size", "shuffled", "plain"),
    [
        (8, 4, [4, 4], [4, 4]),
        (9, 4, [4, 5], [4, 4, 1]),  # a single image can't be trained on, so it joins
        (10, 4, [4, 4, 2], [4, 4, 2]),
        (5, 4, [5], [4, 1]),
        (3, 4, [3], [3]),
        (1, 4, [1], [1]),
        (3, 1, [1, 1, 1], [1, 1, 1]),
    ],
)
def test_batch_sizes(count: int, batch_size: int, shuffled: list[int], plain: list[int]) -> None:
    for shuffle, sizes in ((True, shuffled), (False, plain)):
        order = EpochOrder(count, batch_size, 0, shuffle)
        batches = list(order.batches(0))
        assert [len(batch) for batch in batches] == sizes
        assert len(order) == len(sizes)
        assert sorted(index for batch in batches for _, index, _ in batch) == list(range(count))


@pytest.mark.parametrize(
    ("count", "batch_size", "hosts", "sizes"),
    [
        (16, 8, 2, [[4, 4], [4, 4]]),
        (19, 8, 2, [[4, 6], [4, 5]]),  # 3 more would leave one host a single image
        (20, 8, 2, [[4, 4, 2], [4, 4, 2]]),
        (9, 8, 3, [[3], [3], [3]]),
        (22, 7, 3, [[3, 3, 3], [2, 2, 3], [2, 2, 2]]),
    ],
)
def test_hosts_share_every_batch(count: int, batch_size: int, hosts: int, sizes: list[list[int]]) -> None:
    whole = list(EpochOrder(count, batch_size, 3, shuffle=True, share=(0, 1)).batches(0))
    orders = [EpochOrder(count, batch_size, 3, shuffle=True, share=(rank, hosts)) for rank in range(hosts)]
    shares = [list(order.batches(0)) for order in orders]
    assert [[len(batch) for batch in share] for share in shares] == sizes
    assert [len(order) for order in orders] == [len(share) for share in sizes]
    drawn = [key for share in shares for batch in share for key in batch]
    assert sorted(drawn) == sorted(key for batch in whole for key in batch)


def test_each_epoch_has_its_own_order() -> None:
    order = EpochOrder(20, 4, seed=1, shuffle=True)
    first, second, again = ([index for batch in order.batches(epoch) for _, index, _ in batch] for epoch in (0, 1, 0))
    assert again == first != second


def test_balanced_draws_take_every_class_equally_often() -> None:
    # Six, three and one image; 10 draws over 3 classes: 3 or 4 each.
    labels = np.array([0] * 6 + [1] * 3 + [2])
    drawn = balanced(labels, 10, np.random.default_rng(0))
    share = Counter(int(labels[index]) for index, _ in drawn)
    assert sorted(share.values()) == [3, 3, 4]
    assert len(set(drawn)) == 10  # an image that comes again has another repeat
    # Of the large class nobody comes twice; the only image of the small one comes as often as the class is drawn.
    assert {repeat for index, repeat in drawn if labels[index] == 0} == {0}
    assert sorted(repeat for index, repeat in drawn if index == 9) == list(range(share[2]))


def test_a_balanced_epoch_is_as_long_as_any_other_and_shuffled() -> None:
    order = EpochOrder(10, 4, seed=3, shuffle=True, balance=[0] * 8 + [1] * 2)
    keys = [key for batch in order.batches(2) for key in batch]
    assert [len(batch) for batch in order.batches(2)] == [4, 4, 2]
    assert {epoch for epoch, _, _ in keys} == {2}
    assert Counter(index >= 8 for _, index, _ in keys) == {False: 5, True: 5}
    assert [index >= 8 for _, index, _ in keys] != sorted(index >= 8 for _, index, _ in keys)
    assert keys == [key for batch in order.batches(2) for key in batch]
    assert keys != [(2, index, repeat) for batch in order.batches(3) for _, index, repeat in batch]
