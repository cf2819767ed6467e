// SPDX-License-Identifier: MIT
#define PYDARTS_FMA fma_128
#define PYDARTS_VECTOR_BYTES 16
#define PYDARTS_SUMS 12
#include "kernels/fma.inl"
