// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <cstring>

#include "core/error.hpp"
#include "core/processor.hpp"
#include "kernels/kernels.hpp"

namespace pydarts {

// A set may lack some of these, and takes another set's.
#define PYDARTS_DECLARE(name)                          \
  namespace name {                                     \
  extern const Kernels<float> f32;                     \
  extern const Kernels<double> f64;                    \
  extern const RecurrentKernels<float> recurrent_f32;  \
  extern const RecurrentKernels<double> recurrent_f64; \
  }
PYDARTS_DECLARE(baseline)
#ifdef PYDARTS_X86
PYDARTS_DECLARE(avx2)
PYDARTS_DECLARE(avx512)
PYDARTS_DECLARE(avx512_wide)
#endif
#undef PYDARTS_DECLARE

namespace {

const InstructionSet* best() {
  int count = 0;
  const InstructionSet* sets = instruction_sets(&count);
  if (const char* wanted = std::getenv("PYDARTS_ISA")) {
    for (int i = 0; i < count; ++i)
      if (sets[i].supported && std::strcmp(sets[i].name, wanted) == 0) return &sets[i];
    throw InvalidArgument(text("the environment variable PYDARTS_ISA (=", wanted,
                               ") names no instruction set that this machine runs; see `pydarts info`"));
  }
  while (!sets[count - 1].fits) --count;
  return &sets[count - 1];
}

}  // namespace

const InstructionSet* instruction_sets(int* count) {
#ifdef PYDARTS_X86
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
  static const InstructionSet sets[] = {
#ifdef PYDARTS_X86
      {"baseline", true, true, &baseline::f32, &baseline::f64, &baseline::recurrent_f32, &baseline::recurrent_f64},
      {"avx2", has_avx2, has_avx2, &avx2::f32, &avx2::f64, &avx2::recurrent_f32, &avx2::recurrent_f64},
      {"avx512", has_avx512, has_avx512, &avx512::f32, &avx2::f64, &avx512_wide::recurrent_f32,
       &avx512_wide::recurrent_f64},
      {"avx512-wide", has_avx512, has_avx512 && full_width_512(processor()), &avx512_wide::f32, &avx2::f64,
       &avx512_wide::recurrent_f32, &avx512_wide::recurrent_f64},
#elif defined(__aarch64__) || defined(_M_ARM64)
      {"neon", true, true, &baseline::f32, &baseline::f64, &baseline::recurrent_f32, &baseline::recurrent_f64},
#else
      {"baseline", true, true, &baseline::f32, &baseline::f64, &baseline::recurrent_f32, &baseline::recurrent_f64},
#endif
  };
  *count = int(sizeof(sets) / sizeof(sets[0]));
  return sets;
}

const InstructionSet& instruction_set() {
  static const InstructionSet* chosen = best();
  return *chosen;
}

template <>
const Kernels<float>& kernels<float>() {
  return *instruction_set().f32;
}
template <>
const Kernels<double>& kernels<double>() {
  return *instruction_set().f64;
}
template <>
const RecurrentKernels<float>& recurrent_kernels<float>() {
  return *instruction_set().recurrent_f32;
}
template <>
const RecurrentKernels<double>& recurrent_kernels<double>() {
  return *instruction_set().recurrent_f64;
}

std::size_t tile_size(int samples, int blocks, int h, int w, Halo halo) {
  return std::size_t(samples) * blocks * (h + 2 * halo.h) * (w + 2 * halo.w) * kLanes;
}

std::size_t unit_scratch(const UnitShape& shape, int samples) {
  Scratch<float> scratch;  // whose pieces are rounded up to more than those of double
  const UnitBuffers<float> buffers(shape, samples, scratch);
  (void)buffers;
  return scratch.taken();
}

}  // namespace pydarts
