# SPDX-License-Identifier: MIT
"""What a derived network costs: multiply-adds, weights, memory, and its latency on a processor.

The C API has the same in ``cpp/costs``; `tests/test_library.py` holds one against the other.
"""
