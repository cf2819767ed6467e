// SPDX-License-Identifier: MIT
// What the files of one instruction set share. They are compiled once for each, with that set's flags and
//   PYDARTS_ISA            the namespace
//   PYDARTS_VECTOR_BYTES   width of the native vector
//   PYDARTS_REGISTERS      how many of them there are
//   PYDARTS_FLOAT_ONLY     if float64 has another set's kernels
// So nothing here or there may call an inline function of the standard library, whose copy the linker might then choose
// for all.
#pragma once
#include "kernels/vec.hpp"

// X(T) for the scalars that a set has kernels for.
#ifdef PYDARTS_FLOAT_ONLY
#define PYDARTS_FOR_SCALARS(X) X(float)
#else
#define PYDARTS_FOR_SCALARS(X) X(float) X(double)
#endif

namespace pydarts {
namespace PYDARTS_ISA {

constexpr int kPiece = 128;  // pixels of a plane that stay in the L1 cache; the next ones are prefetched
constexpr int kSpan = 4096;  // pixels whose sums T may hold; of larger planes they are added up in double precision

// float64 and the oldest instruction set are there to be right: they get fewer sizes, and the compiler less to do.
template <class T>
constexpr bool kFewSizes = sizeof(T) == 8 || PYDARTS_VECTOR_BYTES == 16;

// Zeros around each of the planes of a tile.
template <class T>
static void clear_border(T* tile, int planes, int h, int w, Halo halo) {
  const int pitch = w + 2 * halo.w;
  auto clear = [&](int pixels) {
    for (int p = 0; p < pixels; ++p, tile += kLanes) Vec<T>::zero().store(tile);
  };
  for (int i = 0; i < planes; ++i) {
    clear(halo.h * pitch + halo.w);
    for (int y = 0; y + 1 < h; ++y) {
      tile += w * kLanes;
      clear(2 * halo.w);
    }
    tile += w * kLanes;
    clear(halo.h * pitch + halo.w);
  }
}

// to = x, or scale * x + shift, or the ReLU of either, over some pixels of a block.
template <class T>
static PYDARTS_INLINE void read_activation(T* to, const T* x, int pixels, const T* scale, const T* shift, bool relu) {
  using V = Vec<T>;
  const PerChannel<T> a = scale ? V::load(scale) : V::fill(1), c = scale ? V::load(shift) : V::zero();
  for_pixels<T>(pixels, [&](auto size, int p) PYDARTS_INLINED {
    auto value = Lanes<T, size * kLanes>::load(x + p * kLanes);
    if (scale) value = value * a.template of<size>() + c.template of<size>();
    (relu ? value.relu() : value).store(to + p * kLanes);
  });
}

// Four sums at a time: one alone would wait for the latency of each addition.
template <class T>
static Vec<T> plane_sum(const T* x, int plane) {
  using V = Pixels<T>;
  V sum[4];
  unroll<4>([&](auto u) PYDARTS_INLINED { sum[u] = V::zero(); });
  int p = 0;
  for (; p + 4 * kPixels<T> <= plane; p += 4 * kPixels<T>)
    unroll<4>([&](auto u) PYDARTS_INLINED { sum[u] = sum[u] + V::load(x + (p + u * kPixels<T>)*kLanes); });
  for (; p < plane; ++p) sum[0] = sum[0] + load_pixels<T, 1>(x + p * kLanes);
  return folded<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// --- a unit's parts ---

// Columns [left, left + columns) of output rows [first, last) of samples [sample, sample + samples): several whole
// small planes, some rows of a large one, or a part of a long row.
struct Chunk {
  int sample, samples, first, last, left, columns, pixels;

  bool begins() const { return sample == 0 && first == 0 && left == 0; }
  // Its first pixel in a plane.
  std::size_t place(int width) const { return std::size_t(first) * width + left; }

  // Distance between the blocks of a chunk's buffers: not a whole page, or all blocks would share cache sets.
  std::size_t block() const { return std::size_t(pixels) * kLanes + kChunkPad; }
};

template <class T>
struct UnitInput {
  View<const T> x;
  Halo halo;
  const T *scale, *shift;
  bool relu;
  const T* depthwise;
};

template <class T>
static const T* tile_at(const UnitShape& s, const UnitInput<T>& in, int sample, int block, int y, int x) {
  const int pitch = s.in_w + 2 * in.halo.w;
  const std::size_t plane = std::size_t(s.in_h + 2 * in.halo.h) * pitch;
  return in.x.data + sample * in.x.stride +
         (block * plane + std::size_t(y + in.halo.h) * pitch + x + in.halo.w) * kLanes;
}

// z: [z_blocks][pixels][lane] of one chunk, blocks c.block() apart.
template <class T>
void spread(T* z, const UnitShape& s, const UnitInput<T>& in, const Chunk& c);

// Where a chunk's pixels go: out + offset[pixel] + block * out_block. What stands at ahead[0] and ahead[1], from pixel
// 0 of the chunk and ahead_block apart, is prefetched on the way (null: nothing). `streams`: each two pixels are a line
// of the cache, which is written past the caches where a vector is a line.
template <class T>
struct Scatter {
  T* out;
  const int* offset;
  std::size_t out_block;
  const T* ahead[2];
  std::size_t ahead_block;
  bool streams;
};

// What is summed of a product: per output channel the distances to a pivot, their squares, and the pivot, the product's
// first pixel. Each is as long as the product is wide. The squares of the values themselves would leave no digits for
// the variance where the mean is large.
template <class T>
struct Distances {
  T *sum, *squares, *pivot;
};

// Adds the sum and the sum of squares of `count` pixels of a block.
template <class T>
static void add_sums(double* sums, double* squares, const T* distances, const T* distances_squared, const T* pivot,
                     int count) {
  for (int i = 0; i < kLanes; ++i) {
    const double first = double(distances[i]), at = double(pivot[i]);
    sums[i] += first + count * at;
    squares[i] += double(distances_squared[i]) + at * (2 * first + count * at);
  }
}

// Blocks of columns that a tile takes at most: two vectors.
template <class T>
constexpr int kWidestProduct = 2 * PYDARTS_VECTOR_BYTES / (kLanes * int(sizeof(T)));

// Pixels of a tile whose sums fit the registers beside a row of the weights and one value.
template <class T, int Blocks>
constexpr int tile_pixels() {
  constexpr int kParts = Lanes<T, Blocks * kLanes>::kParts, kFit = (PYDARTS_REGISTERS - 2 - kParts) / kParts;
  return kParts == 1 && kFit >= 16 ? 16 : kFit > 12 ? 12 : kFit > 1 ? kFit : 1;
}

// to (+)= z * weights, and if Sums its distances, to which are added those of what was stored.
template <class T, bool Accumulate, bool Sums>
void product(const Scatter<T>& to, int pixels, const T* z, std::size_t z_block, const T* weights, int k_blocks,
             int out_blocks, const Distances<T>& sums);

// dw (+)= z^T * dy; `begins`: dw is written.
template <class T>
void product_backward_weight(T* dw, const T* z, std::size_t z_block, const T* dy, std::size_t dy_block, int k_blocks,
                             int out_blocks, int pixels, bool begins);

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

// Some rows of a depthwise convolution of one block of channels in one sample.
template <class T>
void depthwise(const DepthwiseRows<T>& a, const UnitShape& s);

// dx (+)= spread^T(dz) of the whole planes, and the taps' gradients; dz is a tile with a halo of pad_h, pad_w.
template <class T>
void depthwise_backward(const UnitBackward<T>& a, const UnitInput<T>& in, const T* dz, T* turned);

// Whether depthwise_backward can write dx; else it adds to zeros.
template <class T>
bool depthwise_writes_input(const UnitShape& s);

// --- pools ---

struct Window {
  int top, bottom, left, right;
};

static PYDARTS_INLINE Window pool_window(const PoolShape& s, int y, int x) {
  const int top = y * s.stride_h - s.pad_h, left = x * s.stride_w - s.pad_w;
  const int bottom = top + s.window_h, right = left + s.window_w;
  return {top < 0 ? 0 : top, bottom > s.in_h ? s.in_h : bottom, left < 0 ? 0 : left, right > s.in_w ? s.in_w : right};
}

// Maxima of numbers, of what may be NaN as well, and sums.
enum class Join { max, max_or_nan, sum };

template <class V>
static PYDARTS_INLINE V joined(Join join, const V& a, const V& b) {
  return join == Join::max ? V::max(a, b) : join == Join::max_or_nan ? V::max_or_nan(a, b) : a + b;
}

// --- the tables' functions ---

template <class T>
void load_tile(T* tile, View<const T> x, int samples, int blocks, int h, int w, Halo halo, const T* scale,
               const T* shift, bool relu);
template <class T>
void unit_forward(const UnitForward<T>& a);
template <class T>
void unit_backward(const UnitBackward<T>& a);
template <class T>
void pool_forward(View<T> y, View<const T> x, int samples, const PoolShape& s, double* sums);
template <class T>
void pool_backward(View<T> dx, View<const T> x, View<const T> y, int samples, const PoolShape& s,
                   const PoolUse<T>* uses, int count, const T* slope, const T* level, T* scratch);
template <class T>
void node_sum(View<T> s, const Summand<T>* terms, int count, bool first, int samples, int blocks, int plane);
template <class T>
void node_moments(View<const T> g, const Summand<T>* terms, int count, int samples, int blocks, int plane);
template <class T>
void add_scaled(View<T> out, View<const T> x, const T* scale, bool first, int samples, int blocks, int plane);
template <class T>
void relu_backward(View<T> g, View<const T> dx, View<const T> x, bool first, int samples, int blocks, int plane);
template <class T>
void activation_backward(View<T> g, View<const T> dx, View<const T> y, const T* scale, const T* shift, bool relu,
                         const T* mean, double* moments, int samples, int blocks, int plane);
template <class T>
void unit_rows(const UnitRows<T>& a);
template <class T>
void pool_rows(const PoolRows<T>& a);
template <class T>
void tile_rows(T* tile, const T* x, int blocks, int h, int w, Halo halo, int first, int last, bool relu);
template <class T>
void add_rows(T* y, const T* x, int blocks, int h, int w, int first, int last, bool accumulate);
template <class T>
void channel_sums(double* sums, const T* x, int blocks, int h, int w);

}  // namespace PYDARTS_ISA
}  // namespace pydarts
