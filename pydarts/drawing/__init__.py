# SPDX-License-Identifier: MIT
"""Drawings of cells as SVG text."""
