# SPDX-License-Identifier: MIT
"""Arrays, images, sounds, text, and what reads, splits and batches them."""

from pydarts.data.spectrogram import log_mel

__all__ = ["log_mel"]
