// SPDX-License-Identifier: MIT
// All kernels of one instruction set but the recurrent ones. The including file defines
//   PYDARTS_ISA            the namespace
//   PYDARTS_VECTOR_BYTES   width of the native vector
//   PYDARTS_REGISTERS      how many of them there are
//   PYDARTS_FLOAT_ONLY     if float64 has another set's kernels
// and is compiled with that set's flags; so nothing here may call an inline function of the standard library,
// whose copy the linker might then choose for all.
#include <utility>

#include "kernels/compiler.hpp"
#include "kernels/kernels.hpp"

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
// clang-format on

template <class T>
constexpr Kernels<T> table() {
  return {load_tile<T>, unit_forward<T>, unit_backward<T>, pool_forward<T>,  pool_backward<T>,
          node_sum<T>,  node_moments<T>, add_scaled<T>,    relu_backward<T>, activation_backward<T>,
          unit_rows<T>, pool_rows<T>,    tile_rows<T>,     add_rows<T>,      channel_sums<T>};
}

extern const Kernels<float> f32;
const Kernels<float> f32 = table<float>();
#ifndef PYDARTS_FLOAT_ONLY
extern const Kernels<double> f64;
const Kernels<double> f64 = table<double>();
#endif

}  // namespace PYDARTS_ISA
}  // namespace pydarts
