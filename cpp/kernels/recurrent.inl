// SPDX-License-Identifier: MIT
// The recurrent kernels of one instruction set; see kernels.inl for what the including file defines.
#include <utility>

#include "kernels/compiler.hpp"
#include "kernels/kernels.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

// clang-format off: each needs those before it
#include "kernels/vec.hpp"
#include "kernels/panel.inl"
#include "kernels/gates.inl"
// clang-format on

template <class T>
constexpr RecurrentKernels<T> recurrent_table() {
  return {panel_product<T>, gates_forward<T>, gates_backward<T>, softmax_rows<T>};
}

extern const RecurrentKernels<float> recurrent_f32;
extern const RecurrentKernels<double> recurrent_f64;
const RecurrentKernels<float> recurrent_f32 = recurrent_table<float>();
const RecurrentKernels<double> recurrent_f64 = recurrent_table<double>();

}  // namespace PYDARTS_ISA
}  // namespace pydarts
