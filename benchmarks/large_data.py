# SPDX-License-Identifier: MIT
"""Memory of a search on images that are larger than it: ``python -m benchmarks.large_data``.

Writes a folder of X.npy and y.npy, of PNG files, or of .wav files, searches an epoch on all of it,
and prints the largest RssAnon of /proc/self/status: memory that is the process's own, not pages of
files.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import threading
import time
import wave
from pathlib import Path

import numpy as np

import pydarts

_CHUNK = 2048
_RATE = 16_000


class AnonymousMemory:
    """The largest RssAnon while a block runs, in bytes; looked at every 20 ms."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> AnonymousMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._look()

    def _look(self) -> None:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                self.peak = max(self.peak, 1024 * int(line.split()[1]))


def write_images(folder: Path, size: int, side: int) -> int:
    """Write X.npy of about so many bytes, and y.npy; return how many images they are."""
    count = size // (3 * side * side)
    rng = np.random.default_rng(0)
    shape = count, 3, side, side
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.uint8, shape)
    y = np.arange(count) % 10
    for start in range(0, count, _CHUNK):
        part = X[start : start + _CHUNK]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
        part += y[start : start + _CHUNK, np.newaxis, np.newaxis, np.newaxis].astype(np.uint8)
    X.flush()
    np.save(folder / "y.npy", y)
    return count


def write_files(folder: Path, size: int, side: int) -> int:
    """Write PNG files that make so many bytes when they are decoded; return how many they are."""
    pillow = importlib.import_module("PIL.Image")
    count = size // (3 * side * side)
    rng, block = np.random.default_rng(0), 8
    for index in range(count):
        label = folder / str(index % 10)
        label.mkdir(exist_ok=True)
        small = rng.integers(0, 256, (side // block, side // block, 3), dtype=np.uint8)
        pixels = small.repeat(block, axis=0).repeat(block, axis=1)
        pillow.fromarray(pixels).save(label / f"{index}.png", compress_level=1)
    return count


def write_sounds(folder: Path, size: int, seconds: float) -> int:
    """Write .wav files of so many bytes in all, noise of 16 kHz; return how many they are."""
    samples = round(_RATE * seconds)
    count = size // (2 * samples)
    rng = np.random.default_rng(0)
    for index in range(count):
        label = folder / str(index % 10)
        label.mkdir(exist_ok=True)
        pitch = np.sin(np.arange(samples) * (0.05 + 0.1 * (index % 10)))
        noisy = (8000 * pitch + rng.integers(-4000, 4000, samples)).astype("<i2")
        with wave.open(str(label / f"{index}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(_RATE)
            file.writeframes(noisy.tobytes())
    return count


def main() -> None:
    """Write, search and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_data")
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--side", type=int, default=64, help="pixels of a side")
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--files", action="store_true", help="PNG files in place of X.npy")
    parser.add_argument("--sounds", action="store_true", help=".wav files in place of X.npy")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a sound")
    parser.add_argument("--folder", type=Path, help="where the files go (default: of the system)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        size, space = int(args.gigabytes * 2**30), "darts"
        preprocessing = None
        if args.sounds:
            count = write_sounds(Path(name), size, args.seconds)
            space = "darts-1d"
            # Frames that do not overlap, so that a pass takes a quarter of the time.
            preprocessing = pydarts.Preprocessing(
                "log_mel", _RATE, window=0.04, hop=0.04, standardize=True
            )
        else:
            write = write_files if args.files else write_images
            count = write(Path(name), size, args.side)
        with AnonymousMemory() as memory:
            start = time.perf_counter()
            result = pydarts.search(
                name,
                preset="quick",
                channels=args.channels,
                cells=1,
                epochs=1,
                max_images=None,
                order=1,
                selector="magnitude",
                progress=False,
                space=space,
                preprocessing=preprocessing,
            )
            seconds = time.perf_counter() - start
    epochs = len(result.history)
    of = f"of {args.side}x{args.side} pixels, {args.gigabytes:g} GiB of uint8"
    if args.sounds:
        of = f"of {args.seconds:g} seconds, {args.gigabytes:g} GiB of int16"
    kind = ".wav files" if args.sounds else "PNG files" if args.files else "images"
    print(f"{count:,} {kind} {of}")
    print(f"{epochs} epoch in {seconds:.0f} s; RssAnon at most {memory.peak / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
