// SPDX-License-Identifier: MIT
// A unit, [ReLU ->] spread -> product, forward and backward, in chunks of pixels that stay in the L1 cache.
#include "kernels/set.hpp"

namespace pydarts {
namespace PYDARTS_ISA {

constexpr int kWriteAhead = 96;  // pixels by which y is prefetched before it is written
template <class F>
static void for_chunks(const UnitShape& s, int samples, F&& f) {
  const int plane = s.out_plane();
  if (plane <= kChunk) {
    const int together = kChunk / plane;
    for (int n = 0; n < samples; n += together) {
      const int count = samples - n < together ? samples - n : together;
      f(Chunk{n, count, 0, s.out_h, 0, s.out_w, count * plane});
    }
    return;
  }
  if (s.out_w > kChunk) {
    const int columns = chunk_columns(s.out_w);
    for (int n = 0; n < samples; ++n)
      for (int y = 0; y < s.out_h; ++y)
        for (int x = 0; x < s.out_w; x += columns) {
          const int count = s.out_w - x < columns ? s.out_w - x : columns;
          f(Chunk{n, 1, y, y + 1, x, count, count});
        }
    return;
  }
  const int chunks = (plane + kChunk - 1) / kChunk;
  int rows = (s.out_h + chunks - 1) / chunks;
  if (rows * s.out_w > kChunk) rows = kChunk / s.out_w;
  for (int n = 0; n < samples; ++n)
    for (int y = 0; y < s.out_h; y += rows) {
      const int last = y + rows < s.out_h ? y + rows : s.out_h;
      f(Chunk{n, 1, y, last, 0, s.out_w, (last - y) * s.out_w});
    }
}

// The first pixel of a chunk in an activation, or in a tile of the same size with a halo; offset[pixel] leads from it
// to the others.
template <class T>
static T* chunk_place(T* data, int* offset, const Chunk& c, int width, std::size_t sample_stride, Halo halo) {
  const int pitch = (width + 2 * halo.w) * kLanes;
  if (c.begins())  // the first chunk is the largest: the others' offsets begin like its own
    for (int n = 0; n < c.samples; ++n)
      for (int y = 0; y < c.last; ++y)
        for (int x = 0; x < c.columns; ++x) *offset++ = int(n * sample_stride) + y * pitch + x * kLanes;
  return data + c.sample * sample_stride + (c.first + halo.h) * pitch + (c.left + halo.w) * kLanes;
}

// z: [z_blocks][pixels][lane] of one chunk, blocks c.block() apart.
template <class T>
void spread(T* z, const UnitShape& s, const UnitInput<T>& in, const Chunk& c) {
  const int rows = c.last - c.first, pitch = (s.in_w + 2 * in.halo.w) * kLanes;
  for (int b = 0; b < s.in_blocks; ++b)
    for (int n = 0; n < c.samples; ++n) {
      const int sample = c.sample + n;
      T* zb = z + b * c.block() + n * rows * c.columns * kLanes;
      switch (s.spread) {
        case Spread::pointwise: {
          const T* x = in.x.data + sample * in.x.stride + (std::size_t(b) * s.in_plane() + c.place(s.in_w)) * kLanes;
          read_activation(zb, x, rows * c.columns, in.scale ? in.scale + b * kLanes : nullptr,
                          in.scale ? in.shift + b * kLanes : nullptr, in.relu);
          break;
        }
        case Spread::depthwise: {
          const T* taps = in.depthwise + b * s.kernel_taps() * kLanes;
          const T* tile = tile_at(s, in, sample, b, c.first * s.stride_h - s.pad_h, c.left * s.stride_w - s.pad_w);
          const DepthwiseRows<T> rows_of{zb,         c.columns * kLanes, c.columns, tile, pitch, taps,
                                         s.kernel_h, s.stride_h,         0,         rows, false};
          depthwise(rows_of, s);
          break;
        }
        case Spread::gather:
          for (int t = 0; t < s.taps; ++t) {
            T* zt = zb + std::size_t(t) * s.in_blocks * c.block();
            for (int y = c.first; y < c.last; ++y) {
              const T* x = tile_at(s, in, sample, b, y * s.stride_h + s.tap_y[t], c.left * s.stride_w + s.tap_x[t]);
              for (int p = 0; p < c.columns; ++p, zt += kLanes) Vec<T>::load(x + p * s.stride_w * kLanes).store(zt);
            }
          }
          break;
      }
    }
}

template <class T>
void unit_forward(const UnitForward<T>& a) {
  const UnitShape& s = *a.shape;
  const UnitInput<T> in{a.x, a.halo, a.scale, a.shift, a.relu, a.depthwise};
  const int lanes = s.out_blocks * kLanes;
  Scratch<T> scratch = a.scratch;
  const UnitBuffers<T> own(s, a.samples, scratch);
  const Distances<T> distances{own.distances, own.distances + lanes, own.distances + 2 * lanes};
  const std::size_t y_block = std::size_t(s.out_plane()) * kLanes;
  const bool streams = kPixels<T> == 2 && a.y_streams && s.out_w % 2 == 0 && std::uintptr_t(a.y.data) % 64 == 0;
  for_chunks(s, a.samples, [&](const Chunk& c) {
    spread(own.z, s, in, c);
    T* y = chunk_place(a.y.data, own.offset, c, s.out_w, a.y.stride, Halo{});
    for (int i = 0; i < lanes; ++i) distances.sum[i] = distances.squares[i] = 0;
    const T* ahead = streams ? nullptr : y + kWriteAhead * kLanes;
    product<T, false, true>({y, own.offset, y_block, {ahead, nullptr}, y_block, streams}, c.pixels, own.z, c.block(),
                            a.product, s.z_blocks(), s.out_blocks, distances);
    for (int i = 0; i < lanes; i += kLanes)
      add_sums(a.sums + i, a.sums + lanes + i, distances.sum + i, distances.squares + i, distances.pivot + i, c.pixels);
  });
#if PYDARTS_VECTOR_BYTES == 64
  if (streams) finish_streams();
#endif
}

// dy of one chunk: [out_blocks][pixels][lane], blocks c.block() apart.
template <class T>
static void unit_output_gradient(T* dy_chunk, const UnitBackward<T>& a, const Chunk& c) {
  using V = Vec<T>;
  const UnitShape& s = *a.shape;
  const int count = (c.last - c.first) * c.columns;
  for (int b = 0; b < s.out_blocks; ++b) {
    const V weight = V::load(a.a + b * kLanes);
    const PerChannel<T> slope = V::load(a.b + b * kLanes), level = V::load(a.c + b * kLanes);
    T* dy = dy_chunk + b * c.block();
    for (int n = 0; n < c.samples; ++n) {
      const int sample = c.sample + n;
      const std::size_t at = (std::size_t(b) * s.out_plane() + c.place(s.out_w)) * kLanes;
      const T* g = a.g.data + sample * a.g.stride + at;
      const T* y = a.y.data + sample * a.y.stride + at;
      const PerChannel<T> scaled = a.factor ? weight * V::fill(a.factor[sample]) : weight;
      for_pixels<T>(count, [&](auto size, int p) PYDARTS_INLINED {
        using W = Lanes<T, size * kLanes>;
        W value = level.template of<size>();
        value.add_product(slope.template of<size>(), W::load(y + p * kLanes));
        value.add_product(scaled.template of<size>(), W::load(g + p * kLanes));
        value.store(dy + p * kLanes);
      });
      dy += count * kLanes;
    }
  }
}

// dx += the chunk's dz, every tap at its place.
template <class T>
static void gather_backward(View<T> dx, const T* dz, const UnitShape& s, const Chunk& c) {
  const int stride = s.stride_w;
  for (int t = 0; t < s.taps; ++t) {
    // Columns of the chunk whose tap lies in the image.
    const int tap = c.left * stride + s.tap_x[t];
    const int begin = tap < 0 ? (stride - 1 - tap) / stride : 0, inside = s.in_w - tap + stride - 1;
    const int end = inside < c.columns * stride ? inside / stride : c.columns;
    for (int b = 0; b < s.in_blocks; ++b) {
      const T* d = dz + (t * s.in_blocks + b) * c.block();
      for (int n = 0; n < c.samples; ++n)
        for (int y = c.first; y < c.last; ++y, d += c.columns * kLanes) {
          const int at_y = y * s.stride_h + s.tap_y[t];
          if (at_y < 0 || at_y >= s.in_h || begin >= end) continue;
          T* row = dx.data + (c.sample + n) * dx.stride + (std::size_t(b) * s.in_plane() + at_y * s.in_w) * kLanes;
          row += (begin * stride + tap) * kLanes;
          auto add = [&](auto size, int x, int to) PYDARTS_INLINED {
            using V = Lanes<T, size * kLanes>;
            (V::load(row + to * kLanes) + V::load(d + (begin + x) * kLanes)).store(row + to * kLanes);
          };
          if (stride == 1)
            for_pixels<T>(end - begin, [&](auto size, int x) PYDARTS_INLINED { add(size, x, x); });
          else
            for (int x = 0; x < end - begin; ++x) add(Index<1>{}, x, x * stride);
        }
    }
  }
}

// Whether the backward of the spread can write its result; else it adds to zeros.
template <class T>
static bool writes_every_input(const UnitShape& s) {
  return s.spread == Spread::pointwise || (s.spread == Spread::depthwise && depthwise_writes_input<T>(s));
}

template <class T>
void unit_backward(const UnitBackward<T>& a) {
  const UnitShape& s = *a.shape;
  const UnitInput<T> in{a.x, a.halo, a.scale, a.shift, a.relu, a.depthwise};
  Scratch<T> scratch = a.scratch;
  const UnitBuffers<T> own(s, a.samples, scratch);
  T *z = own.z, *dy = own.dy, *dz = own.dz;
  int* offset = own.offset;
  const Halo halo = s.spread == Spread::depthwise ? Halo{s.pad_h, s.pad_w} : Halo{};
  const std::size_t dz_block = std::size_t(s.out_h + 2 * halo.h) * (s.out_w + 2 * halo.w) * kLanes;
  if (halo.any()) clear_border(dz, a.samples * s.in_blocks, s.out_h, s.out_w, halo);
  const bool wants_x = a.dx.data != nullptr;
  if (wants_x && a.first && !writes_every_input<T>(s))
    for (int n = 0; n < a.samples; ++n)
      __builtin_memset(a.dx.data + n * a.dx.stride, 0, sizeof(T) * s.in_blocks * s.in_plane() * kLanes);
  for_chunks(s, a.samples, [&](const Chunk& c) {
    const std::size_t chunk_block = c.block(), y_block = std::size_t(s.out_plane()) * kLanes;
    const std::size_t chunk_at = c.place(s.out_w) * kLanes;
    const T* y_ahead = a.y_ahead ? a.y_ahead + c.sample * a.y.stride + chunk_at : nullptr;
    const T* g_ahead = a.g_ahead ? a.g_ahead + c.sample * a.g.stride + chunk_at : nullptr;
    unit_output_gradient(dy, a, c);
    if (a.d_product) {
      spread(z, s, in, c);
      product_backward_weight(a.d_product, z, chunk_block, dy, chunk_block, s.z_blocks(), s.out_blocks, c.pixels,
                              a.begins && c.begins());
    }
    switch (s.spread) {
      case Spread::pointwise:
        if (!wants_x) break;
        (a.first ? product<T, false, false>
                 : product<T, true, false>)({chunk_place(a.dx.data, offset, c, s.out_w, a.dx.stride, Halo{}),
                                             offset,
                                             std::size_t(s.in_plane()) * kLanes,
                                             {y_ahead, g_ahead},
                                             y_block,
                                             false},
                                            c.pixels, dy, chunk_block, a.product_transposed, s.out_blocks, s.in_blocks,
                                            {});
        break;
      case Spread::depthwise:
        if (!wants_x && !a.d_depthwise) break;
        product<T, false, false>({chunk_place(dz, offset, c, s.out_w, s.in_blocks * dz_block, halo),
                                  offset,
                                  dz_block,
                                  {y_ahead, g_ahead},
                                  y_block,
                                  false},
                                 c.pixels, dy, chunk_block, a.product_transposed, s.out_blocks, s.in_blocks, {});
        break;
      case Spread::gather:
        if (!wants_x) break;
        for (int p = 0; p < c.pixels; ++p) offset[p] = p * kLanes;
        product<T, false, false>({dz, offset, chunk_block, {y_ahead, g_ahead}, y_block, false}, c.pixels, dy,
                                 chunk_block, a.product_transposed, s.out_blocks, s.z_blocks(), {});
        gather_backward(a.dx, dz, s, c);
        break;
    }
  });
  if (s.spread == Spread::depthwise && (wants_x || a.d_depthwise)) depthwise_backward(a, in, dz, own.turned);
}

#define PYDARTS_INSTANTIATE(T)                        \
  template decltype(spread<T>) spread<T>;             \
  template decltype(unit_forward<T>) unit_forward<T>; \
  template decltype(unit_backward<T>) unit_backward<T>;
PYDARTS_FOR_SCALARS(PYDARTS_INSTANTIATE)

}  // namespace PYDARTS_ISA
}  // namespace pydarts
