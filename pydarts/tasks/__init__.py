# SPDX-License-Identifier: MIT
"""What a loop learns: image classification and language modelling."""
