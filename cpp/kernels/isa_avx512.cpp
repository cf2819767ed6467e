// SPDX-License-Identifier: MIT
#define PYDARTS_ISA avx512
#define PYDARTS_VECTOR_BYTES 64
#define PYDARTS_REGISTERS 32
#include "kernels/kernels.inl"
