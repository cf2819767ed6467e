// SPDX-License-Identifier: MIT
#if defined(__GNUC__) || defined(__clang__)
#define PYDARTS_FMA fma_baseline
#define PYDARTS_VECTOR_BYTES 16
#ifdef __aarch64__
#define PYDARTS_SUMS 24
#else
#define PYDARTS_SUMS 12
#endif
#include "kernels/fma.inl"
#endif
