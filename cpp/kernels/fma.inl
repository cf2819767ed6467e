// SPDX-License-Identifier: MIT
// Multiply-adds in registers, of one width. The including file defines
//   PYDARTS_FMA            the kernel's name
//   PYDARTS_VECTOR_BYTES   width of a vector
//   PYDARTS_SUMS           independent sums: enough to cover an instruction's latency, all in registers
// and is compiled with that width's flags; so nothing here may call an inline function of the standard library.
#include <utility>

#include "kernels/fma.hpp"

namespace pydarts {
namespace {

typedef float Vector __attribute__((vector_size(PYDARTS_VECTOR_BYTES)));
constexpr int kWidth = PYDARTS_VECTOR_BYTES / int(sizeof(float));

// Each sum depends on itself alone, so there is nothing to hoist or to share; unrolled before registers are assigned.
template <int... I>
float multiply_add(long long rounds, float factor, std::integer_sequence<int, I...>) {
  const Vector factors = factor - Vector{};
  Vector sum[] = {(float(I + 1) - Vector{})...};
  for (long long i = 0; i < rounds; ++i) ((sum[I] += sum[I] * factors), ...);
  Vector total = {};
  ((total += sum[I]), ...);
  float value = 0;
  for (int lane = 0; lane < kWidth; ++lane) value += total[lane];
  return value;
}

float run(long long rounds, float factor) {
  return multiply_add(rounds, factor, std::make_integer_sequence<int, PYDARTS_SUMS>{});
}

}  // namespace

extern const FmaKernel PYDARTS_FMA;
const FmaKernel PYDARTS_FMA = {8 * PYDARTS_VECTOR_BYTES, 2 * kWidth * PYDARTS_SUMS, run};

}  // namespace pydarts
