// SPDX-License-Identifier: MIT
// The matrix product of a unit: rows are pixels of a chunk, columns are channels.
// z: [k_blocks][pixel][lane]; weights: [k_blocks * lanes][out_blocks * lanes].
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

template <class T, int Count, int Blocks>
static PYDARTS_INLINE void prefetch_ahead(const Scatter<T>& to, int pixel, int block) {
  for (const T* ahead : to.ahead)
    if (ahead)
      unroll<Blocks>([&](auto n) PYDARTS_INLINED {
        const T* next = ahead + (block + n) * to.ahead_block + pixel * kLanes;
        for (int i = 0; i < Count * kLanes; i += kLine<T>) PYDARTS_PREFETCH(next + i);
      });
}

template <class T, int Blocks>
static PYDARTS_INLINE void start_distances(const Distances<T>& sums, int pixel, int block,
                                           const Lanes<T, Blocks * kLanes>& first) {
  if (pixel == 0) first.store(sums.pivot + block * kLanes);
}

template <class T, int Blocks>
static PYDARTS_INLINE void add_distances(const Distances<T>& sums, int block, const Lanes<T, Blocks * kLanes>& sum,
                                         const Lanes<T, Blocks * kLanes>& squares) {
  using V = Lanes<T, Blocks * kLanes>;
  T *to_sum = sums.sum + block * kLanes, *to_squares = sums.squares + block * kLanes;
  (V::load(to_sum) + sum).store(to_sum);
  (V::load(to_squares) + squares).store(to_squares);
}

// Count pixels, of which the first `count` are wanted, by Blocks blocks of columns, whose channels lie side by side in
// vectors.
template <class T, int Count, int Blocks, bool Accumulate, bool Sums, class Int>
static PYDARTS_INLINE void product_tile(const Scatter<T>& to, int pixel, Int count, int block, const T* z,
                                        std::size_t z_block, const T* weights, int columns, int k_blocks,
                                        const Distances<T>& sums) {
  using V = Lanes<T, Blocks * kLanes>;
  V acc[Count];
  unroll<Count>([&](auto p) PYDARTS_INLINED { acc[p] = V::zero(); });
  prefetch_ahead<T, Count, Blocks>(to, pixel, block);
  const T* row = weights + block * kLanes;
  for (int kb = 0; kb < k_blocks; ++kb) {
    const T* zk = z + kb * z_block + pixel * kLanes;
    for (int k = 0; k < kLanes; ++k, row += columns) {
      const V w = V::load(row);
      unroll<Count>([&](auto p) PYDARTS_INLINED { acc[p].add_product(zk[p * kLanes + k], w); });
    }
  }
  // Two of each: one alone would wait for the latency of each addition.
  [[maybe_unused]] V sum[2] = {V::zero(), V::zero()}, squares[2] = {V::zero(), V::zero()}, pivot;
  if constexpr (Sums) {
    start_distances<T, Blocks>(sums, pixel, block, acc[0]);
    pivot = V::load(sums.pivot + block * kLanes);
  }
  // In variables of their own, which no store can change.
  T* const out = to.out + block * to.out_block;
  const int* const offset = to.offset + pixel;
  const std::size_t out_block = to.out_block;
  const bool streams = Sums && PYDARTS_VECTOR_BYTES == 64 && to.streams;
  unroll<Count>([&](auto p) PYDARTS_INLINED {
    if (int(p) >= int(count)) return;
    if constexpr (Sums) {
      const V distance = acc[p] - pivot;
      sum[p % 2] = sum[p % 2] + distance;
      squares[p % 2].add_product(distance, distance);
    }
    if (streams) {
#if PYDARTS_VECTOR_BYTES == 64
      if constexpr (p % 2 == 1)
        unroll<Blocks>([&](auto n) PYDARTS_INLINED {
          stream(out + offset[p - 1] + n * out_block,
                 halves(acc[p - 1].part[n / 2], acc[p].part[n / 2], Index<n % 2>{}));
        });
#endif
      return;
    }
    T* place = out + offset[p];
    unroll<Blocks>([&](auto n) PYDARTS_INLINED {
      Vec<T> value = acc[p].template block<decltype(n)::value>();
      if constexpr (Accumulate) value = value + Vec<T>::load(place + n * out_block);
      value.store(place + n * out_block);
    });
  });
  if constexpr (Sums) add_distances<T, Blocks>(sums, block, sum[0] + sum[1], squares[0] + squares[1]);
}

#if PYDARTS_VECTOR_BYTES == 64
// One block of columns where a vector is twice as wide: two pixels a vector, so Count is even.
template <class T, int Count, bool Accumulate, bool Sums, class Int>
static PYDARTS_INLINE void product_tile_of_pairs(const Scatter<T>& to, int pixel, Int count, int block, const T* z,
                                                 std::size_t z_block, const T* weights, int columns, int k_blocks,
                                                 const Distances<T>& sums) {
  using V = Pixels<T>;
  V acc[Count / 2];
  unroll<Count / 2>([&](auto q) PYDARTS_INLINED { acc[q] = V::zero(); });
  prefetch_ahead<T, Count, 1>(to, pixel, block);
  const T* row = weights + block * kLanes;
  for (int kb = 0; kb < k_blocks; ++kb) {
    const T* zk = z + kb * z_block + pixel * kLanes;
    unroll<kLanes>([&](auto k) PYDARTS_INLINED {
      const V w = repeated<T>(Vec<T>::load(row));
      unroll<Count / 2>([&](auto q) PYDARTS_INLINED {
        acc[q].part[0] += lane_of_halves<k>(V::load(zk + q * 2 * kLanes).part[0]) * w.part[0];
      });
      row += columns;
    });
  }
  [[maybe_unused]] V sum[2] = {V::zero(), V::zero()}, squares[2] = {V::zero(), V::zero()}, pivot;
  if constexpr (Sums) {
    start_distances<T, 1>(sums, pixel, block, acc[0].template block<0>());
    pivot = repeated<T>(Vec<T>::load(sums.pivot + block * kLanes));
  }
  T* const out = to.out + block * to.out_block;
  const int* const offset = to.offset + pixel;
  const bool streams = Sums && to.streams;
  unroll<Count / 2>([&](auto q) PYDARTS_INLINED {
    if (2 * q >= int(count)) return;
    const bool both = 2 * q + 1 < int(count);
    if constexpr (Sums) {
      V distance = acc[q] - pivot;
      if (!both) distance = alone<T>(distance.template block<0>());
      sum[q % 2] = sum[q % 2] + distance;
      squares[q % 2].add_product(distance, distance);
    }
    if (streams) return stream(out + offset[2 * q], acc[q].part[0]);
    auto give = [&](const Vec<T>& value, T* place)
                    PYDARTS_INLINED { (Accumulate ? value + Vec<T>::load(place) : value).store(place); };
    give(acc[q].template block<0>(), out + offset[2 * q]);
    if (both) give(acc[q].template block<1>(), out + offset[2 * q + 1]);
  });
  if constexpr (Sums) add_distances<T, 1>(sums, block, folded<T>(sum[0] + sum[1]), folded<T>(squares[0] + squares[1]));
}
#endif

template <class T, int Blocks, bool Accumulate, bool Sums>
static void product_columns(const Scatter<T>& to, int pixels, int block, const T* z, std::size_t z_block,
                            const T* weights, int columns, int k_blocks, const Distances<T>& sums) {
  int p = 0;
  auto tile = [&](auto size, auto count) PYDARTS_INLINED {
    constexpr int kSize = decltype(size)::value;
#if PYDARTS_VECTOR_BYTES == 64
    if constexpr (Blocks < kPixels<T>)
      product_tile_of_pairs<T, kSize, Accumulate, Sums>(to, p, count, block, z, z_block, weights, columns, k_blocks,
                                                        sums);
    else
#endif
      product_tile<T, kSize, Blocks, Accumulate, Sums>(to, p, count, block, z, z_block, weights, columns, k_blocks,
                                                       sums);
    p += kSize;
  };
  constexpr int kMain = Blocks < kPixels<T> ? 16 : tile_pixels<T, Blocks>(), kRest = kMain < 4 ? kMain : 4;
  while (p + kMain <= pixels) tile(Index<kMain>{}, Index<kMain>{});
  if constexpr (kMain >= 12) {
    if (p + 8 <= pixels) tile(Index<8>{}, Index<8>{});
  }
  while (p < pixels) tile(Index<kRest>{}, pixels - p);  // reads further, at most into the kChunkPad of z
}

// to (+)= z * weights, and if Sums its distances, to which are added those of what was stored.
template <class T, bool Accumulate, bool Sums>
void product(const Scatter<T>& to, int pixels, const T* z, std::size_t z_block, const T* weights, int k_blocks,
             int out_blocks, const Distances<T>& sums) {
  const int columns = out_blocks * kLanes;
  int block = 0;
  auto blocks = [&](auto size) PYDARTS_INLINED {
    for (; block + size <= out_blocks; block += size)
      product_columns<T, decltype(size)::value, Accumulate, Sums>(to, pixels, block, z, z_block, weights, columns,
                                                                  k_blocks, sums);
  };
  if constexpr (kWidestProduct<T> >= 4) blocks(Index<4>{});
  if constexpr (kWidestProduct<T> >= 2) blocks(Index<2>{});
  blocks(Index<1>{});
}

// dw (+)= z^T * dy for the rows of KBlocks blocks of z, or Rows of one, and Blocks blocks of columns.
template <class T, int Rows, int KBlocks, int Blocks>
static PYDARTS_INLINE void product_backward_weight_tile(T* dw, int columns, const T* z, std::size_t z_block,
                                                        const T* dy, std::size_t dy_block, int pixels, bool begins) {
  using V = Lanes<T, Blocks * kLanes>;
  V acc[KBlocks][Rows];
  unroll<KBlocks>([&](auto b)
                      PYDARTS_INLINED { unroll<Rows>([&](auto k) PYDARTS_INLINED { acc[b][k] = V::zero(); }); });
  for (int p = 0; p < pixels; ++p) {
    const V d = V::load_blocks(dy + p * kLanes, dy_block);
    unroll<KBlocks>([&](auto b) PYDARTS_INLINED {
      const T* zp = z + b * z_block + p * kLanes;
      unroll<Rows>([&](auto k) PYDARTS_INLINED { acc[b][k].add_product(zp[k], d); });
    });
  }
  unroll<KBlocks>([&](auto b) PYDARTS_INLINED {
    unroll<Rows>([&](auto k) PYDARTS_INLINED {
      T* place = dw + (b * kLanes + k) * columns;
      (begins ? acc[b][k] : V::load(place) + acc[b][k]).store(place);
    });
  });
}

#if PYDARTS_VECTOR_BYTES == 64
// The same for one block of columns where a vector is twice as wide: two pixels a vector.
template <class T>
static PYDARTS_INLINE void product_backward_weight_of_pairs(T* dw, int columns, const T* z, const T* dy, int pixels,
                                                            bool begins) {
  using V = Pixels<T>;
  V acc[kLanes];
  unroll<kLanes>([&](auto k) PYDARTS_INLINED { acc[k] = V::zero(); });
  for_pixels<T>(pixels, [&](auto count, int p) PYDARTS_INLINED {
    const V d = load_pixels<T, decltype(count)::value>(dy + p * kLanes);
    const V value = load_pixels<T, decltype(count)::value>(z + p * kLanes);
    unroll<kLanes>([&](auto k) PYDARTS_INLINED { acc[k].part[0] += lane_of_halves<k>(value.part[0]) * d.part[0]; });
  });
  unroll<kLanes>([&](auto k) PYDARTS_INLINED {
    T* place = dw + k * columns;
    const Vec<T> sum = folded<T>(acc[k]);
    (begins ? sum : Vec<T>::load(place) + sum).store(place);
  });
}
#endif

// dw (+)= z^T * dy; `begins`: dw is written.
template <class T>
void product_backward_weight(T* dw, const T* z, std::size_t z_block, const T* dy, std::size_t dy_block, int k_blocks,
                             int out_blocks, int pixels, bool begins) {
  const int columns = out_blocks * kLanes;
  int block = 0, kb = 0;
  auto tile = [&](auto k_count, auto count) PYDARTS_INLINED {
    constexpr int kCount = decltype(count)::value, kParts = Lanes<T, kCount * kLanes>::kParts;
    constexpr int kRows = (kLanes + 1) * kParts < PYDARTS_REGISTERS ? kLanes : kLanes / 2;
    for (; kb + k_count <= k_blocks; kb += k_count)
      for (int k = 0; k < kLanes; k += kRows)
        product_backward_weight_tile<T, kRows, decltype(k_count)::value, kCount>(
            dw + (kb * kLanes + k) * columns + block * kLanes, columns, z + kb * z_block + k, z_block,
            dy + block * dy_block, dy_block, pixels, begins);
  };
  auto blocks = [&](auto count) PYDARTS_INLINED {
    for (; block + count <= out_blocks; block += count) {
      kb = 0;
      // A vector of outputs is used by as many rows as there are registers.
      if constexpr (decltype(count)::value == kPixels<T> && kPixels<T> > 1) tile(Index<2>{}, count);
      tile(Index<1>{}, count);
    }
  };
  if constexpr (kWidestProduct<T> >= 4) blocks(Index<4>{});
  if constexpr (kWidestProduct<T> >= 2) blocks(Index<2>{});
#if PYDARTS_VECTOR_BYTES == 64
  if constexpr (kPixels<T> > 1) {
    if (block < out_blocks)
      for (kb = 0; kb < k_blocks; ++kb)
        product_backward_weight_of_pairs(dw + kb * kLanes * columns + block * kLanes, columns, z + kb * z_block,
                                         dy + block * dy_block, pixels, begins);
    return;
  }
#endif
  blocks(Index<1>{});
}

#define PYDARTS_INSTANTIATE(T)                                          \
  template decltype(product<T, false, false>) product<T, false, false>; \
  template decltype(product<T, false, true>) product<T, false, true>;   \
  template decltype(product<T, true, false>) product<T, true, false>;   \
  template decltype(product_backward_weight<T>) product_backward_weight<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts
