# SPDX-License-Identifier: MIT
"""What can be searched: spaces, their genotypes with their text forms, and derivation from α."""
