// SPDX-License-Identifier: MIT
#define PYDARTS_FMA fma_512
#define PYDARTS_VECTOR_BYTES 64
#define PYDARTS_SUMS 24
#include "kernels/fma.inl"
