# SPDX-License-Identifier: MIT
"""The public fronts: they make a task of what the user gave, and run it."""
