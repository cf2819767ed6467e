// SPDX-License-Identifier: MIT
#define PYDARTS_FMA fma_256
#define PYDARTS_VECTOR_BYTES 32
#define PYDARTS_SUMS 12
#include "kernels/fma.inl"
