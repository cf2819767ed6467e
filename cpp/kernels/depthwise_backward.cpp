// SPDX-License-Identifier: MIT
// Gradients of a depthwise convolution; see depthwise.cpp.
#include "kernels/depthwise.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

constexpr int kLongRow = 512;  // pixels of a row that the depthwise backward takes at a time

// Each tap has Sums of sums, which the outputs take in turn: one alone would wait for the latency of each addition.
template <class T, int K, int D, int S, int Rows, int Sums, int U>
static PYDARTS_INLINE void depthwise_backward_weight_span(Vec<T> (&acc)[Rows][Sums][K], const T* in, int pitch,
                                                          const T* dz) {
  using V = Vec<T>;
  V d[U];
  unroll<U>([&](auto t) PYDARTS_INLINED { d[t] = V::load(dz + t * kLanes); });
  unroll<Rows>([&](auto i) PYDARTS_INLINED {
    const T* row = in + i * D * pitch;
    unroll<(U - 1) * S + (K - 1) * D + 1>([&](auto position) PYDARTS_INLINED {
      constexpr int at = decltype(position)::value;
      const V x = V::load(row + at * kLanes);
      unroll<K>([&](auto j) PYDARTS_INLINED {
        constexpr int from = at - decltype(j)::value * D;
        if constexpr (from >= 0 && from % S == 0 && from / S < U)
          acc[i][from / S % Sums][j].add_product(d[from / S], x);
      });
    });
  });
}

#if PYDARTS_VECTOR_BYTES == 64
template <class T, int K, int D, int Rows, int Sums, int U>
static PYDARTS_INLINE void depthwise_backward_weight_span_of_pairs(Pixels<T> (&acc)[Rows][Sums][K], const T* in,
                                                                   int pitch, const T* dz) {
  using V = Pixels<T>;
  V d[U];
  unroll<U>([&](auto t) PYDARTS_INLINED { d[t] = V::load(dz + t * 2 * kLanes); });
  unroll<Rows>([&](auto i) PYDARTS_INLINED {
    for_input_pairs<T, K, D, U>(in + i * D * pitch, [&](auto j, auto t, const V& x)
                                                        PYDARTS_INLINED { acc[i][t % Sums][j].add_product(d[t], x); });
  });
}

// The last pixel of a row.
template <class T, int K, int D, int Rows, int Sums>
static PYDARTS_INLINE void depthwise_backward_weight_last(Pixels<T> (&acc)[Rows][Sums][K], const T* in, int pitch,
                                                          const T* dz) {
  const Pixels<T> d = load_pixels<T, 1>(dz);
  unroll<Rows>([&](auto i) PYDARTS_INLINED {
    unroll<K>([&](auto j) PYDARTS_INLINED {
      acc[i][0][j].add_product(d, load_pixels<T, 1>(in + i * D * pitch + j * D * kLanes));
    });
  });
}
#endif

// A part of the plane: rows and columns of dz, and what they read of the tile.
template <class T>
struct DepthwiseSpan {
  const T* tile;
  int pitch, stride_h;
  const T* dz;
  int dz_pitch, height, width;
  bool begins;  // the gradient is written, else added to
};

// Taps of rows i .. i + Rows - 1 of the kernel, over the whole span, held in registers.
template <class T, int K, int D, int S, int Rows, int Sums>
static void depthwise_backward_weight_rows(T* dtaps, const T* tile, const DepthwiseSpan<T>& a) {
  constexpr bool kPairs = kPixels<T> > 1 && S == 1;
  using V = Lanes<T, kPairs ? kPixels<T> * kLanes : kLanes>;
  V acc[Rows][Sums][K];
  unroll<Rows * Sums * K>([&](auto i) PYDARTS_INLINED { acc[i / K / Sums][i / K % Sums][i % K] = V::zero(); });
  const int pitch = a.pitch, width = a.width;
  for (int y = 0; y < a.height; ++y) {
    const T* in = tile + y * a.stride_h * pitch;
    const T* d = a.dz + y * a.dz_pitch;
    int x = 0;
#if PYDARTS_VECTOR_BYTES == 64
    if constexpr (kPairs) {
      constexpr int U = Sums > 1 ? 4 : K <= 3 ? 2 : 1;  // with 25 sums there are registers for one
      for (; x + 2 * U <= width; x += 2 * U)
        depthwise_backward_weight_span_of_pairs<T, K, D, Rows, Sums, U>(acc, in + x * kLanes, pitch, d + x * kLanes);
      for (; x + 2 <= width; x += 2)
        depthwise_backward_weight_span_of_pairs<T, K, D, Rows, Sums, 1>(acc, in + x * kLanes, pitch, d + x * kLanes);
      if (x < width) depthwise_backward_weight_last<T, K, D>(acc, in + x * kLanes, pitch, d + x * kLanes);
      continue;
    } else
#endif
    {
      if constexpr (!kFewSizes<T>)
        for (; x + 4 <= width; x += 4)
          depthwise_backward_weight_span<T, K, D, S, Rows, Sums, 4>(acc, in + x * S * kLanes, pitch, d + x * kLanes);
      for (; x < width; ++x)
        depthwise_backward_weight_span<T, K, D, S, Rows, Sums, 1>(acc, in + x * S * kLanes, pitch, d + x * kLanes);
    }
  }
  unroll<Rows>([&](auto i) PYDARTS_INLINED {
    unroll<K>([&](auto j) PYDARTS_INLINED {
      T* place = dtaps + (i * K + j) * kLanes;
      V total = acc[i][0][j];
      unroll<Sums - 1>([&](auto other) PYDARTS_INLINED { total = total + acc[i][other + 1][j]; });
      Vec<T> sum;
      if constexpr (kPairs)
        sum = folded<T>(total);
      else
        sum = total;
      (a.begins ? sum : Vec<T>::load(place) + sum).store(place);
    });
  });
}

template <class T, int K, int D, int S>
static void depthwise_backward_weight_of(T* dtaps, int kernel_h, const DepthwiseSpan<T>& a) {
  constexpr int kFit = (PYDARTS_REGISTERS - 6) / K;  // kernel rows whose sums fit the registers
  constexpr int kRows = kFewSizes<T> || kFit < 1 ? 1 : kFit > K ? K : kFit;
  constexpr int kSums = kFewSizes<T> ? 1 : PYDARTS_REGISTERS < 32 ? (K < 7 ? 2 : 1) : K < 5 ? 4 : 2;
  int i = 0;
  auto rows = [&](auto count, auto sums) {
    depthwise_backward_weight_rows<T, K, D, S, decltype(count)::value, decltype(sums)::value>(
        dtaps + i * K * kLanes, a.tile + i * D * a.pitch, a);
    i += count;
  };
  if (kernel_h == 1) return rows(Index<1>{}, Index<kSums>{});
  while (i + kRows <= kernel_h) rows(Index<kRows>{}, Index<1>{});
  while (i < kernel_h) rows(Index<1>{}, Index<K % kRows == 1 ? 1 : kSums>{});
}

template <class T>
static void depthwise_backward_weight_plain(T* dtaps, const DepthwiseSpan<T>& a, const UnitShape& s) {
  using V = Vec<T>;
  for (int i = 0; i < s.kernel_h; ++i)
    for (int j = 0; j < s.kernel_w; ++j) {
      V acc = V::zero();
      const T* in = a.tile + (i * a.pitch + j * kLanes) * s.dilation;
      for (int y = 0; y < a.height; ++y)
        for (int x = 0; x < a.width; ++x)
          acc.add_product(V::load(in + y * s.stride_h * a.pitch + x * s.stride_w * kLanes),
                          V::load(a.dz + y * a.dz_pitch + x * kLanes));
      T* place = dtaps + (i * s.kernel_w + j) * kLanes;
      (a.begins ? acc : V::load(place) + acc).store(place);
    }
}

template <class T>
static void depthwise_backward_weight(T* dtaps, const DepthwiseSpan<T>& a, const UnitShape& s) {
  if (!with_depthwise_shape<T>(
          s, [&](auto k, auto d, auto stride) { depthwise_backward_weight_of<T, k, d, stride>(dtaps, s.kernel_h, a); }))
    depthwise_backward_weight_plain(dtaps, a, s);
}

// Stride 2 along the width, backward input: the pixels of dx of one parity in x see the taps kx = First, First + Step,
// ...; for them it is a stride-1 sum over dz. `dz` points at output 0 of the first kernel row's dz row; later kernel
// rows lie `pitch` elements earlier.
template <class T, int Count, int Step, int U>
static PYDARTS_INLINE void depthwise_parity_span(T* dx, const T* dz, int pitch, const T* taps, int rows, int row_step) {
  using V = Vec<T>;
  V acc[U];
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t] = V::load(dx + t * 2 * kLanes); });
  const T* row = dz - (Count - 1) * kLanes;
  for (int i = 0; i < rows; ++i, row -= pitch, taps += row_step * kLanes) {
    V tap[Count];
    unroll<Count>([&](auto m) PYDARTS_INLINED { tap[m] = V::load(taps + m * Step * kLanes); });
    unroll<U + Count - 1>([&](auto position) PYDARTS_INLINED {
      constexpr int at = decltype(position)::value;
      const V d = V::load(row + at * kLanes);
      unroll<U>([&](auto t) PYDARTS_INLINED {
        constexpr int m = decltype(t)::value + Count - 1 - at;
        if constexpr (m >= 0 && m < Count) acc[t].add_product(d, tap[m]);
      });
    });
  }
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t].store(dx + t * 2 * kLanes); });
}

// dx[y][x] += sum_{i,j} dz[(y + pad_h - D i) / R][(x + P - D j) / 2] * taps[i][j] over the whole quotients, R 1 or 2.
// dz points at its (0, 0), inside a border of zeros.
template <class T, int K, int D>
static void depthwise_backward_input_stride2(T* dx, const T* dz, int pitch, const T* taps, const UnitShape& s) {
  constexpr int P = D * (K - 1) / 2;
  constexpr int kStep = D == 1 ? 2 : 1;               // from one tap of a parity to the next
  const int width = s.in_w, halved = s.stride_h - 1;  // 0 or 1: divisions by the stride are shifts
  const int row_step = halved ? kStep : 1, row_distance = (row_step * D >> halved) * pitch;
  for (int y = 0; y < s.in_h; ++y) {
    const int first_row = (y + s.pad_h) & halved;
    if (first_row >= row_step) continue;
    const int rows = (s.kernel_h - first_row + row_step - 1) >> (row_step - 1);
    if (rows == 0) continue;
    const T* dz_row = dz + ((y + s.pad_h) >> halved) * pitch;
    unroll<2>([&](auto parity) PYDARTS_INLINED {
      constexpr int kFirst = (decltype(parity)::value + P) & 1;
      constexpr int kCount = D == 2 ? (kFirst == 1 ? 0 : K) : (K - kFirst + 1) / 2;
      if constexpr (kCount > 0) {
        constexpr int kShift = (decltype(parity)::value + P - kFirst) / 2;
        const T* first_tap = taps + (first_row * K + kFirst) * kLanes;
        T* out = dx + (y * width + parity) * kLanes;
        const int count = (width - parity + 1) / 2;
        int u = 0;
        auto span = [&](auto size) {
          depthwise_parity_span<T, kCount, kStep, decltype(size)::value>(
              out + u * 2 * kLanes, dz_row + (u + kShift) * kLanes, row_distance, first_tap, rows, row_step * K);
          u += size;
        };
        if constexpr (!kFewSizes<T>)
          while (u + 7 <= count) span(Index<7>{});
        while (u + 4 <= count) span(Index<4>{});
        while (u < count) span(Index<1>{});
      }
    });
  }
}

template <class T>
static void depthwise_backward_input_plain(T* dx, const T* dz, int pitch, const T* taps, const UnitShape& s) {
  using V = Vec<T>;
  const int kernel_h = s.kernel_h, kernel_w = s.kernel_w, dilation = s.dilation, height = s.in_h, width = s.in_w;
  for (int y = 0; y < s.out_h; ++y)
    for (int x = 0; x < s.out_w; ++x) {
      const V d = V::load(dz + y * pitch + x * kLanes);
      const int first_y = y * s.stride_h - s.pad_h, first_x = x * s.stride_w - s.pad_w;
      for (int i = 0; i < kernel_h; ++i)
        for (int j = 0; j < kernel_w; ++j) {
          const int at_y = first_y + i * dilation, at_x = first_x + j * dilation;
          if (at_y < 0 || at_y >= height || at_x < 0 || at_x >= width) continue;
          T* place = dx + (at_y * width + at_x) * kLanes;
          V sum = V::load(place);
          sum.add_product(d, V::load(taps + (i * kernel_w + j) * kLanes));
          sum.store(place);
        }
    }
}

// Of the shapes whose gradient is no convolution with the taps turned round.
template <class T>
static void depthwise_backward_input(T* dx, const T* dz, int pitch, const T* taps, const UnitShape& s) {
  if (!with_depthwise_shape<T>(s, [&](auto k, auto d, auto stride) {
        if constexpr (decltype(stride)::value == 2) depthwise_backward_input_stride2<T, k, d>(dx, dz, pitch, taps, s);
      }))
    depthwise_backward_input_plain(dx, dz, pitch, taps, s);
}

template <class T>
bool depthwise_writes_input(const UnitShape& s) {
  return s.stride_w == 1 && with_depthwise_shape<T>(s, [](auto, auto, auto) {});
}

// dx (+)= spread^T(dz) of the whole planes; dz is a tile with a halo of pad_h, pad_w.
template <class T>
void depthwise_backward(const UnitBackward<T>& a, const UnitInput<T>& in, const T* dz, T* turned) {
  const UnitShape& s = *a.shape;
  const int count = s.kernel_taps();
  const int pitch = (s.in_w + 2 * in.halo.w) * kLanes, dz_pitch = (s.out_w + 2 * s.pad_w) * kLanes;
  const std::size_t dz_plane = std::size_t(s.out_h + 2 * s.pad_h) * dz_pitch;
  // Parts of the plane whose sums T may hold; of long rows such as stay in the L1 cache.
  const int columns = s.out_w > kLongRow ? kLongRow : s.out_w;
  const int rows = columns < s.out_w ? 1 : s.out_w < kSpan ? kSpan / s.out_w : 1;
  const bool turns = depthwise_writes_input<T>(s);
  for (int b = 0; b < s.in_blocks; ++b) {
    const T* taps = a.depthwise + b * count * kLanes;
    for (int t = 0; t < count; ++t)
      for (int i = 0; i < kLanes; ++i) turned[t * kLanes + i] = taps[(count - 1 - t) * kLanes + i];
    for (int n = 0; n < a.samples; ++n) {
      const T* border = dz + (std::size_t(n) * s.in_blocks + b) * dz_plane;
      const T* origin = border + s.pad_h * dz_pitch + s.pad_w * kLanes;
      const T* tile = tile_at(s, in, n, b, -s.pad_h, -s.pad_w);
      T* dtaps = a.d_depthwise ? a.d_depthwise + b * count * kLanes : nullptr;
      T* dx = a.dx.data ? a.dx.data + n * a.dx.stride + std::size_t(b) * s.in_plane() * kLanes : nullptr;
      for (int y = 0; y < s.out_h; y += rows)
        for (int x = 0; x < s.out_w; x += columns) {
          const DepthwiseSpan<T> span{tile + y * s.stride_h * pitch + x * s.stride_w * kLanes,
                                      pitch,
                                      s.stride_h,
                                      origin + y * dz_pitch + x * kLanes,
                                      dz_pitch,
                                      s.out_h - y < rows ? s.out_h - y : rows,
                                      s.out_w - x < columns ? s.out_w - x : columns,
                                      a.begins && n == 0 && y == 0 && x == 0};
          if (dtaps) depthwise_backward_weight(dtaps, span, s);
          if (dx && turns)
            depthwise(DepthwiseRows<T>{dx + x * kLanes, s.in_w * kLanes, span.width, border + x * kLanes, dz_pitch,
                                       turned, s.kernel_h, 1, y, y + span.height, !a.first},
                      s);
        }
      if (dx && !turns) depthwise_backward_input(dx, origin, dz_pitch, taps, s);
    }
  }
}

#define PYDARTS_INSTANTIATE(T)                                            \
  template decltype(depthwise_writes_input<T>) depthwise_writes_input<T>; \
  template decltype(depthwise_backward<T>) depthwise_backward<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts
