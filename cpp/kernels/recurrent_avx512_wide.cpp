// SPDX-License-Identifier: MIT
// For all processors with AVX-512: units of half width lose nothing by 512-bit vectors here.
#define PYDARTS_ISA avx512_wide
#define PYDARTS_VECTOR_BYTES 64
#define PYDARTS_REGISTERS 32
#include "kernels/recurrent.inl"
