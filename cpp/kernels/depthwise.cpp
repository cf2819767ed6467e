// SPDX-License-Identifier: MIT
// Depthwise convolution of one block of channels in one sample. `tile` points at the tap (0, 0) of output
// (0, 0), rows `pitch` elements apart; taps: [kernel_h * kernel_w][lane].
//   forward:          z[y][x] (+)= sum_{i,j} tile[R y + D i][S x + D j] * taps[i][j]
//   backward weight:  dtaps[i][j] (+)= sum_{y,x} tile[R y + D i][S x + D j] * dz[y][x]
//   backward input, stride 1: forward over dz with the taps turned round
// In what follows the kernel's width K, the dilation D and the stride S along the width are compile-time arguments; the
// kernel's height and the stride R along the height are not.
#include "kernels/depthwise.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

// The first `count` of outputs x .. x + U - 1 of a row: every input is loaded once and added to all outputs that it
// touches. What the others read lies in the tile, or in the kTilePad behind it.
template <class T, int K, int D, int S, int U, class Int>
static PYDARTS_INLINE void depthwise_span(T* z, const T* in, const DepthwiseRows<T>& a, Int count) {
  using V = Vec<T>;
  V acc[U];
  unroll<U>([&](auto t) PYDARTS_INLINED {
    acc[t] = S == 1 && a.accumulate && t < int(count) ? V::load(z + t * kLanes) : V::zero();
  });
  for (int i = 0; i < a.kernel_h; ++i) {
    V tap[K];
    unroll<K>([&](auto j) PYDARTS_INLINED { tap[j] = V::load(a.taps + (i * K + j) * kLanes); });
    const T* row = in + i * D * a.pitch;
    unroll<(U - 1) * S + (K - 1) * D + 1>([&](auto position) PYDARTS_INLINED {
      constexpr int at = decltype(position)::value;
      const V x = V::load(row + at * kLanes);
      unroll<K>([&](auto j) PYDARTS_INLINED {
        constexpr int from = at - decltype(j)::value * D;
        if constexpr (from >= 0 && from % S == 0 && from / S < U) acc[from / S].add_product(x, tap[j]);
      });
    });
  }
  unroll<U>([&](auto t) PYDARTS_INLINED {
    if (t < int(count)) acc[t].store(z + t * kLanes);
  });
}

#if PYDARTS_VECTOR_BYTES == 64
// Outputs x .. x + 2 U - 1 of a row at stride 1.
template <class T, int K, int D, int U>
static PYDARTS_INLINE void depthwise_span_of_pairs(T* z, const T* in, const DepthwiseRows<T>& a) {
  using V = Pixels<T>;
  V acc[U];
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t] = a.accumulate ? V::load(z + t * 2 * kLanes) : V::zero(); });
  for (int i = 0; i < a.kernel_h; ++i) {
    V tap[K];
    unroll<K>([&](auto j) PYDARTS_INLINED { tap[j] = repeated<T>(Vec<T>::load(a.taps + (i * K + j) * kLanes)); });
    for_input_pairs<T, K, D, U>(in + i * D * a.pitch,
                                [&](auto j, auto t, const V& x) PYDARTS_INLINED { acc[t].add_product(x, tap[j]); });
  }
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t].store(z + t * 2 * kLanes); });
}
#endif

template <class T, int K, int D, int S>
static void depthwise_rows(const DepthwiseRows<T>& a) {
  for (int y = a.first; y < a.last; ++y) {
    const T* in = a.tile + y * a.stride_h * a.pitch;
    T* z = a.z + y * a.z_pitch;
    int x = 0;
    auto span = [&](auto size, auto count) PYDARTS_INLINED {
      constexpr int U = decltype(size)::value;
      depthwise_span<T, K, D, S, U>(z + x * kLanes, in + x * S * kLanes, a, count);
      x += U;
    };
#if PYDARTS_VECTOR_BYTES == 64
    if constexpr (kPixels<T> == 2 && S == 1) {
      auto pairs = [&](auto size) PYDARTS_INLINED {
        constexpr int U = decltype(size)::value;
        depthwise_span_of_pairs<T, K, D, U>(z + x * kLanes, in + x * kLanes, a);
        x += 2 * U;
      };
      if constexpr (K < 7)
        if (a.width % 14 == 0)
          while (x < a.width) pairs(Index<7>{});
      while (x + 16 <= a.width) pairs(Index<8>{});
      if (x + 8 <= a.width) pairs(Index<4>{});
      if (x + 4 <= a.width) pairs(Index<2>{});
    } else
#endif
        if constexpr (!kFewSizes<T>) {
      if constexpr (K < 7)
        if (a.width % 7 == 0)
          while (x < a.width) span(Index<7>{}, Index<7>{});
      while (x + 8 <= a.width) span(Index<8>{}, Index<8>{});
    }
    if constexpr (!kFewSizes<T>)
      while (x + 4 <= a.width) span(Index<4>{}, Index<4>{});
    while (x < a.width) span(Index<4>{}, a.width - x);
  }
}

template <class T>
static void depthwise_rows_plain(const DepthwiseRows<T>& a, const UnitShape& s) {
  using V = Vec<T>;
  const int kernel_h = s.kernel_h, kernel_w = s.kernel_w;
  const int row = s.dilation * a.pitch, column = s.dilation * kLanes;
  for (int y = a.first; y < a.last; ++y)
    for (int x = 0; x < a.width; ++x) {
      T* z = a.z + y * a.z_pitch + x * kLanes;
      V acc = V::zero();
      const T* in = a.tile + y * s.stride_h * a.pitch + x * s.stride_w * kLanes;
      for (int i = 0; i < kernel_h; ++i)
        for (int j = 0; j < kernel_w; ++j)
          acc.add_product(V::load(in + i * row + j * column), V::load(a.taps + (i * kernel_w + j) * kLanes));
      acc.store(z);
    }
}

template <class T>
void depthwise(const DepthwiseRows<T>& a, const UnitShape& s) {
  if (!with_depthwise_shape<T>(s, [&](auto k, auto d, auto stride) { depthwise_rows<T, k, d, stride>(a); }))
    depthwise_rows_plain(a, s);
}

#define PYDARTS_INSTANTIATE(T) template decltype(depthwise<T>) depthwise<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts
