// SPDX-License-Identifier: MIT
// The matrix product of a unit: rows are pixels of a chunk, columns are channels.
// z: [k_blocks][pixel][lane]; weights: [k_blocks * lanes][out_blocks * lanes].

// Where a chunk's pixels go: out + offset[pixel] + block * out_block. What stands at ahead[0] and ahead[1], from pixel
// 0 of the chunk and ahead_block apart, is prefetched on the way (null: nothing).
template <class T>
struct Scatter {
  T* out;
  const int* offset;
  std::size_t out_block;
  const T* ahead[2];
  std::size_t ahead_block;
};

template <class T, int Pixels, int Blocks, bool Accumulate, bool Sums>
static PYDARTS_INLINE void product_tile(const Scatter<T>& to, int pixel, int block, const T* z, std::size_t z_block,
                                        const T* weights, int columns, int k_blocks, T* sums) {
  using V = Vec<T>;
  V acc[Pixels][Blocks];
  unroll<Pixels>([&](auto p)
                     PYDARTS_INLINED { unroll<Blocks>([&](auto n) PYDARTS_INLINED { acc[p][n] = V::zero(); }); });
  for (const T* ahead : to.ahead)
    if (ahead)
      unroll<Blocks>([&](auto n) PYDARTS_INLINED {
        const T* next = ahead + (block + n) * to.ahead_block + pixel * kLanes;
        for (int i = 0; i < Pixels * kLanes; i += kLine<T>) PYDARTS_PREFETCH(next + i);
      });
  const T* row = weights + block * kLanes;
  for (int kb = 0; kb < k_blocks; ++kb) {
    const T* zk = z + kb * z_block + pixel * kLanes;
    for (int k = 0; k < kLanes; ++k, row += columns) {
      V w[Blocks];
      unroll<Blocks>([&](auto n) PYDARTS_INLINED { w[n] = V::load(row + n * kLanes); });
      unroll<Pixels>([&](auto p) PYDARTS_INLINED {
        const T value = zk[p * kLanes + k];
        unroll<Blocks>([&](auto n) PYDARTS_INLINED { acc[p][n].add_product(value, w[n]); });
      });
    }
  }
  unroll<Blocks>([&](auto n) PYDARTS_INLINED {
    T* out = to.out + (block + n) * to.out_block;
    // Two of each: one alone would wait for the latency of each addition.
    [[maybe_unused]] V sum[2] = {V::zero(), V::zero()}, squares[2] = {V::zero(), V::zero()};
    [[maybe_unused]] V pivot;
    [[maybe_unused]] T* s = nullptr;
    if constexpr (Sums) {
      s = sums + (block + n) * 3 * kLanes;
      pivot = pixel == 0 ? acc[0][n] : V::load(s + 2 * kLanes);
      pivot.store(s + 2 * kLanes);
    }
    unroll<Pixels>([&](auto p) PYDARTS_INLINED {
      V value = acc[p][n];
      T* place = out + to.offset[pixel + p];
      if constexpr (Accumulate) value = value + V::load(place);
      value.store(place);
      if constexpr (Sums) {
        const V distance = value - pivot;
        sum[p % 2] = sum[p % 2] + distance;
        squares[p % 2].add_product(distance, distance);
      }
    });
    if constexpr (Sums) {
      (V::load(s) + (sum[0] + sum[1])).store(s);
      (V::load(s + kLanes) + (squares[0] + squares[1])).store(s + kLanes);
    }
  });
}

template <class T, int Blocks, bool Accumulate, bool Sums>
static void product_columns(const Scatter<T>& to, int pixels, int block, const T* z, std::size_t z_block,
                            const T* weights, int columns, int k_blocks, T* sums) {
  constexpr int kMain = Blocks == 1 || PYDARTS_REGISTERS >= 32 ? 12 : 6;
  int p = 0;
  auto tiles = [&](auto size) {
    product_tile<T, decltype(size)::value, Blocks, Accumulate, Sums>(to, p, block, z, z_block, weights, columns,
                                                                     k_blocks, sums);
    p += size;
  };
  while (p + kMain <= pixels) tiles(Index<kMain>{});
  if constexpr (kMain > 6) {
    if (p + 6 <= pixels) tiles(Index<6>{});
  }
  switch (pixels - p) {
    case 5:
      return tiles(Index<5>{});
    case 4:
      return tiles(Index<4>{});
    case 3:
      return tiles(Index<3>{});
    case 2:
      return tiles(Index<2>{});
    case 1:
      return tiles(Index<1>{});
  }
}

// The sum and sum of squares of `count` pixels, from those of their distances to a pivot. Near a large mean, sums of
// squares in T would leave no digits for the variance.
template <class T>
static void add_sums(double* sums, double* squares, const T* distances, const T* distances_squared, const T* pivot,
                     int count) {
  for (int i = 0; i < kLanes; ++i) {
    const double first = double(distances[i]), at = double(pivot[i]);
    sums[i] += first + count * at;
    squares[i] += double(distances_squared[i]) + at * (2 * first + count * at);
  }
}

// to (+)= z * weights. sums[block][0 and 1][lane] += the distances of what was stored to the first pixel of all, and
// their squares; that pixel goes to sums[block][2].
template <class T, bool Accumulate, bool Sums>
static void product(const Scatter<T>& to, int pixels, const T* z, std::size_t z_block, const T* weights, int k_blocks,
                    int out_blocks, T* sums) {
  const int columns = out_blocks * kLanes;
  int block = 0;
  for (; block + 2 <= out_blocks; block += 2)
    product_columns<T, 2, Accumulate, Sums>(to, pixels, block, z, z_block, weights, columns, k_blocks, sums);
  if (block < out_blocks)
    product_columns<T, 1, Accumulate, Sums>(to, pixels, block, z, z_block, weights, columns, k_blocks, sums);
}

template <class T, int Rows, int Blocks>
static PYDARTS_INLINE void product_backward_weight_tile(T* dw, int columns, const T* z, const T* dy,
                                                        std::size_t dy_block, int pixels, bool begins) {
  using V = Vec<T>;
  V acc[Rows][Blocks];
  unroll<Rows>([&](auto k) PYDARTS_INLINED { unroll<Blocks>([&](auto n) PYDARTS_INLINED { acc[k][n] = V::zero(); }); });
  for (int p = 0; p < pixels; ++p) {
    V d[Blocks];
    unroll<Blocks>([&](auto n) PYDARTS_INLINED { d[n] = V::load(dy + n * dy_block + p * kLanes); });
    unroll<Rows>([&](auto k) PYDARTS_INLINED {
      const T value = z[p * kLanes + k];
      unroll<Blocks>([&](auto n) PYDARTS_INLINED { acc[k][n].add_product(value, d[n]); });
    });
  }
  unroll<Rows>([&](auto k) PYDARTS_INLINED {
    unroll<Blocks>([&](auto n) PYDARTS_INLINED {
      T* place = dw + k * columns + n * kLanes;
      (begins ? acc[k][n] : V::load(place) + acc[k][n]).store(place);
    });
  });
}

// dw (+)= z^T * dy; `begins`: dw is written.
template <class T>
static void product_backward_weight(T* dw, const T* z, std::size_t z_block, const T* dy, std::size_t dy_block,
                                    int k_blocks, int out_blocks, int pixels, bool begins) {
  constexpr int kRows = PYDARTS_REGISTERS >= 32 ? 8 : 4;
  const int columns = out_blocks * kLanes;
  for (int kb = 0; kb < k_blocks; ++kb) {
    const T* zk = z + kb * z_block;
    T* rows = dw + kb * kLanes * columns;
    int block = 0;
    for (; block + 2 <= out_blocks; block += 2)
      for (int k = 0; k < kLanes; k += kRows)
        product_backward_weight_tile<T, kRows, 2>(rows + k * columns + block * kLanes, columns, zk + k,
                                                  dy + block * dy_block, dy_block, pixels, begins);
    if (block < out_blocks)
      product_backward_weight_tile<T, kLanes, 1>(rows + block * kLanes, columns, zk, dy + block * dy_block, dy_block,
                                                 pixels, begins);
  }
}
