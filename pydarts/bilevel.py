# SPDX-License-Identifier: MIT
"""Bilevel optimisation for search loops of your own.

Architecture gradients of both orders and of the implicit function theorem, the Hessian-vector
product, and the whole search step.
"""

from pydarts.methods.bilevel import (
    BilevelStep,
    StepInfo,
    arch_gradient,
    hessian_vector_product,
)
from pydarts.methods.implicit import GradientOracle, implicit_gradient

__all__ = [
    "BilevelStep",
    "GradientOracle",
    "StepInfo",
    "arch_gradient",
    "hessian_vector_product",
    "implicit_gradient",
]
