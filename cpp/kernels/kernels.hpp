// SPDX-License-Identifier: MIT
// The kernels, one table per instruction set. A kernel works on one group of samples on one thread.
//
// Layout of an activation: [sample][block][row][column][kLanes], kLanes channels innermost, unused lanes
// zero. `stride` is the distance between samples, in elements; a block's plane is contiguous.
// A tile is [sample][block][h + 2 halo.h][w + 2 halo.w][kLanes] with a border of zeros.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/scratch.hpp"
#include "core/strict_math.hpp"
#include "kernels/recurrent.hpp"

namespace pydarts {

constexpr int kLanes = 8;
constexpr int kMaxTaps = 64;
constexpr int kChunkPad = 32;  // elements behind a chunk: products read up to three pixels more
constexpr int kTilePad = 48;   // elements behind a tile that depthwise convolutions may read, but do not use
constexpr int kChunk = 128;    // pixels that a unit works on at a time: samples, rows, or a part of a longer row

constexpr PYDARTS_INLINE int blocks_of(int channels) { return (channels + kLanes - 1) / kLanes; }

// Rows above and below, and columns left and right of a plane.
struct Halo {
  int h, w;
  PYDARTS_INLINE bool any() const { return h > 0 || w > 0; }
};

// How a unit spreads its input before the matrix product.
//   pointwise: z = x
//   depthwise: z[c] = sum over taps of x[c] shifted by the tap, times that channel's weight
//   gather:    z = the shifted copies of x, one tap after the other (a dense convolution)
enum class Spread : std::uint8_t { pointwise, depthwise, gather };

struct UnitShape {
  Spread spread;
  int in_blocks, out_blocks;
  int in_h, in_w, out_h, out_w;
  int stride_h, stride_w;            // 1 for pointwise
  int kernel_h, kernel_w, dilation;  // depthwise
  int pad_h, pad_w;
  int taps;  // gather: offsets into the input, relative to stride * output position
  std::int8_t tap_y[kMaxTaps], tap_x[kMaxTaps];

  PYDARTS_INLINE int kernel_taps() const { return kernel_h * kernel_w; }
  PYDARTS_INLINE int z_blocks() const { return spread == Spread::gather ? taps * in_blocks : in_blocks; }
  PYDARTS_INLINE int in_plane() const { return in_h * in_w; }
  PYDARTS_INLINE int out_plane() const { return out_h * out_w; }
};

// Columns of a chunk: a row, or of a longer one about equal parts.
constexpr PYDARTS_INLINE int chunk_columns(int width) {
  const int parts = (width + kChunk - 1) / kChunk;
  return parts == 1 ? width : ((width + parts - 1) / parts + 15) / 16 * 16;
}

template <class T>
struct View {
  T* data;
  std::size_t stride;
};

// y = spread(x) * product; sums[0][c] += sum y, sums[1][c] += sum y^2.
template <class T>
struct UnitForward {
  const UnitShape* shape;
  int samples;
  View<const T> x;  // pointwise: the activation itself; else a tile of x
  Halo halo;        // of the tile
  const T* scale;   // pointwise only: x is read as relu(scale * x + shift); null: as it is
  const T* shift;
  bool relu;
  const T* depthwise;  // [block][tap][lane]
  const T* product;    // [z_blocks * lanes][out_blocks * lanes]
  View<T> y;
  bool y_streams;      // y will have left the caches before it is read
  double* sums;        // [2][out_blocks * lanes]
  Scratch<T> scratch;  // unit_scratch(shape, samples)
};

// The gradient at y is dy = a * factor * g + b * y + c (batch normalisation and mixing weight folded
// into per-channel a, b, c), never stored. dx (+)= spread^T(dy * product^T), and likewise the weights' gradients.
template <class T>
struct UnitBackward {
  const UnitShape* shape;
  int samples;
  View<const T> x;
  Halo halo;
  const T* scale;
  const T* shift;
  bool relu;
  const T* depthwise;
  const T* product_transposed;  // [out_blocks * lanes][z_blocks * lanes]
  View<const T> y, g;
  const T *a, *b, *c;
  const T* factor;  // per sample, or null for 1
  View<T> dx;       // null: not wanted
  bool first;       // dx is written, else added to
  T* d_depthwise;   // null: not wanted
  T* d_product;
  bool begins;                 // these two are written, else added to
  const T *y_ahead, *g_ahead;  // what the next call reads as y and g, to be prefetched; null: nothing
  Scratch<T> scratch;
};

// One summand of a node: contribution = factor * (scale * y + shift), per channel.
template <class T>
struct Summand {
  View<const T> y;
  const T* scale;
  const T* shift;   // null: 0
  const T* factor;  // per sample, null: 1
  const T* mean;    // moments: sums of g and g * (y - mean); null: mean 0
  double* moments;  // [2][blocks * lanes], accumulates
};

struct PoolShape {
  bool max;   // else average, which leaves the padding out of its count
  bool relu;  // pools relu(x)
  int blocks, in_h, in_w, out_h, out_w;
  int window_h, window_w, stride_h, stride_w, pad_h, pad_w;
};

// One use of a pool's output by a node: adds a * g to the gradient at the pool's output.
template <class T>
struct PoolUse {
  View<const T> g;
  const T* a;
  const T* factor;
};

// --- of the evaluation of a derived network, one image at a time: rows [first, last) of an output ---

// y (+)= spread(x) * product + bias, or relu of that.
template <class T>
struct UnitRows {
  const UnitShape* shape;
  int first, last;
  int rows;        // that fit the scratch at a time; of a longer one chunk_columns
  const T* image;  // its channels are planes; null: x is read
  const T* x;      // pointwise: the activation itself, read through the ReLU; else a tile
  Halo halo;       // of that tile
  bool relu;
  int channels, part_blocks;  // of a part of x, or of the image
  const T* depthwise;
  const T* product;
  const T* bias;  // null: 0
  T* y;           // a tile, if y_halo is any; its border is cleared
  Halo y_halo;
  const int* offset;  // of the pixels of `rows` rows of that tile
  bool accumulate, y_relu;
  Scratch<T> scratch;  // take_rows(shape, rows)
};

template <class T>
struct PoolRows {
  const PoolShape* shape;
  int first, last;
  const T* x;
  T* const* y;  // several nodes take the same output
  const bool* accumulate;
  int count;
  Scratch<T> scratch;  // a row of x
};

template <class T>
struct Kernels {
  void (*load_tile)(T* tile, View<const T> x, int samples, int blocks, int h, int w, Halo halo, const T* scale,
                    const T* shift, bool relu);
  void (*unit_forward)(const UnitForward<T>&);
  void (*unit_backward)(const UnitBackward<T>&);
  // y = pool(x); sums as in UnitForward.
  void (*pool_forward)(View<T> y, View<const T> x, int samples, const PoolShape&, double* sums);
  // dx += pool^T(sum over uses of a * factor * g + b * y + c)
  void (*pool_backward)(View<T> dx, View<const T> x, View<const T> y, int samples, const PoolShape&,
                        const PoolUse<T>* uses, int count, const T* b, const T* c, T* scratch);
  // s (+)= sum over summands; `first`: s is written, else added to
  void (*node_sum)(View<T> s, const Summand<T>*, int count, bool first, int samples, int blocks, int plane);
  // moments of every summand against the node's gradient g
  void (*node_moments)(View<const T> g, const Summand<T>*, int count, int samples, int blocks, int plane);
  // out (+)= scale * x, per channel (scale null: 1); `first`: out is written
  void (*add_scaled)(View<T> out, View<const T> x, const T* scale, bool first, int samples, int blocks, int plane);
  // g (+)= dx where x > 0; `first`: g is written, with zeros elsewhere
  void (*relu_backward)(View<T> g, View<const T> dx, View<const T> x, bool first, int samples, int blocks, int plane);
  // g = dx where scale * y + shift > 0 (or everywhere without relu); moments of g against y as in Summand
  void (*activation_backward)(View<T> g, View<const T> dx, View<const T> y, const T* scale, const T* shift, bool relu,
                              const T* mean, double* moments, int samples, int blocks, int plane);
  void (*unit_rows)(const UnitRows<T>&);
  void (*pool_rows)(const PoolRows<T>&);
  // rows of the tile of x or relu(x), and the border that belongs to them
  void (*tile_rows)(T* tile, const T* x, int blocks, int h, int w, Halo halo, int first, int last, bool relu);
  // y (+)= x
  void (*add_rows)(T* y, const T* x, int blocks, int h, int w, int first, int last, bool accumulate);
  // of each lane, over the plane
  void (*channel_sums)(double* sums, const T* x, int blocks, int h, int w);
};

// What a unit's kernels work in: a chunk of z and of dy, the distances of its sums, the turned taps, the chunk's
// places, and dz: of a gather a chunk, of a depthwise convolution whole planes in a border of zeros.
template <class T>
struct UnitBuffers {
  T *z, *dy, *distances, *turned, *dz;
  int* offset;

  PYDARTS_INLINE UnitBuffers(const UnitShape& s, int samples, Scratch<T>& scratch) {
    const std::size_t chunk = kChunk * kLanes + kChunkPad;
    z = scratch.take(s.z_blocks() * chunk);
    dy = scratch.take(s.out_blocks * chunk);
    distances = scratch.take(3 * s.out_blocks * kLanes);
    turned = scratch.take(kMaxTaps * kLanes);
    offset = reinterpret_cast<int*>(scratch.take(kChunk));
    dz = s.spread == Spread::pointwise ? nullptr
         : s.spread == Spread::gather  ? scratch.take(s.z_blocks() * chunk)
                                       : scratch.take(std::size_t(samples) * s.in_blocks * (s.out_h + 2 * s.pad_h) *
                                                          (s.out_w + 2 * s.pad_w) * kLanes +
                                                      kTilePad);
  }
};

// What unit_rows works in: z of some rows, and of the 7 pixels that products read behind it.
template <class T>
PYDARTS_INLINE T* take_rows(const UnitShape& s, int rows, Scratch<T>& scratch) {
  return scratch.take(s.z_blocks() * (std::size_t(rows) * chunk_columns(s.out_w) * kLanes + kChunkPad) + 7 * kLanes);
}

// Elements of scratch that a call needs.
std::size_t unit_scratch(const UnitShape& shape, int samples);
// Of a tile; behind it kTilePad may be read.
std::size_t tile_size(int samples, int blocks, int h, int w, Halo halo);

// The tables compiled into this library, best last; `kernels()` is the last that fits this machine, or the one that
// PYDARTS_ISA names.
struct InstructionSet {
  const char* name;
  bool supported;  // by the machine
  bool fits;       // and not slower there than the ones before
  const Kernels<float>* f32;
  const Kernels<double>* f64;
  const RecurrentKernels<float>* recurrent_f32;
  const RecurrentKernels<double>* recurrent_f64;
};
const InstructionSet* instruction_sets(int* count);
const InstructionSet& instruction_set();
template <class T>
const Kernels<T>& kernels();
template <class T>
const RecurrentKernels<T>& recurrent_kernels();

}  // namespace pydarts
