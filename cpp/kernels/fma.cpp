// SPDX-License-Identifier: MIT
#include "kernels/fma.hpp"

#include <algorithm>
#include <chrono>

namespace pydarts {

extern const FmaKernel fma_baseline, fma_128, fma_256, fma_512;

namespace {

constexpr double kSeconds = 0.02;  // of a measurement
constexpr int kMeasurements = 6;
constexpr float kFactor = 1e-20f;  // changes no sum: none overflows or becomes subnormal

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
  long long rounds = 1 << 13;
  double took;
  while ((took = seconds(kernel, threads, rounds)) < kSeconds / 4) rounds *= 2;
  rounds = (long long)(double(rounds) * kSeconds / took) + 1;
  double best = seconds(kernel, threads, rounds);
  for (int i = 1; i < kMeasurements; ++i) best = std::min(best, seconds(kernel, threads, rounds));
  return double(rounds) * kernel.operations * threads.count / best;
}

}  // namespace pydarts
