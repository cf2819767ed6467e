# SPDX-License-Identifier: MIT
"""Log-mel spectrograms beside a plain transform and filter bank."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pydarts
from pydarts.data import log_mel

RNG = np.random.default_rng(0)


def mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def plain(
    sound: list[float],
    rate: float,
    n_mels: int,
    size: int,
    step: int,
    f_min: float,
    f_max: float,
    frames: int,
    floor: float = 1e-6,
) -> np.ndarray:
    """The spectrogram of one sound, sum by sum."""
    bins = 1
    while bins < size:
        bins *= 2
    out = np.empty((n_mels, frames))
    between = (mel(f_max) - mel(f_min)) / (n_mels + 1)
    for t in range(frames):
        power = []
        for k in range(bins // 2 + 1):
            total = 0j
            for n in range(size):
                at = t * step + n
                x = sound[at] if at < len(sound) else 0.0
                hann = (1 - math.cos(2 * math.pi * n / size)) / 2
                total += hann * x * cmath.exp(-2j * math.pi * k * n / bins)
            power.append(abs(total) ** 2)
        for j in range(n_mels):
            left = mel(f_min) + j * between
            energy = 0.0
            for k, p in enumerate(power):
                up = (mel(k * rate / bins) - left) / between
                energy += p * max(0.0, min(up, 2 - up))
            out[j, t] = math.log(max(energy, floor))
    return out


@given(
    st.integers(20, 40), st.integers(3, 30), st.integers(1, 4), st.integers(0, 60),
    st.sampled_from([0.0, 300.0]), st.sampled_from([4000.0, 3100.0]), st.integers(0, 2**32),
)  # fmt: skip
@example(32, 10, 2, 20, 0.0, 4000.0, 0)  # a power of two is not filled up
def test_as_a_plain_transform_and_filter_bank(
    size: int, step: int, n_mels: int, more: int, f_min: float, f_max: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    audio = rng.normal(0, 0.2, (2, size + more))
    frames = 1 + more // step
    found = log_mel(
        audio, 8000, n_mels=n_mels, window=size / 8000, hop=step / 8000, f_min=f_min, f_max=f_max
    )
    assert found.shape == (2, n_mels, frames)
    assert found.dtype == np.float32
    for sound, spectrogram in zip(audio, found, strict=True):
        expected = plain(sound.tolist(), 8000, n_mels, size, step, f_min, f_max, frames)
        np.testing.assert_allclose(spectrogram, expected, rtol=1e-6, atol=1e-5)


def test_defaults_of_a_second_of_speech() -> None:
    sound = RNG.normal(0, 0.1, (1, 8000)).astype(np.float32)
    found = log_mel(sound, 8000)
    assert found.shape == (1, 40, 98)
    some = plain(sound[0, 4000:4200].tolist(), 8000, 40, 200, 80, 0, 4000, 1)
    np.testing.assert_allclose(found[0, :, 50:51], some, rtol=1e-6, atol=1e-5)


def test_a_tone_is_where_its_pitch_is() -> None:
    t = np.arange(4000) / 8000
    sounds = np.stack([np.sin(2 * np.pi * f * t) for f in (400, 1000, 3000)])
    loudest = log_mel(sounds, 8000).mean(axis=2).argmax(axis=1)
    between = mel(4000) / 41
    for filter_, hertz in zip(loudest, (400, 1000, 3000), strict=True):
        assert abs((filter_ + 1) * between - mel(hertz)) <= between


def test_int16_is_float_over_32768() -> None:
    audio = RNG.integers(-(2**15), 2**15, (3, 900)).astype(np.int16)
    expected = log_mel(audio / 32768, 8000)
    np.testing.assert_array_equal(log_mel(audio, 8000), expected)


def test_silence_is_the_floor() -> None:
    assert (log_mel(np.zeros((1, 800)), 8000) == np.float32(math.log(1e-6))).all()
    assert (log_mel(np.zeros((1, 800)), 8000, floor=0.5) == np.float32(math.log(0.5))).all()


def test_what_is_past_the_length_counts_as_zero() -> None:
    audio = RNG.normal(0, 0.1, (3, 1000))
    lengths = [1000, 500, 0]
    silent = audio.copy()
    silent[1, 500:] = silent[2] = 0
    np.testing.assert_array_equal(log_mel(audio, 8000, lengths=lengths), log_mel(silent, 8000))
    assert not np.array_equal(log_mel(audio, 8000), log_mel(silent, 8000))


def test_frames_are_cut_or_filled_with_zeros() -> None:
    audio = RNG.normal(0, 0.1, (2, 1000))
    longer = np.pad(audio, ((0, 0), (0, 700)))
    whole = log_mel(longer, 8000)
    for frames in (1, 5, 11, 13, 19):
        np.testing.assert_array_equal(log_mel(audio, 8000, frames=frames), whole[:, :, :frames])
    short = log_mel(audio[:, :50], 8000, frames=2)
    np.testing.assert_array_equal(short, log_mel(longer * (np.arange(1700) < 50), 8000, frames=2))


def test_a_sound_does_not_depend_on_others_nor_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = RNG.normal(0, 0.1, (4, 3000))
    together = log_mel(audio, 8000)
    np.testing.assert_array_equal(together[2:3], log_mel(audio[2:3], 8000))
    monkeypatch.setattr("pydarts.data.spectrogram._FRAMES", 7)
    np.testing.assert_allclose(together, log_mel(audio, 8000), rtol=0, atol=1e-5)


def test_it_is_public() -> None:
    assert pydarts.data.log_mel is log_mel


@pytest.mark.parametrize(
    ("audio", "options", "message"),
    [
        (np.zeros(800), {}, r"`audio` has shape \(800,\)"),
        (np.zeros((2, 0)), {}, r"`audio` has shape \(2, 0\)"),
        (np.zeros((0, 800)), {}, r"`audio` has shape \(0, 800\)"),
        (np.zeros((2, 199)), {}, r"`audio` has shape \(2, 199\), but .* takes 200 samples"),
        (np.full((2, 800), np.inf), {}, "`audio` holds NaN or infinite"),
        (np.zeros((2, 800), np.int32), {}, "`audio` has dtype int32"),
        ([[0.0, 1.0], [0.0]], {}, "`audio` is not one array"),
        (None, {"rate": 0}, r"`rate` \(=0\)"),
        (None, {"rate": "8000"}, "`rate`"),
        (None, {"window": 1e-4}, r"`window` \(=0.0001\) is 0.8 samples"),
        (None, {"hop": 1e-5}, r"`hop` \(=1e-05\) is 0.08 samples"),
        (None, {"window": 1e9}, r"`window` \(=1000000000.0\) is"),
        (None, {"window": 4.1}, r"`window` \(=4.1\) is 3.28e\+04 samples, .* 2 to 32,768"),
        (None, {"n_mels": 513}, r"`n_mels` \(=513\)"),
        (None, {"floor": 0}, r"`floor` \(=0\)"),
        (None, {"n_mels": 0}, r"`n_mels` \(=0\)"),
        (None, {"n_mels": 100}, r"`n_mels` \(=100\) is too many: filter 0 .* 31.25 Hz"),
        (None, {"f_max": 4001}, r"`f_max` \(=4001\) must be at most half of `rate` \(=8000\)"),
        (None, {"f_min": 4000}, r"`f_min` \(=4000\) must be less than 4000 Hz"),
        (None, {"f_min": -1}, r"`f_min` \(=-1\)"),
        (None, {"frames": 0}, r"`frames` \(=0\)"),
        (None, {"lengths": [1]}, r"`lengths` has shape \(1,\), but must be \(2,\)"),
        (None, {"lengths": [1, 801]}, r"`lengths` holds 801 at index 1"),
        (None, {"lengths": [-1, 8]}, r"`lengths` holds -1 at index 0"),
        (None, {"lengths": [1.0, 8.0]}, "`lengths` has dtype float64"),
    ],
)
def test_unusable_arguments(audio: Any, options: dict[str, Any], message: str) -> None:
    given = np.zeros((2, 800)) if audio is None else audio
    with pytest.raises(ValueError, match=message):
        log_mel(given, **{"rate": 8000, **options})


def test_top_db_and_standardised_values() -> None:
    rng = np.random.default_rng(0)
    audio = np.stack([rng.normal(size=2000) * np.linspace(0, 1, 2000) ** 4, np.zeros(2000)])
    plain = log_mel(audio, 8000, n_mels=8).astype(np.float64)
    cut = log_mel(audio, 8000, n_mels=8, top_db=20)
    for found, whole in zip(cut, plain, strict=True):
        np.testing.assert_allclose(
            found, np.maximum(whole, whole.max() - 2 * np.log(10)), rtol=1e-6
        )
    assert cut[0].min() > plain[0].min()
    standard = log_mel(audio, 8000, n_mels=8, standardize=True)
    expected = (plain[0] - plain[0].mean()) / plain[0].std()
    np.testing.assert_allclose(standard[0], expected, atol=1e-5)
    assert not standard[1].any()  # of silence
    louder = log_mel(100 * audio[:1], 8000, n_mels=8, top_db=20, standardize=True)
    both = log_mel(audio[:1], 8000, n_mels=8, top_db=20, standardize=True)
    np.testing.assert_allclose(louder, both, atol=1e-5)
    with pytest.raises(ValueError, match=r"`top_db` \(=0\)"):
        log_mel(audio, 8000, top_db=0)
