# SPDX-License-Identifier: MIT
"""What found cells are worth: comparison with random ones, random search, statistics."""
