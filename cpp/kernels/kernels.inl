// SPDX-License-Identifier: MIT
// All kernels of one instruction set. The including file defines
//   PYDARTS_ISA            the namespace
//   PYDARTS_VECTOR_BYTES   width of the native vector
//   PYDARTS_REGISTERS      how many of them there are
//   PYDARTS_FLOAT_ONLY     if float64 has another set's kernels
// and is compiled with that set's flags; so nothing here may call an inline function of the standard library,
// whose copy the linker might then choose for all.
#include <utility>

#include "kernels/kernels.hpp"

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

namespace pydarts {
namespace PYDARTS_ISA {

// clang-format off: each needs those before it
#include "kernels/vec.hpp"
#include "kernels/depthwise.inl"
#include "kernels/product.inl"
#include "kernels/node.inl"
#include "kernels/pool.inl"
#include "kernels/unit.inl"
#include "kernels/inference.inl"
#include "kernels/panel.inl"
#include "kernels/gates.inl"
// clang-format on

template <class T>
constexpr Kernels<T> table() {
  return {load_tile<T>,     unit_forward<T>,  unit_backward<T>,  pool_forward<T>,  pool_backward<T>,
          node_sum<T>,      node_moments<T>,  add_scaled<T>,     relu_backward<T>, activation_backward<T>,
          unit_rows<T>,     pool_rows<T>,     tile_rows<T>,      add_rows<T>,      channel_sums<T>,
          panel_product<T>, gates_forward<T>, gates_backward<T>, softmax_rows<T>};
}

extern const Kernels<float> f32;
const Kernels<float> f32 = table<float>();
#ifndef PYDARTS_FLOAT_ONLY
extern const Kernels<double> f64;
const Kernels<double> f64 = table<double>();
#endif

}  // namespace PYDARTS_ISA
}  // namespace pydarts
