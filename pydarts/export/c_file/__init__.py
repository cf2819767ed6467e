# SPDX-License-Identifier: MIT
"""Trained models as one C99 file: what `to_c` writes."""
