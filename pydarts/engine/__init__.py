# SPDX-License-Identifier: MIT
"""The C++ networks as Python objects, and SGD on their weights."""
