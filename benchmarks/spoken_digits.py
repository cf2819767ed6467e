# SPDX-License-Identifier: MIT
"""Spoken digits of a speaker who was held out: ``python -m benchmarks.spoken_digits FILE.npz``.

FILE holds ``audio`` (N, L) int16 at 8 kHz, ``label`` and ``speaker`` of the Free Spoken Digit
Dataset.
Each speaker in turn is left out of search and training, and tested on.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import pydarts


def main() -> None:
    """Search, train and test for each speaker, and print a row each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spoken_digits")
    parser.add_argument("file", metavar="FILE.npz")
    path = parser.parse_args().file
    with np.load(path) as found:
        audio, label, speaker = found["audio"], found["label"], found["speaker"]
    made = pydarts.Preprocessing(
        "log_mel", rate=8000, length=6000, n_mels=24, hop=0.02, top_db=35, standardize=True
    )
    scores = []
    for name in np.unique(speaker):
        test, start = speaker == name, time.perf_counter()
        result = pydarts.search(
            audio[~test],
            label[~test],
            space="darts-1d",
            groups=speaker[~test],
            preprocessing=made,
            progress=False,
        )
        model = pydarts.train(
            result.genotype,
            audio[~test],
            label[~test],
            preprocessing=made,
            channels=12,
            cells=3,
            epochs=20,
            crop_padding=4,
            progress=False,
        )
        scores.append(model.score(audio[test], label[test]))
        print(f"{name:10} {scores[-1]:6.1%} in {time.perf_counter() - start:3.0f} s", flush=True)
    print(f"{'mean':10} {np.mean(scores):6.1%}")


if __name__ == "__main__":
    main()
