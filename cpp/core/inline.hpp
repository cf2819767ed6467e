// SPDX-License-Identifier: MIT
// What the kernels' files share with others is compiled once per instruction set, outside of that set's namespace:
// inlined everywhere, or the linker could choose one set's copy for all.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define PYDARTS_INLINE inline __attribute__((always_inline))
#else
#define PYDARTS_INLINE __forceinline
#endif
