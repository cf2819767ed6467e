// SPDX-License-Identifier: MIT
// What forward and backward of depthwise convolutions share.
#pragma once
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

#if PYDARTS_VECTOR_BYTES == 64
// Stride 1: calls f(j, t, x) for the input x, two pixels, that tap j of a row brings to outputs 2 t and 2 t + 1, for
// each tap in rising order. Pixels are loaded in pairs from an even distance; odd taps take the pairs between them.
template <class T, int K, int D, int U, class F>
static PYDARTS_INLINE void for_input_pairs(const T* row, F&& f) {
  Pixels<T> before;
  unroll<U + (K - 1) * D / 2>([&](auto position) PYDARTS_INLINED {
    constexpr int at = decltype(position)::value;
    const Pixels<T> x = Pixels<T>::load(row + at * 2 * kLanes);
    if constexpr (at > 0 && D % 2 == 1) {
      Pixels<T> odd;
      odd.part[0] = between(before.part[0], x.part[0]);
      unroll<K>([&](auto j) PYDARTS_INLINED {
        constexpr int t = at - 1 - (j * D - 1) / 2;
        if constexpr (j * D % 2 == 1 && t >= 0 && t < U) f(j, Index<t>{}, odd);
      });
    }
    unroll<K>([&](auto j) PYDARTS_INLINED {
      constexpr int t = at - j * D / 2;
      if constexpr (j * D % 2 == 0 && t >= 0 && t < U) f(j, Index<t>{}, x);
    });
    before = x;
  });
}
#endif

// Calls f(kernel_w, dilation, stride_w) with compile-time arguments where a fast version exists.
template <class T, class F>
static bool with_depthwise_shape(const UnitShape& s, F&& f) {
  if (s.kernel_h % 2 == 0 || s.pad_h != s.dilation * (s.kernel_h - 1) / 2 || s.stride_h > s.stride_w ||
      s.pad_w != s.dilation * (s.kernel_w - 1) / 2)
    return false;
  switch (s.kernel_w * 100 + s.dilation * 10 + s.stride_w) {
    case 311:
      f(Index<3>{}, Index<1>{}, Index<1>{});
      return true;
    case 312:
      f(Index<3>{}, Index<1>{}, Index<2>{});
      return true;
    case 321:
      f(Index<3>{}, Index<2>{}, Index<1>{});
      return true;
    case 322:
      f(Index<3>{}, Index<2>{}, Index<2>{});
      return true;
    case 511:
      f(Index<5>{}, Index<1>{}, Index<1>{});
      return true;
    case 512:
      f(Index<5>{}, Index<1>{}, Index<2>{});
      return true;
    case 521:
      f(Index<5>{}, Index<2>{}, Index<1>{});
      return true;
    case 522:
      f(Index<5>{}, Index<2>{}, Index<2>{});
      return true;
    case 711:
      if constexpr (!kFewSizes<T>) {
        f(Index<7>{}, Index<1>{}, Index<1>{});
        return true;
      }
  }
  return false;
}

}  // namespace PYDARTS_ISA
}  // namespace pydarts
