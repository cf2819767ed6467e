// SPDX-License-Identifier: MIT
#define PYDARTS_ISA baseline
#define PYDARTS_VECTOR_BYTES 16
#define PYDARTS_REGISTERS 16
#include "kernels/recurrent.inl"
