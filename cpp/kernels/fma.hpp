// SPDX-License-Identifier: MIT
// The machine's arithmetic peak: multiply-adds of float32 in registers, for each width of vectors.
#pragma once
#include <vector>

#include "core/parallel.hpp"

namespace pydarts {

struct FmaKernel {
  int bits;                                      // of a vector
  int operations;                                // of a round: a multiplication and an addition for each number
  float (*run)(long long rounds, float factor);  // the value only depends on what was computed
};

// Those that this machine runs, the narrowest first; none where the compiler has no vector types.
std::vector<FmaKernel> fma_kernels();

// Operations a second on so many threads: the best of a few measurements, within a sixth of a second.
double fma_peak(const FmaKernel& kernel, const Threads& threads);

}  // namespace pydarts
