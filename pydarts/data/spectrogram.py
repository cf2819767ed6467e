# SPDX-License-Identifier: MIT
"""Logarithmic mel spectrograms of sounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import integer, number
from pydarts.common.errors import ArgumentError, ArgumentTypeError

_FRAMES = 1024  # that are transformed at a time, which bounds the memory
_MAX_SAMPLES = 1 << 15  # of a frame, and
_MAX_MELS = 512  # of filters: what a saved model asks for is bounded, too


def log_mel(
    audio: ArrayLike,
    rate: float,
    *,
    n_mels: int = 40,
    window: float = 0.025,
    hop: float = 0.010,
    f_min: float = 0.0,
    f_max: float | None = None,
    floor: float = 1e-6,
    top_db: float | None = None,
    standardize: bool = False,
    lengths: ArrayLike | None = None,
    frames: int | None = None,
) -> NDArray[np.float32]:
    """Return the logarithmic mel spectrograms of sounds.

    Frame t is the W samples from tH on, W = round(window · rate), H = round(hop · rate). With the
    Hann window h_n = (1 - cos(2πn/W)) / 2, and F the first power of two that is not below W::

        P_t(k) = |Σ_n h_n x_(tH+n) exp(-2πi kn/F)|²,  k = 0 … F/2
        S(j, t) = log(max(Σ_k w_j(k) P_t(k), floor))

    The weights w_j are triangles on HTK's mel scale, m(f) = 2595 log10(1 + f/700): with n_mels + 2
    points m_0 … equally far from each other from m(f_min) to m(f_max), and m = m(k · rate / F)::

        w_j(k) = max(0, min((m - m_j) / (m_(j+1) - m_j), (m_(j+2) - m) / (m_(j+2) - m_(j+1))))

    What two speakers and two microphones differ in is partly taken out by `top_db`, which raises
    S to ``max_jt S(j, t) - top_db log(10) / 10``, and then by `standardize`, which makes of each
    spectrogram ``(S - mean) / standard deviation``, of a constant one zeros.

    Parameters
    ----------
    audio : array-like, shape (N, L)
        float, full scale being ±1, or int16, which is divided by 32768.
    rate : float
        Samples a second.
    n_mels : int
        Number of filters, at most 512.
    window, hop : float
        Length of a frame, and from one to the next, in seconds. Speech hardly changes in 25 ms.
        A frame has at most 32,768 samples.
    f_min, f_max : float, optional
        The first filter begins at the one, the last ends at the other; in Hz, by default 0 and
        rate/2.
    floor : float
        What a filter gives at least. The default is little more than the rounding of 16-bit sound
        gives, so that silence is not much further from speech than it sounds.
    top_db : float, optional
        Decibels below its loudest value at which each spectrogram ends; by default nowhere.
    standardize : bool, optional
        Whether each spectrogram is brought to mean 0 and standard deviation 1.
    lengths : array-like of int, shape (N,), optional
        Samples from there on count as zero.
    frames : int, optional
        Number of frames, by default as many as are wholly in the L samples. More are frames of the
        sound followed by zeros; what is beyond fewer is left out.

    Returns
    -------
    ndarray of float32, shape (N, n_mels, frames)
        In nats, unless standardised. A spectrogram does not depend on the sounds beside it.

    Raises
    ------
    ValueError
        If `audio` has another shape, is empty, not finite or shorter than a frame; if an option is
        out of bounds, or so many filters are asked for that one lies between two frequencies.
    TypeError
        If `audio` is neither float nor int16, or an option is no number.

    References
    ----------
    Davis, Mermelstein, *Comparison of parametric representations for monosyllabic word recognition
    in continuously spoken sentences*, IEEE Transactions on Acoustics, Speech, and Signal Processing
    28 (1980). Young et al., *The HTK Book*, section 5.4 (filter banks).
    """
    sounds = _sounds(audio)
    count, length = sounds.shape
    rate = number("rate", rate, positive=True)
    size = _samples("window", window, rate, 2, _MAX_SAMPLES)
    step = _samples("hop", hop, rate, 1, 1 << 24)
    floor = number("floor", floor, positive=True)
    span = None if top_db is None else number("top_db", top_db, positive=True) * np.log(10) / 10
    if frames is not None:
        frames = integer("frames", frames, 1)
    elif length < size:
        problem = f"has shape {sounds.shape}, but a frame of `window` (={window}) takes {size}"
        raise ArgumentError("audio", f"{problem} samples")
    else:
        frames = 1 + (length - size) // step
    ends = _ends(lengths, count, length)
    bins = 1 << (size - 1).bit_length()
    filters = mel_filters(n_mels, bins, rate, f_min, f_max)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    needed = (frames - 1) * step + size
    out = np.empty((count, len(filters), frames), np.float32)
    for sound, end, result in zip(sounds, ends.tolist(), out, strict=True):
        x = np.zeros(needed)
        used = min(end, needed)
        x[:used] = sound[:used]
        if sounds.dtype == np.int16:
            x /= 32768
        windows = sliding_window_view(x, size)[::step]
        for start in range(0, frames, _FRAMES):
            spectrum = np.fft.rfft(windows[start : start + _FRAMES] * hann, bins)
            power = spectrum.real**2 + spectrum.imag**2
            mel = np.maximum(power @ filters.T, floor)
            result[:, start : start + _FRAMES] = np.log(mel).T
        if span is not None:
            np.maximum(result, result.max() - span, out=result)
        if standardize:
            _standardize(result)
    return out


def _standardize(spectrogram: NDArray[np.float32]) -> None:
    values = spectrogram.astype(np.float64)
    deviation = values.std()
    spectrogram[:] = (values - values.mean()) / (deviation if deviation > 0 else 1)


def _sounds(audio: ArrayLike) -> NDArray[Any]:
    try:
        sounds = np.asarray(audio)
    except ValueError as error:  # numpy's own message speaks of "inhomogeneous" sequences
        raise ArgumentError("audio", "is not one array: all must have the same length") from error
    if sounds.dtype.kind != "f" and sounds.dtype != np.int16:
        raise ArgumentTypeError("audio", f"has dtype {sounds.dtype}, but must be float or int16")
    if sounds.ndim != 2 or sounds.size == 0:
        problem = f"has shape {sounds.shape}, but must be (N, L) and hold something"
        raise ArgumentError("audio", problem)
    if not np.isfinite(sounds).all():
        raise ArgumentError("audio", "holds NaN or infinite samples")
    return sounds


def _samples(name: str, seconds: float, rate: float, minimum: int, maximum: int) -> int:
    samples = min(number(name, seconds, positive=True) * rate, 1e15)
    if not minimum <= round(samples) <= maximum:
        problem = f"(={seconds}) is {samples:,.4g} samples, but must be {minimum} to {maximum:,}"
        raise ArgumentError(name, problem)
    return round(samples)


def _ends(lengths: ArrayLike | None, count: int, length: int) -> NDArray[np.int64]:
    if lengths is None:
        return np.full(count, length)
    ends = np.asarray(lengths)
    if ends.dtype.kind not in "iu":
        raise ArgumentTypeError("lengths", f"has dtype {ends.dtype}, but must be integers")
    if ends.shape != (count,):
        raise ArgumentError("lengths", f"has shape {ends.shape}, but must be ({count},)")
    if ends.min() < 0 or ends.max() > length:
        wrong = int(np.flatnonzero((ends < 0) | (ends > length))[0])
        problem = f"holds {ends[wrong]} at index {wrong}, but `audio` has {length} samples"
        raise ArgumentError("lengths", problem)
    return ends.astype(np.int64)


def mel_filters(
    n_mels: int, bins: int, rate: float, f_min: float, f_max: float | None
) -> NDArray[np.float64]:
    """The weights w_j(k), (n_mels, bins/2 + 1)."""
    n_mels = integer("n_mels", n_mels, 1, _MAX_MELS + 1)
    high = rate / 2 if f_max is None else number("f_max", f_max, positive=True)
    if high > rate / 2:
        raise ArgumentError("f_max", f"(={f_max}) must be at most half of `rate` (={rate:g})")
    low = number("f_min", f_min)
    if low >= high:
        raise ArgumentError("f_min", f"(={f_min}) must be less than {high:g} Hz")
    mel = _mel(np.arange(bins // 2 + 1, dtype=np.float64) * (rate / bins))
    first, last = _mel(np.array([low, high])).tolist()
    points = np.linspace(first, last, n_mels + 2)[:, np.newaxis]
    width = np.diff(points, axis=0)
    rising, falling = (mel - points[:-2]) / width[:-1], (points[2:] - mel) / width[1:]
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if empty.size:
        raise ArgumentError(
            "n_mels",
            f"(={n_mels}) is too many: filter {empty[0]} lies between two frequencies of the"
            f" transform, which are {rate / bins:.4g} Hz apart; a longer `window` has more",
        )
    return filters


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 2595 * np.log10(1 + hertz / 700)
    return mel
