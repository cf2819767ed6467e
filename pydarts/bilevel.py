# SPDX-License-Identifier: MIT
"""Bilevel optimisation for search loops of your own.

Architecture gradients of both orders, the Hessian-vector product, and the whole search step.
"""

from pydarts.methods.bilevel import (
    BilevelStep,
    StepInfo,
    arch_gradient,
    hessian_vector_product,
)

__all__ = ["BilevelStep", "StepInfo", "arch_gradient", "hessian_vector_product"]
