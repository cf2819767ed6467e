# SPDX-License-Identifier: MIT
"""How α is learned and a cell chosen."""
