# SPDX-License-Identifier: MIT
import itertools

import numpy as np
import pytest

from pydarts.data.batches import Batches, require_batch


def test_an_epoch_holds_full_batches_of_different_images():
    batches = Batches(11, 4, np.random.default_rng(0))
    for _ in range(3):
        epoch = list(batches.epoch())
        assert [len(batch) for batch in epoch] == [4, 4]
        assert len(set(np.concatenate(epoch).tolist())) == 8


def test_an_epoch_of_some_of_the_images_draws_them_anew():
    batches, rng = Batches(11, 4, np.random.default_rng(0), part=9), np.random.default_rng(0)
    for _ in range(3):
        order = rng.permutation(11)
        np.testing.assert_array_equal(np.concatenate(list(batches.epoch())), order[:8])


def test_epochs_have_the_orders_that_the_generator_draws():
    batches, rng = Batches(6, 3, np.random.default_rng(1)), np.random.default_rng(1)
    for _ in range(3):
        np.testing.assert_array_equal(np.concatenate(list(batches.epoch())), rng.permutation(6))


@pytest.mark.parametrize("done", range(8))
def test_resumed_batches_are_those_of_one_run(done):
    whole = Batches(10, 3, np.random.default_rng(2))
    expected = list(itertools.islice(whole.endless(), 12))
    rng = np.random.default_rng(2)
    first = Batches(10, 3, rng)
    list(itertools.islice(first.endless(), done))
    again = Batches(10, 3, rng)
    again.restore(first.state())
    found = list(itertools.islice(again.endless(), 12 - done))
    np.testing.assert_array_equal(found, expected[done:])


def test_too_few_images_for_a_batch():
    require_batch(4, 4, "`X`")
    with pytest.raises(ValueError, match=r"`batch_size` \(=5\) is larger than `X`: 4 images"):
        require_batch(4, 5, "`X`")
