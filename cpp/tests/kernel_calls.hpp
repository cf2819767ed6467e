// SPDX-License-Identifier: MIT
// What the tests of kernels share: the table of an instruction set, drawn numbers, the shapes of calls.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/random.hpp"
#include "kernels/kernels.hpp"

namespace pydarts {

template <class T>
const Kernels<T>& table(const InstructionSet& set);
template <>
inline const Kernels<float>& table(const InstructionSet& set) {
  return *set.f32;
}
template <>
inline const Kernels<double>& table(const InstructionSet& set) {
  return *set.f64;
}
template <class T>
T not_a_number() {
  return std::numeric_limits<T>::quiet_NaN();
}

// Numbers that both precisions hold exactly.
template <class T>
std::vector<T> numbers(std::uint64_t seed, std::size_t count, double around = 0, double scale = 1) {
  Random random(seed);
  std::vector<T> values(count);
  for (T& value : values) value = T(float(around + scale * (2 * random.uniform() - 1)));
  return values;
}

template <class T>
View<const T> view(const std::vector<T>& values, std::size_t stride) {
  return {values.data(), stride};
}

template <class T>
View<T> view(std::vector<T>& values, std::size_t stride) {
  return {values.data(), stride};
}

inline UnitShape unit_shape(Spread spread, Halo kernel, int dilation, Halo stride, int h, int w) {
  UnitShape s{};
  s.spread = spread;
  s.kernel_h = kernel.h;
  s.kernel_w = kernel.w;
  s.dilation = dilation;
  s.pad_h = kernel.h % 2 ? dilation * (kernel.h - 1) / 2 : 0;  // even kernels have none
  s.pad_w = kernel.w % 2 ? dilation * (kernel.w - 1) / 2 : 0;
  s.stride_h = stride.h;
  s.stride_w = stride.w;
  s.in_h = h;
  s.in_w = w;
  s.out_h = (h + 2 * s.pad_h - dilation * (kernel.h - 1) - 1) / stride.h + 1;
  s.out_w = (w + 2 * s.pad_w - dilation * (kernel.w - 1) - 1) / stride.w + 1;
  if (spread == Spread::gather)
    for (int y = 0; y < kernel.h; ++y)
      for (int x = 0; x < kernel.w; ++x, ++s.taps) {
        s.tap_y[s.taps] = std::int8_t(y * dilation - s.pad_h);
        s.tap_x[s.taps] = std::int8_t(x * dilation - s.pad_w);
      }
  return s;
}

inline UnitShape unit_shape(Spread spread, int kernel, int dilation, int stride, int h, int w) {
  return unit_shape(spread, {kernel, kernel}, dilation, {stride, stride}, h, w);
}

inline PoolShape pool_shape(bool max, Halo window, Halo stride, Halo pad, int h, int w) {
  PoolShape s{};
  s.max = max;
  s.blocks = 2;
  s.in_h = h;
  s.in_w = w;
  s.window_h = window.h;
  s.window_w = window.w;
  s.stride_h = stride.h;
  s.stride_w = stride.w;
  s.pad_h = pad.h;
  s.pad_w = pad.w;
  s.out_h = (h + 2 * pad.h - window.h) / stride.h + 1;
  s.out_w = (w + 2 * pad.w - window.w) / stride.w + 1;
  return s;
}

inline PoolShape pool_shape(bool max, int window, int stride, int pad, int h, int w) {
  return pool_shape(max, {window, window}, {stride, stride}, {pad, pad}, h, w);
}

}  // namespace pydarts
