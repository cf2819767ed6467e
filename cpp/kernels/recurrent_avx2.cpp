// SPDX-License-Identifier: MIT
#define PYDARTS_ISA avx2
#define PYDARTS_VECTOR_BYTES 32
#define PYDARTS_REGISTERS 16
#include "kernels/recurrent.inl"
