# SPDX-License-Identifier: MIT
"""Networks and trained models for PyTorch and ONNX."""
