// SPDX-License-Identifier: MIT
// Evaluation of a derived network: rows of one image, with batch normalisations folded into the products. What one
// output pixel is made of, and in which order, does not depend on the rows or tiles that it is computed with.
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

// Factors of a product, in the terms of product.cpp; z[p * Step + k * z_row + block * z_block].
template <class T>
struct RowsProduct {
  T* y;
  std::size_t y_block;
  const int* offset;  // of each pixel in y, which is then written; null: one after the other
  const T* z;
  std::size_t z_row, z_block;
  const T* weights;
  const T* bias;  // null: 0
  int columns, parts, part_blocks, last_lanes;
  bool accumulate, relu;
};

// Count pixels, of which the first `count` are wanted, by Blocks blocks of columns.
template <class T, int Step, int Count, int Blocks, class Int>
static PYDARTS_INLINE void rows_product_tile(const RowsProduct<T>& a, int pixel, Int count, int block) {
  using V = Lanes<T, Blocks * kLanes>;
  V acc[Count];
  const V bias = a.bias ? V::load(a.bias + block * kLanes) : V::zero();
  unroll<Count>([&](auto p) PYDARTS_INLINED { acc[p] = bias; });
  const T* row = a.weights + block * kLanes;
  const T* z = a.z + pixel * Step;
  for (int part = 0; part < a.parts; ++part)
    for (int b = 1; b <= a.part_blocks; ++b, z += a.z_block, row += kLanes * a.columns) {
      const int lanes = b < a.part_blocks ? kLanes : a.last_lanes;  // the others are zero
      const T* zk = z;
      const T* weights = row;
      for (int k = 0; k < lanes; ++k, weights += a.columns, zk += a.z_row) {
        const V w = V::load(weights);
        unroll<Count>([&](auto p) PYDARTS_INLINED { acc[p].add_product(zk[p * Step], w); });
      }
    }
  T* out = a.y + block * a.y_block;
  unroll<Count>([&](auto p) PYDARTS_INLINED {
    if (int(p) >= int(count)) return;
    T* place = out + (a.offset ? a.offset[pixel + p] : (pixel + p) * kLanes);
    unroll<Blocks>([&](auto n) PYDARTS_INLINED {
      Vec<T> value = acc[p].template block<decltype(n)::value>();
      if (a.accumulate) value = value + Vec<T>::load(place + n * a.y_block);
      (a.relu ? value.relu() : value).store(place + n * a.y_block);
    });
  });
}

template <class T, int Step, int Blocks>
static void rows_product_columns(const RowsProduct<T>& a, int pixels, int block) {
  constexpr int kMain = tile_pixels<T, Blocks>() < 12 ? tile_pixels<T, Blocks>() : 12;
  int p = 0;
  auto tile = [&](auto size, auto count) PYDARTS_INLINED {
    rows_product_tile<T, Step, decltype(size)::value, Blocks>(a, p, count, block);
    p += size;
  };
  if constexpr (!kFewSizes<T>) {
    // Few pixels at the end would wait for the latency of each addition: the last tiles are about equal.
    while (pixels - p >= 2 * kMain || pixels - p == kMain) tile(Index<kMain>{}, Index<kMain>{});
    if (kMain == 12 && pixels - p > 16) tile(Index<kMain>{}, Index<kMain>{});
  }
  constexpr int kRest = kMain < 8 ? kMain : 8;
  while (p < pixels) tile(Index<kRest>{}, pixels - p);  // reads further: see take_rows
}

template <class T, int Step>
static void rows_product(const RowsProduct<T>& a, int pixels) {
  const int blocks = a.columns / kLanes;
  int block = 0;
  auto columns = [&](auto size) PYDARTS_INLINED {
    for (; block + size <= blocks; block += size)
      rows_product_columns<T, Step, decltype(size)::value>(a, pixels, block);
  };
  if constexpr (kWidestProduct<T> >= 4) columns(Index<4>{});
  if constexpr (kWidestProduct<T> >= 2) columns(Index<2>{});
  columns(Index<1>{});
}

// Zeros around rows [first, last) of each plane of a tile, and above and below the first and last of all.
template <class T>
static void clear_rows_border(T* tile, int blocks, int h, int w, Halo halo, int first, int last) {
  const std::size_t pitch = std::size_t(w + 2 * halo.w) * kLanes;
  auto clear = [](T* from, std::size_t pixels) {
    for (std::size_t p = 0; p < pixels; ++p) Vec<T>::zero().store(from + p * kLanes);
  };
  for (int b = 0; b < blocks; ++b, tile += (h + 2 * halo.h) * pitch) {
    if (first == 0) clear(tile, std::size_t(halo.h) * (w + 2 * halo.w));
    for (int y = first; y < last; ++y) {
      clear(tile + (y + halo.h) * pitch, halo.w);
      clear(tile + (y + halo.h) * pitch + (w + halo.w) * kLanes, halo.w);
    }
    if (last == h) clear(tile + (h + halo.h) * pitch, std::size_t(halo.h) * (w + 2 * halo.w));
  }
}

template <class T>
void tile_rows(T* tile, const T* x, int blocks, int h, int w, Halo halo, int first, int last, bool relu) {
  const std::size_t pitch = std::size_t(w + 2 * halo.w) * kLanes;
  clear_rows_border(tile, blocks, h, w, halo, first, last);
  for (int b = 0; b < blocks; ++b, tile += (h + 2 * halo.h) * pitch, x += std::size_t(h) * w * kLanes)
    for (int y = first; y < last; ++y)
      read_activation<T>(tile + (y + halo.h) * pitch + halo.w * kLanes, x + std::size_t(y) * w * kLanes, w, nullptr,
                         nullptr, relu);
}

// z[channel, tap][pixel] of a chunk: the taps of an image whose channels are planes.
template <class T>
static void image_rows(T* z, const T* image, int channels, const UnitShape& s, const Chunk& c) {
  for (int t = 0; t < s.taps; ++t)
    for (int channel = 0; channel < channels; ++channel)
      for (int y = c.first; y < c.last; ++y, z += c.columns) {
        T* to = z;
        const int at_y = y * s.stride_h + s.tap_y[t];
        if (at_y < 0 || at_y >= s.in_h) {
          for (int x = 0; x < c.columns; ++x) to[x] = 0;
          continue;
        }
        const int first = c.left * s.stride_w + s.tap_x[t];
        const T* from = image + (std::size_t(channel) * s.in_h + at_y) * s.in_w + first;
        int x = 0;
        for (; x < c.columns && x * s.stride_w + first < 0; ++x) to[x] = 0;
        if (s.stride_w == 1) {
          const int inside = s.in_w - first < c.columns ? s.in_w - first : c.columns;
          using V = Vec<T>;
          for (; x + kLanes <= inside; x += kLanes) V::load(from + x).store(to + x);
          for (; x < inside; ++x) to[x] = from[x];
        }
        for (; x < c.columns; ++x) to[x] = x * s.stride_w + first < s.in_w ? from[x * s.stride_w] : T(0);
      }
}

template <class T>
void unit_rows(const UnitRows<T>& a) {
  const UnitShape& s = *a.shape;
  const bool tiled = a.y_halo.any();
  const std::size_t pitch = std::size_t(s.out_w + 2 * a.y_halo.w) * kLanes;
  if (tiled) clear_rows_border(a.y, s.out_blocks, s.out_h, s.out_w, a.y_halo, a.first, a.last);
  RowsProduct<T> product{};
  product.y_block = (s.out_h + 2 * a.y_halo.h) * pitch;
  product.offset = tiled ? a.offset : nullptr;
  Scratch<T> scratch = a.scratch;
  T* z = take_rows(s, a.rows, scratch);
  product.z = z;
  product.weights = a.product;
  product.bias = a.bias;
  product.columns = s.out_blocks * kLanes;
  product.accumulate = a.accumulate;
  product.relu = a.y_relu;
  auto rows_of = [&](const Chunk& c) {
    product.y = a.y + (c.first + a.y_halo.h) * pitch + (c.left + a.y_halo.w) * kLanes;
    if (a.image) {
      product.parts = product.part_blocks = 1;
      product.last_lanes = s.taps * a.channels;
      product.z_row = c.pixels;
      image_rows(z, a.image, a.channels, s, c);
      return rows_product<T, 1>(product, c.pixels);
    }
    product.parts = s.z_blocks() / a.part_blocks;
    product.part_blocks = a.part_blocks;
    product.last_lanes = a.channels - (a.part_blocks - 1) * kLanes;
    product.z_row = 1;
    product.z_block = c.block();
    spread(z, s, UnitInput<T>{{a.x, 0}, a.halo, nullptr, nullptr, a.relu, a.depthwise}, c);
    rows_product<T, kLanes>(product, c.pixels);
  };
  const int columns = chunk_columns(s.out_w);
  for (int y = a.first; y < a.last; y += a.rows) {
    const int last = y + a.rows < a.last ? y + a.rows : a.last;
    for (int x = 0; x < s.out_w; x += columns) {
      const int count = s.out_w - x < columns ? s.out_w - x : columns;
      rows_of(Chunk{0, 1, y, last, x, count, (last - y) * count});
    }
  }
}

// Rows of a pool: over the columns' maxima or sums, then for all nodes that it goes to.
template <class T>
void pool_rows(const PoolRows<T>& a) {
  using V = Vec<T>;
  const PoolShape& s = *a.shape;
  const std::size_t in_plane = std::size_t(s.in_h) * s.in_w * kLanes,
                    out_plane = std::size_t(s.out_h) * s.out_w * kLanes;
  Scratch<T> scratch = a.scratch;
  T* column = scratch.take(std::size_t(s.in_w) * kLanes);
  const Join join = s.max ? Join::max_or_nan : Join::sum;
  for (int b = 0; b < s.blocks; ++b)
    for (int y = a.first; y < a.last; ++y) {
      const Window rows = pool_window(s, y, 0);
      const T* in = a.x + b * in_plane + std::size_t(rows.top) * s.in_w * kLanes;
      for (int x = 0; x < s.in_w; ++x) {
        V value = V::load(in + x * kLanes);
        for (int i = 1; i < rows.bottom - rows.top; ++i)
          value = joined(join, value, V::load(in + (std::size_t(i) * s.in_w + x) * kLanes));
        value.store(column + x * kLanes);
      }
      for (int x = 0; x < s.out_w; ++x) {
        const Window w = pool_window(s, y, x);
        V value = V::load(column + w.left * kLanes);
        for (int j = w.left + 1; j < w.right; ++j) value = joined(join, value, V::load(column + j * kLanes));
        if (!s.max) value = value * V::fill(T(1) / T((w.bottom - w.top) * (w.right - w.left)));
        const std::size_t at = b * out_plane + (std::size_t(y) * s.out_w + x) * kLanes;
        for (int i = 0; i < a.count; ++i) {
          T* to = a.y[i] + at;
          (a.accumulate[i] ? V::load(to) + value : value).store(to);
        }
      }
    }
}

template <class T>
void add_rows(T* y, const T* x, int blocks, int h, int w, int first, int last, bool accumulate) {
  const std::size_t plane = std::size_t(h) * w * kLanes, begin = std::size_t(first) * w * kLanes;
  for (int b = 0; b < blocks; ++b, y += plane, x += plane)
    for_pixels<T>((last - first) * w, [&](auto size, int p) PYDARTS_INLINED {
      using V = Lanes<T, size * kLanes>;
      T* to = y + begin + p * kLanes;
      const V value = V::load(x + begin + p * kLanes);
      (accumulate ? V::load(to) + value : value).store(to);
    });
}

template <class T>
void channel_sums(double* sums, const T* x, int blocks, int h, int w) {
  for (int b = 0; b < blocks; ++b, sums += kLanes) {
    for (int i = 0; i < kLanes; ++i) sums[i] = 0;
    for (int y = 0; y < h; ++y, x += std::size_t(w) * kLanes) plane_sum(x, w).add_to(sums);
  }
}

#define PYDARTS_INSTANTIATE(T)                  \
  template decltype(unit_rows<T>) unit_rows<T>; \
  template decltype(pool_rows<T>) pool_rows<T>; \
  template decltype(tile_rows<T>) tile_rows<T>; \
  template decltype(add_rows<T>) add_rows<T>;   \
  template decltype(channel_sums<T>) channel_sums<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts
