// SPDX-License-Identifier: MIT
// Depthwise convolution of one block of channels in one sample. `tile` points at the tap (0, 0) of output
// (0, 0), rows `pitch` elements apart; taps: [kernel * kernel][lane].
//   forward:          z[y][x] (+)= sum_{i,j} tile[S y + D i][S x + D j] * taps[i][j]
//   backward weight:  dtaps[i][j] (+)= sum_{y,x} tile[S y + D i][S x + D j] * dz[y][x]
//   backward input, stride 1: forward over dz with the taps turned round

template <class T>
struct DepthwiseRows {
  T* z;
  int z_pitch, width;  // width: pixels a row of z
  const T* tile;
  int pitch;
  const T* taps;
  int first, last;  // rows of z
};

// Outputs x .. x + U - 1 of a row: every input is loaded once and added to all outputs that it touches.
template <class T, int K, int D, int S, int U, bool Accumulate>
static PYDARTS_INLINE void depthwise_span(T* z, const T* in, int pitch, const T* taps) {
  using V = Vec<T>;
  V acc[U];
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t] = Accumulate ? V::load(z + t * kLanes) : V::zero(); });
  for (int i = 0; i < K; ++i) {
    V tap[K];
    unroll<K>([&](auto j) PYDARTS_INLINED { tap[j] = V::load(taps + (i * K + j) * kLanes); });
    const T* row = in + i * D * pitch;
    unroll<(U - 1) * S + (K - 1) * D + 1>([&](auto position) PYDARTS_INLINED {
      constexpr int at = decltype(position)::value;
      const V x = V::load(row + at * kLanes);
      unroll<K>([&](auto j) PYDARTS_INLINED {
        constexpr int from = at - decltype(j)::value * D;
        if constexpr (from >= 0 && from % S == 0 && from / S < U) acc[from / S].add_product(x, tap[j]);
      });
    });
  }
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t].store(z + t * kLanes); });
}

template <class T, int K, int D, int S, bool Accumulate>
static void depthwise_rows(const DepthwiseRows<T>& a) {
  for (int y = a.first; y < a.last; ++y) {
    const T* in = a.tile + y * S * a.pitch;
    T* z = a.z + y * a.z_pitch;
    int x = 0;
    auto span = [&](auto size) {
      constexpr int U = decltype(size)::value;
      depthwise_span<T, K, D, S, U, Accumulate>(z + x * kLanes, in + x * S * kLanes, a.pitch, a.taps);
      x += U;
    };
    if (a.width % 7 == 0) {
      while (x < a.width) span(Index<7>{});
      continue;
    }
    while (x + 8 <= a.width) span(Index<8>{});
    if (x + 4 <= a.width) span(Index<4>{});
    if (x + 2 <= a.width) span(Index<2>{});
    if (x < a.width) span(Index<1>{});
  }
}

template <class T, bool Accumulate>
static void depthwise_rows_plain(const DepthwiseRows<T>& a, int kernel, int dilation, int stride) {
  using V = Vec<T>;
  for (int y = a.first; y < a.last; ++y)
    for (int x = 0; x < a.width; ++x) {
      T* z = a.z + y * a.z_pitch + x * kLanes;
      V acc = Accumulate ? V::load(z) : V::zero();
      for (int i = 0; i < kernel; ++i)
        for (int j = 0; j < kernel; ++j)
          acc.add_product(
              V::load(a.tile + (y * stride + i * dilation) * a.pitch + (x * stride + j * dilation) * kLanes),
              V::load(a.taps + (i * kernel + j) * kLanes));
      acc.store(z);
    }
}

template <class T, int K, int D, int S, int Rows, int U>
static PYDARTS_INLINE void depthwise_backward_weight_span(Vec<T> (&acc)[Rows][K], const T* in, int pitch, const T* dz) {
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
        if constexpr (from >= 0 && from % S == 0 && from / S < U) acc[i][j].add_product(d[from / S], x);
      });
    });
  });
}

// Taps of rows i .. i + Rows - 1 of the kernel, over the whole plane, held in registers.
template <class T, int K, int D, int S, int Rows>
static void depthwise_backward_weight_rows(T* dtaps, const T* tile, int pitch, const T* dz, int dz_pitch, int height,
                                           int width, bool begins) {
  using V = Vec<T>;
  V acc[Rows][K];
  unroll<Rows>([&](auto i) PYDARTS_INLINED { unroll<K>([&](auto j) PYDARTS_INLINED { acc[i][j] = V::zero(); }); });
  for (int y = 0; y < height; ++y) {
    const T* in = tile + y * S * pitch;
    const T* d = dz + y * dz_pitch;
    int x = 0;
    for (; x + 4 <= width; x += 4)
      depthwise_backward_weight_span<T, K, D, S, Rows, 4>(acc, in + x * S * kLanes, pitch, d + x * kLanes);
    for (; x < width; ++x)
      depthwise_backward_weight_span<T, K, D, S, Rows, 1>(acc, in + x * S * kLanes, pitch, d + x * kLanes);
  }
  unroll<Rows>([&](auto i) PYDARTS_INLINED {
    unroll<K>([&](auto j) PYDARTS_INLINED {
      T* place = dtaps + (i * K + j) * kLanes;
      (begins ? acc[i][j] : V::load(place) + acc[i][j]).store(place);
    });
  });
}

template <class T, int K, int D, int S>
static void depthwise_backward_weight(T* dtaps, const T* tile, int pitch, const T* dz, int dz_pitch, int height,
                                      int width, bool begins) {
  constexpr int kFit = (PYDARTS_REGISTERS - 6) / K;  // kernel rows whose sums fit the registers
  constexpr int kRows = kFit < 1 ? 1 : kFit > K ? K : kFit;
  int i = 0;
  auto rows = [&](auto count) {
    depthwise_backward_weight_rows<T, K, D, S, decltype(count)::value>(dtaps + i * K * kLanes, tile + i * D * pitch,
                                                                       pitch, dz, dz_pitch, height, width, begins);
    i += count;
  };
  while (i + kRows <= K) rows(Index<kRows>{});
  if constexpr (K % kRows != 0) rows(Index<K % kRows>{});
}

template <class T>
static void depthwise_backward_weight_plain(T* dtaps, const T* tile, int pitch, const T* dz, int dz_pitch, int height,
                                            int width, int kernel, int dilation, int stride, bool begins) {
  using V = Vec<T>;
  for (int i = 0; i < kernel; ++i)
    for (int j = 0; j < kernel; ++j) {
      V acc = V::zero();
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
          acc.add_product(V::load(tile + (y * stride + i * dilation) * pitch + (x * stride + j * dilation) * kLanes),
                          V::load(dz + y * dz_pitch + x * kLanes));
      T* place = dtaps + (i * kernel + j) * kLanes;
      (begins ? acc : V::load(place) + acc).store(place);
    }
}

// Stride 2, backward input: the pixels of dx of one parity in x see the taps kx = First, First + Step, ...;
// for them it is a stride-1 sum over dz. `dz` points at output 0 of the first kernel row's dz row; later
// kernel rows lie `pitch` elements earlier.
template <class T, int Count, int U>
static PYDARTS_INLINE void depthwise_parity_span(T* dx, const T* dz, int pitch, const T* taps, int rows, int row_step,
                                                 int tap_step) {
  using V = Vec<T>;
  V acc[U];
  unroll<U>([&](auto t) PYDARTS_INLINED { acc[t] = V::load(dx + t * 2 * kLanes); });
  for (int i = 0; i < rows; ++i) {
    V tap[Count];
    unroll<Count>([&](auto m) PYDARTS_INLINED { tap[m] = V::load(taps + (i * row_step + m * tap_step) * kLanes); });
    const T* row = dz - i * pitch - (Count - 1) * kLanes;
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

// dx[y][x] += sum_{i,j} dz[(y + P - D i) / 2][(x + P - D j) / 2] * taps[i][j] over the whole quotients.
// dz points at its (0, 0), inside a border of zeros.
template <class T, int K, int D>
static void depthwise_backward_input_stride2(T* dx, int height, int width, const T* dz, int pitch, const T* taps) {
  constexpr int P = D * (K - 1) / 2;
  constexpr int kStep = D == 1 ? 2 : 1;  // from one tap of a parity to the next
  for (int y = 0; y < height; ++y) {
    const int first_row = (y + P) & 1;
    if (D == 2 && first_row == 1) continue;
    const int rows = D == 2 ? K : (K - first_row + 1) / 2;
    const T* dz_row = dz + (y + P - first_row) / 2 * pitch;
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
          depthwise_parity_span<T, kCount, decltype(size)::value>(out + u * 2 * kLanes, dz_row + (u + kShift) * kLanes,
                                                                  pitch, first_tap, rows, kStep * K, kStep);
          u += size;
        };
        while (u + 7 <= count) span(Index<7>{});
        if (u + 4 <= count) span(Index<4>{});
        if (u + 2 <= count) span(Index<2>{});
        if (u < count) span(Index<1>{});
      }
    });
  }
}

template <class T>
static void depthwise_backward_input_plain(T* dx, int height, int width, const T* dz, int pitch, int dz_height,
                                           int dz_width, const T* taps, int kernel, int dilation, int stride, int pad) {
  using V = Vec<T>;
  for (int y = 0; y < dz_height; ++y)
    for (int x = 0; x < dz_width; ++x)
      for (int i = 0; i < kernel; ++i)
        for (int j = 0; j < kernel; ++j) {
          const int at_y = y * stride + i * dilation - pad, at_x = x * stride + j * dilation - pad;
          if (at_y < 0 || at_y >= height || at_x < 0 || at_x >= width) continue;
          T* place = dx + (at_y * width + at_x) * kLanes;
          V sum = V::load(place);
          sum.add_product(V::load(dz + y * pitch + x * kLanes), V::load(taps + (i * kernel + j) * kLanes));
          sum.store(place);
        }
}

// Calls f(kernel, dilation, stride) with compile-time arguments where a fast version exists.
template <class F>
static bool with_depthwise_shape(const UnitShape& s, F&& f) {
  if (s.pad != s.dilation * (s.kernel - 1) / 2) return false;
  const int key = s.kernel * 100 + s.dilation * 10 + s.stride_h;
  switch (key) {
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
  }
  return false;
}
