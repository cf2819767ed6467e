// SPDX-License-Identifier: MIT
// Depthwise convolution of one block of channels in one sample. `tile` points at the tap (0, 0) of output
// (0, 0), rows `pitch` elements apart; taps: [kernel_h * kernel_w][lane].
//   forward:          z[y][x] (+)= sum_{i,j} tile[R y + D i][S x + D j] * taps[i][j]
//   backward weight:  dtaps[i][j] (+)= sum_{y,x} tile[R y + D i][S x + D j] * dz[y][x]
//   backward input, stride 1: forward over dz with the taps turned round
// In what follows the kernel's width K, the dilation D and the stride S along the width are compile-time arguments; the
// kernel's height and the stride R along the height are not.

template <class T>
struct DepthwiseRows {
  T* z;
  int z_pitch, width;  // width: pixels a row of z
  const T* tile;
  int pitch;
  const T* taps;
  int kernel_h, stride_h;
  int first, last;  // rows of z
  bool accumulate;  // at stride 1
};

// float64 and the oldest instruction set are there to be right: they get fewer sizes, and the compiler less to do.
template <class T>
constexpr bool kFewSizes = sizeof(T) == 8 || PYDARTS_VECTOR_BYTES == 16;

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
    while (x + 4 <= a.width) span(Index<4>{}, Index<4>{});
    if (x < a.width) span(Index<4>{}, a.width - x);
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
static void depthwise_backward_weight(T* dtaps, int kernel_h, const DepthwiseSpan<T>& a) {
  constexpr int kFit = (PYDARTS_REGISTERS - 6) / K;  // kernel rows whose sums fit the registers
  constexpr int kRows = kFit < 1 ? 1 : kFit > K ? K : kFit;
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
