// SPDX-License-Identifier: MIT
// What the kernels ask of a compiler.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define PYDARTS_PREFETCH(p) __builtin_prefetch(p, 0, 2)
#define PYDARTS_PREFETCH_NEAR(p) __builtin_prefetch(p, 0, 3)  // into the L1 cache
#define PYDARTS_INLINED __attribute__((always_inline))        // of a lambda: its captures must stay in registers
#else
#include <cstring>
#define PYDARTS_PREFETCH(p) ((void)0)
#define PYDARTS_PREFETCH_NEAR(p) ((void)0)
#define PYDARTS_INLINED [[msvc::forceinline]]
#include <cmath>
#define __builtin_memset memset
#define __builtin_memcpy memcpy
#define __builtin_sqrt sqrt
#define __builtin_log log
#endif

#if PYDARTS_VECTOR_BYTES == 64
#include <immintrin.h>
#endif
