// SPDX-License-Identifier: MIT
#include "kernels/fma.hpp"

#include <algorithm>
#include <chrono>

namespace pydarts {

extern const FmaKernel fma_baseline, fma_128, fma_256, fma_512;

namespace {

constexpr double kSeconds = 0.02, kTotal = 0.13;  // of a measurement, and of all that the best is taken of
constexpr float kFactor = 1e-20f;                 // changes no sum: none overflows or becomes subnormal

double seconds(const FmaKernel& kernel, const Threads& threads, long long rounds) {
  const auto start = std::chrono::steady_clock::now();
  parallel_for(threads, threads.count, [&](int, int) {
    volatile float value = kernel.run(rounds, kFactor);
    (void)value;
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<FmaKernel> fma_kernels() {
  std::vector<FmaKernel> kernels;
#if defined(__GNUC__) || defined(__clang__)
#ifdef PYDARTS_X86_FMA
  if (__builtin_cpu_supports("fma")) {
    kernels = {fma_128, fma_256};
    if (__builtin_cpu_supports("avx512f")) kernels.push_back(fma_512);
    return kernels;
  }
#endif
  kernels.push_back(fma_baseline);
#endif
  return kernels;
}

double fma_peak(const FmaKernel& kernel, const Threads& threads) {
  double rate = 0;  // rounds a second of each thread
  long long rounds = 1 << 13;
  for (double total = 0; total < kTotal;) {
    const double took = seconds(kernel, threads, rounds);
    total += took;
    rate = std::max(rate, double(rounds) / took);
    rounds = (long long)(rate * kSeconds) + 1;  // by the best so far: the first one starts the threads
  }
  return rate * kernel.operations * threads.count;
}

}  // namespace pydarts
