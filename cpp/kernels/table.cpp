// SPDX-License-Identifier: MIT
// The kernels of one instruction set but the recurrent ones.
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

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
