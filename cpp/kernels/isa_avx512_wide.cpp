// SPDX-License-Identifier: MIT
// Vectors of 512 bits, in float32; float64 is for verification and has avx512's.
#define PYDARTS_ISA avx512_wide
#define PYDARTS_VECTOR_BYTES 64
#define PYDARTS_REGISTERS 32
#define PYDARTS_FLOAT_ONLY
#include "kernels/kernels.inl"
