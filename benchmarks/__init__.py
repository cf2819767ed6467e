# SPDX-License-Identifier: MIT
"""Benchmarks of pydarts, and the plain PyTorch reference they are measured against."""
