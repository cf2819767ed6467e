# SPDX-License-Identifier: MIT
"""What a derived network costs: multiply-adds, weights, memory, and its latency on a processor."""
