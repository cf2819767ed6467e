# SPDX-License-Identifier: MIT
"""Arrays, images, sounds, text, and what reads, splits and batches them."""

from pydarts.data.datasets import Dataset
from pydarts.data.datasets import load as load_data
from pydarts.data.spectrogram import log_mel

__all__ = ["Dataset", "load_data", "log_mel"]
