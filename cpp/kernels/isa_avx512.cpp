// SPDX-License-Identifier: MIT
// AVX-512's registers with vectors of 256 bits, for processors whose 512-bit units have half the width.
#define PYDARTS_ISA avx512
#define PYDARTS_VECTOR_BYTES 32
#define PYDARTS_REGISTERS 32
#include "kernels/kernels.inl"
