// SPDX-License-Identifier: MIT
#pragma once

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "pydarts cannot be compiled with -ffast-math or -ffinite-math-only: it finds out about NaN by comparing"
#endif
