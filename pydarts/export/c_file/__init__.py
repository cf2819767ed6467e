# SPDX-License-Identifier: MIT
"""Trained models as one C99 file: what `to_c` writes.

The C API writes the float files of images by ``cpp/export``, to the same byte:
`tests/test_library.py` holds one against the other.
"""
