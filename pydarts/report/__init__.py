# SPDX-License-Identifier: MIT
"""A search to look at: one HTML page, charts, a figure of matplotlib."""
