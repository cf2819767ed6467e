// SPDX-License-Identifier: MIT
// What the kernels ask of a compiler.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define PYDARTS_PREFETCH(p) __builtin_prefetch(p, 0, 2)
#define PYDARTS_INLINED __attribute__((always_inline))  // of a lambda: its captures must stay in registers
#else
#include <cstring>
#define PYDARTS_PREFETCH(p) ((void)0)
#define PYDARTS_INLINED [[msvc::forceinline]]
#include <cmath>
#define __builtin_memset memset
#define __builtin_memcpy memcpy
#define __builtin_sqrt sqrt
#define __builtin_log log
#endif

#ifdef __has_builtin
#define PYDARTS_HAS_SHUFFLE __has_builtin(__builtin_shufflevector)
#else
#define PYDARTS_HAS_SHUFFLE 0
#endif
#if PYDARTS_VECTOR_BYTES == 64 && !PYDARTS_HAS_SHUFFLE
#include <immintrin.h>
#endif
