# SPDX-License-Identifier: MIT
"""What a derived network costs: multiply-adds, weights, memory, and its latency on a processor.

It is computed in ``cpp/costs``, for Python and C alike; what is here are Python's views of it.
"""
