// SPDX-License-Identifier: MIT
#pragma once

#if defined(__FAST_MATH__) || defined(_M_FP_FAST) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error \
    "pydarts cannot be compiled with -ffast-math, -ffinite-math-only or /fp:fast: it finds out about NaN by comparing"
#endif
