# SPDX-License-Identifier: MIT
"""The Free Spoken Digit Dataset end to end: searched, trained, and tried on another speaker.

PYDARTS_FSDD names an .npz file of it, with ``audio`` (N, L) int16 at 8 kHz,
``label`` and ``speaker``; without that variable these tests are skipped.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pydarts
from pydarts.spaces import DARTS_1D

FILE = os.environ.get("PYDARTS_FSDD")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FILE is None, reason="PYDARTS_FSDD names no file"),
]

Data = tuple[NDArray[np.int16], NDArray[np.int64], NDArray[Any]]


@pytest.fixture(scope="module")
def digits() -> Data:
    """Every other recording: audio, label, speaker."""
    assert FILE is not None
    with np.load(FILE) as found:
        return found["audio"][::2], found["label"][::2], found["speaker"][::2]


def test_spectrograms_as_signals_on_another_speaker(digits: Data) -> None:
    audio, label, speaker = digits
    test = speaker == "theo"
    made = pydarts.Preprocessing(
        "log_mel", rate=8000, length=6000, n_mels=24, hop=0.02, top_db=35, standardize=True
    )
    result = pydarts.search(
        audio[~test],
        label[~test],
        space=DARTS_1D,
        groups=speaker[~test],
        preprocessing=made,
        **{"order": 1, "epochs": 2, "max_images": 400, "progress": False},
    )
    model = pydarts.train(
        result.genotype,
        audio[~test],
        label[~test],
        preprocessing=made,
        **{"channels": 12, "cells": 3, "epochs": 12, "crop_padding": 4, "progress": False},
    )
    assert model.genotype.space == DARTS_1D
    assert model.score(audio[test], label[test]) > 0.6  # of ten digits


def test_waveforms_go_in_as_they_are(digits: Data) -> None:
    audio, label, speaker = digits
    options: dict[str, Any] = {"order": 1, "epochs": 1, "max_images": 160, "progress": False}
    result = pydarts.search(audio, label, space="darts-1d", groups=speaker, **options)
    assert result.config.stem == "imagenet"  # of signals from 1,024 samples on
    assert result.genotype.space == DARTS_1D
    assert np.isfinite(result.history[-1]["valid_loss"])
