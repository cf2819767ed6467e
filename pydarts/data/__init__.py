# SPDX-License-Identifier: MIT
"""Arrays, images, text, and what reads, splits and batches them."""
