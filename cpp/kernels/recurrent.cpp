// SPDX-License-Identifier: MIT
// The recurrent kernels of one instruction set.
#include "kernels/vec.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

// clang-format off: the second needs the first
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
