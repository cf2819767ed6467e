# SPDX-License-Identifier: MIT
"""The one to run if only one is run: the engine is there, learns, and has the original's size."""

from __future__ import annotations

import numpy as np

import pydarts


def test_a_search_in_small() -> None:
    net = pydarts.Supernet(channels=4, cells=3, classes=2, in_channels=1, threads=1)
    rng = np.random.default_rng(0)
    y = np.arange(16) % 2
    x = rng.normal(size=(16, 1, 8, 8))
    x[y == 1, :, :4] += 1
    alphas = net.alphas
    step = pydarts.bilevel.BilevelStep(net, order=2)
    losses = [step(train=(x, y), valid=(x, y), lr=0.1).train_loss for _ in range(5)]
    assert losses[-1] < 0.5 * losses[0]
    assert not np.array_equal(net.alphas["normal"], alphas["normal"])
    genotype = net.genotype
    assert pydarts.Genotype.parse(str(genotype)) == genotype
    logits = pydarts.Network(genotype, 4, 3, classes=2, in_channels=1).logits(x, training=False)
    assert logits.shape == (16, 2)
    assert np.isfinite(logits).all()


def test_weight_count_of_the_original() -> None:
    assert pydarts.Supernet(channels=16, cells=8, classes=10, in_channels=3).num_weights == 1930618
