// SPDX-License-Identifier: MIT
// The kernels by themselves, for every instruction set that the machine runs, in memory of exactly the size that a call
// may touch: units and pools against plain loops, the others single against double precision. Prints the names of the
// sets.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "check.hpp"
#include "kernel_calls.hpp"

using namespace pydarts;

namespace {

template <class T>
void append(std::vector<double>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void agree(const std::vector<double>& found, const std::vector<double>& exact, double bound = 1e-5) {
  CHECK(found.size() == exact.size());
  double largest = 1;
  for (double value : exact) largest = std::max(largest, std::fabs(value));
  bool close = true;  // NaN is not
  for (std::size_t i = 0; i < exact.size(); ++i) close &= std::fabs(found[i] - exact[i]) <= bound * largest;
  CHECK(close);
}

// What the kernels give, each part against its own largest number.
using Parts = std::vector<std::vector<double>>;

template <class T>
void agree(const Parts& found, const Parts& exact) {
  CHECK(found.size() == exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) agree(found[i], exact[i], sizeof(T) == 4 ? 1e-5 : 1e-13);
}

template <class T>
std::vector<double> exactly(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

bool fits(const Halo& kernel, int dilation, int h, int w) {
  return (kernel.h % 2 || dilation * (kernel.h - 1) < h) && (kernel.w % 2 || dilation * (kernel.w - 1) < w);
}

// f(sample, row of the product, output pixel, input channel, pixel, weight) of all that a unit's z is made of; the
// weight is of the depthwise kernel, or -1 for 1.
template <class F>
void for_spread(const UnitShape& s, int samples, const F& f) {
  const int taps = s.spread == Spread::gather ? s.taps : s.spread == Spread::depthwise ? s.kernel_taps() : 1;
  for (int n = 0; n < samples; ++n)
    for (int t = 0; t < taps; ++t)
      for (int y = 0; y < s.out_h; ++y)
        for (int x = 0; x < s.out_w; ++x) {
          int tap_y = 0, tap_x = 0;
          if (s.spread == Spread::gather) {
            tap_y = s.tap_y[t];
            tap_x = s.tap_x[t];
          } else if (s.spread == Spread::depthwise) {
            tap_y = t / s.kernel_w * s.dilation - s.pad_h;
            tap_x = t % s.kernel_w * s.dilation - s.pad_w;
          }
          const int at_y = y * s.stride_h + tap_y, at_x = x * s.stride_w + tap_x;
          if (at_y < 0 || at_y >= s.in_h || at_x < 0 || at_x >= s.in_w) continue;
          for (int c = 0; c < s.in_blocks * kLanes; ++c) {
            const int row = s.spread == Spread::gather ? t * s.in_blocks * kLanes + c : c;
            const int weight = (c / kLanes * taps + t) * kLanes + c % kLanes;
            f(n, row, y * s.out_w + x, c, at_y * s.in_w + at_x, s.spread == Spread::depthwise ? weight : -1);
          }
        }
}

// Of a channel's pixel in activations of so many channels.
std::size_t element(int sample, int channels, int plane, int channel, int pixel) {
  return ((std::size_t(sample) * channels / kLanes + channel / kLanes) * plane + pixel) * kLanes + channel % kLanes;
}

// What run_unit gives.
Parts plain_unit(const UnitShape& s, int samples) {
  using Numbers = std::vector<double>;
  const int taps = std::max(1, s.kernel_taps()), plane = s.out_plane();
  const int in = s.in_blocks * kLanes, out = s.out_blocks * kLanes, rows = s.z_blocks() * kLanes;
  Numbers x = numbers<double>(1, std::size_t(samples) * in * s.in_plane());
  const Numbers g = numbers<double>(2, std::size_t(samples) * out * plane);
  const Numbers depthwise = numbers<double>(3, std::size_t(in) * taps, 0, 1.0 / taps);
  const Numbers product = numbers<double>(4, std::size_t(rows) * out, 0, 1.0 / rows);
  const Numbers scale = numbers<double>(5, in, 1, 0.25), shift = numbers<double>(6, in);
  const Numbers a = numbers<double>(7, out), b = numbers<double>(8, out), c = numbers<double>(9, out);
  const Numbers factor = numbers<double>(10, samples);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t channel = i / kLanes / s.in_plane() % s.in_blocks * kLanes + i % kLanes;
    x[i] = std::max(0.0, scale[channel] * x[i] + shift[channel]);
  }
  Numbers z(std::size_t(samples) * rows * plane), dz(z.size());
  for_spread(s, samples, [&](int n, int row, int to, int channel, int from, int weight) {
    z[element(n, rows, plane, row, to)] +=
        x[element(n, in, s.in_plane(), channel, from)] * (weight < 0 ? 1 : depthwise[weight]);
  });
  Numbers y(g.size()), sums(2 * out), dx(x.size()), d_depthwise(depthwise.size()), d_product(product.size());
  for (int n = 0; n < samples; ++n)
    for (int p = 0; p < plane; ++p)
      for (int o = 0; o < out; ++o) {
        const std::size_t at = element(n, out, plane, o, p);
        for (int row = 0; row < rows; ++row) y[at] += z[element(n, rows, plane, row, p)] * product[row * out + o];
        sums[o] += y[at];
        sums[out + o] += y[at] * y[at];
        const double dy = a[o] * (factor[n] + 1) * g[at] + 2 * (b[o] * y[at] + c[o]);  // of both calls
        for (int row = 0; row < rows; ++row) {
          d_product[row * out + o] += z[element(n, rows, plane, row, p)] * dy;
          dz[element(n, rows, plane, row, p)] += product[row * out + o] * dy;
        }
      }
  for_spread(s, samples, [&](int n, int row, int to, int channel, int from, int weight) {
    const double value = dz[element(n, rows, plane, row, to)];
    dx[element(n, in, s.in_plane(), channel, from)] += value * (weight < 0 ? 1 : depthwise[weight]);
    if (weight >= 0) d_depthwise[weight] += value * x[element(n, in, s.in_plane(), channel, from)];
  });
  return {y, sums, dx, d_depthwise, d_product};
}

// Written past the caches: the same numbers, wherever the outputs begin in a line.
template <class T>
void check_streams(const Kernels<T>& kernels, UnitForward<T> call, const std::vector<T>& y,
                   const std::vector<double>& sums) {
  constexpr int kLine = 64 / int(sizeof(T));
  std::vector<T> memory(y.size() + 2 * kLine);
  const int begin = kLine - int(reinterpret_cast<std::uintptr_t>(memory.data()) / sizeof(T) % kLine);
  for (int offset : {0, kLine / 2}) {
    std::fill(memory.begin(), memory.end(), not_a_number<T>());
    std::vector<double> again(sums.size());
    call.y.data = memory.data() + begin % kLine + offset;
    call.y_streams = true;
    call.sums = again.data();
    kernels.unit_forward(call);
    CHECK(std::equal(y.begin(), y.end(), call.y.data));
    CHECK(again == sums);
  }
}

template <class T>
Parts run_unit(const Kernels<T>& kernels, const UnitShape& s, int samples) {
  const int taps = std::max(1, s.kernel_taps());
  const Halo halo = s.spread == Spread::pointwise ? Halo{} : Halo{s.pad_h, s.pad_w};
  const int in = s.in_blocks * kLanes, out = s.out_blocks * kLanes, rows = s.z_blocks() * kLanes;
  const std::size_t x_stride = std::size_t(in) * s.in_plane(), y_stride = std::size_t(out) * s.out_plane();
  const std::vector<T> x = numbers<T>(1, samples * x_stride), g = numbers<T>(2, samples * y_stride);
  const std::vector<T> depthwise = numbers<T>(3, std::size_t(in) * taps, 0, 1.0 / taps);
  const std::vector<T> product = numbers<T>(4, std::size_t(rows) * out, 0, 1.0 / rows);
  const std::vector<T> scale = numbers<T>(5, in, 1, 0.25), shift = numbers<T>(6, in);
  const std::vector<T> a = numbers<T>(7, out), b = numbers<T>(8, out), c = numbers<T>(9, out);
  const std::vector<T> factor = numbers<T>(10, samples);
  std::vector<T> transposed(product.size());
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < out; ++column)
      transposed[std::size_t(column) * rows + row] = product[std::size_t(row) * out + column];
  const std::size_t tile_stride = tile_size(1, s.in_blocks, s.in_h, s.in_w, halo);
  std::vector<T> tile(samples * tile_stride + kTilePad, not_a_number<T>());
  kernels.load_tile(tile.data(), view(x, x_stride), samples, s.in_blocks, s.in_h, s.in_w, halo, scale.data(),
                    shift.data(), true);
  const bool tiled = s.spread != Spread::pointwise;
  const View<const T> source = tiled ? view<T>(std::as_const(tile), tile_stride) : view(x, x_stride);
  std::vector<T> y(samples * y_stride, not_a_number<T>());
  std::vector<double> sums(2 * out);
  {
    std::vector<T> scratch(unit_scratch(s, samples), not_a_number<T>());
    UnitForward<T> call{};
    call.shape = &s;
    call.samples = samples;
    call.x = source;
    call.halo = halo;
    if (!tiled) {
      call.scale = scale.data();
      call.shift = shift.data();
    }
    call.relu = true;
    call.depthwise = depthwise.data();
    call.product = product.data();
    call.y = view(y, y_stride);
    call.sums = sums.data();
    call.scratch = {scratch.data(), scratch.size()};
    kernels.unit_forward(call);
    check_streams(kernels, call, y, sums);
  }
  std::vector<T> dx(samples * x_stride, not_a_number<T>()), d_depthwise(depthwise.size()), d_product(product.size());
  for (bool first : {true, false}) {
    std::vector<T> scratch(unit_scratch(s, samples), not_a_number<T>());
    UnitBackward<T> call{};
    call.shape = &s;
    call.samples = samples;
    call.x = source;
    call.halo = halo;
    if (!tiled) {
      call.scale = scale.data();
      call.shift = shift.data();
    }
    call.relu = true;
    call.depthwise = depthwise.data();
    call.product_transposed = transposed.data();
    call.y = view<T>(std::as_const(y), y_stride);
    call.g = view(g, y_stride);
    call.a = a.data();
    call.b = b.data();
    call.c = c.data();
    call.factor = first ? factor.data() : nullptr;
    call.dx = view(dx, x_stride);
    call.first = call.begins = first;
    call.d_depthwise = s.spread == Spread::depthwise ? d_depthwise.data() : nullptr;
    call.d_product = d_product.data();
    call.scratch = {scratch.data(), scratch.size()};
    kernels.unit_backward(call);
  }
  return {exactly(y), sums, exactly(dx), exactly(d_depthwise), exactly(d_product)};
}

struct UnitCase {
  UnitShape shape;
  int samples;
  Parts exact;
};

std::vector<UnitCase> unit_cases() {
  std::vector<UnitCase> cases;
  auto add = [&](UnitShape s, int in_blocks, int out_blocks, int samples) {
    s.in_blocks = in_blocks;
    s.out_blocks = out_blocks;
    cases.push_back({s, samples, plain_unit(s, samples)});
  };
  const int sizes[][3] = {{1, 1, 3}, {2, 3, 5}, {7, 7, 3}, {9, 13, 2}, {13, 33, 2}, {3, 140, 1}, {1, 50, 3}};
  const int blocks[][2] = {{1, 1}, {2, 3}, {3, 2}, {1, 4}};  // h, w, samples
  for (const auto& size : sizes) {
    const int h = size[0], w = size[1];
    const auto& counts = blocks[&size - sizes < 4 ? &size - sizes : 1];
    auto here = [&](const UnitShape& s) { add(s, counts[0], counts[1], size[2]); };
    here(unit_shape(Spread::pointwise, 1, 1, 1, h, w));
    for (Halo stride : {Halo{1, 1}, Halo{2, 2}, Halo{1, 2}, Halo{2, 1}}) {
      for (Halo kernel : {Halo{3, 3}, Halo{5, 5}, Halo{7, 7}, Halo{1, 3}, Halo{1, 5}, Halo{3, 1}, Halo{2, 2},
                          Halo{1, 1}, Halo{5, 3}, Halo{3, 5}})
        for (int dilation : {1, 2, 3})
          if (fits(kernel, dilation, h, w)) here(unit_shape(Spread::depthwise, kernel, dilation, stride, h, w));
      for (Halo kernel : {Halo{1, 1}, Halo{3, 3}, Halo{1, 3}, Halo{3, 1}, Halo{2, 2}, Halo{5, 3}})
        for (int dilation : {1, 2, 3})
          if (kernel.h * kernel.w > 1 || dilation == 1)
            if (fits(kernel, dilation, h, w)) here(unit_shape(Spread::gather, kernel, dilation, stride, h, w));
    }
  }
  // Rows that are cut.
  const int long_sizes[][2] = {{1, 8000}, {3, 300}, {1, 129}};
  for (const auto& size : long_sizes)
    for (int stride : {1, 2}) {
      if (stride == 1) add(unit_shape(Spread::pointwise, 1, 1, 1, size[0], size[1]), 2, 1, 1);
      for (int kernel : {1, 2, 3, 5})
        for (int dilation : {1, 2, 3}) {
          const Halo sides{size[0] == 1 ? 1 : kernel, kernel};
          if (!fits(sides, dilation, size[0], size[1])) continue;
          add(unit_shape(Spread::depthwise, sides, dilation, {1, stride}, size[0], size[1]), 1, 2, 1);
          if (dilation < 3) add(unit_shape(Spread::gather, sides, dilation, {1, stride}, size[0], size[1]), 1, 1, 1);
        }
    }
  return cases;
}

void units_agree(const InstructionSet& set, const std::vector<UnitCase>& cases) {
  for (const UnitCase& c : cases) {
    agree<float>(run_unit(table<float>(set), c.shape, c.samples), c.exact);
    agree<double>(run_unit(table<double>(set), c.shape, c.samples), c.exact);
  }
}

// What run_pool gives.
Parts plain_pool(const PoolShape& s) {
  constexpr int kSamples = 2;
  const int lanes = s.blocks * kLanes, in_plane = s.in_h * s.in_w, out_plane = s.out_h * s.out_w;
  const std::vector<double> x = numbers<double>(1, std::size_t(kSamples) * lanes * in_plane);
  const std::vector<double> g = numbers<double>(2, std::size_t(kSamples) * lanes * out_plane);
  const std::vector<double> a = numbers<double>(3, lanes), b = numbers<double>(4, lanes), c = numbers<double>(5, lanes);
  const std::vector<double> factor = numbers<double>(6, kSamples);
  std::vector<double> y(g.size()), sums(2 * lanes), dx(x.size(), 0.5);
  for (int n = 0; n < kSamples; ++n)
    for (int channel = 0; channel < lanes; ++channel)
      for (int p = 0; p < out_plane; ++p) {
        std::vector<std::size_t> window;
        for (int i = 0; i < s.window_h; ++i)
          for (int j = 0; j < s.window_w; ++j) {
            const int at_y = p / s.out_w * s.stride_h - s.pad_h + i, at_x = p % s.out_w * s.stride_w - s.pad_w + j;
            if (at_y >= 0 && at_y < s.in_h && at_x >= 0 && at_x < s.in_w)
              window.push_back(element(n, lanes, in_plane, channel, at_y * s.in_w + at_x));
          }
        auto value = [&](std::size_t at) { return s.relu ? std::max(0.0, x[at]) : x[at]; };
        double& out = y[element(n, lanes, out_plane, channel, p)];
        std::size_t first = window[0];
        for (std::size_t at : window) {
          out += value(at) / window.size();
          if (x[at] > x[first]) first = at;
        }
        if (s.max) out = value(first);
        sums[channel] += out;
        sums[lanes + channel] += out * out;
        const double dy = (a[channel] * factor[n] + b[channel]) * g[element(n, lanes, out_plane, channel, p)] +
                          b[channel] * out + c[channel];
        for (std::size_t at : window)
          if (!s.relu || x[at] > 0) dx[at] += s.max ? dy * (at == first) : dy / window.size();
      }
  return {y, sums, dx};
}

template <class T>
Parts run_pool(const Kernels<T>& kernels, const PoolShape& s) {
  constexpr int kSamples = 2;
  const int lanes = s.blocks * kLanes;
  const std::size_t x_stride = std::size_t(lanes) * s.in_h * s.in_w, y_stride = std::size_t(lanes) * s.out_h * s.out_w;
  const std::vector<T> x = numbers<T>(1, kSamples * x_stride), g = numbers<T>(2, kSamples * y_stride);
  const std::vector<T> a = numbers<T>(3, lanes), b = numbers<T>(4, lanes), c = numbers<T>(5, lanes);
  const std::vector<T> factor = numbers<T>(6, kSamples);
  std::vector<T> y(kSamples * y_stride), dx(kSamples * x_stride, T(0.5)), row((s.out_w + 2) * kLanes);
  std::vector<double> sums(2 * lanes);
  kernels.pool_forward(view(y, y_stride), view(x, x_stride), kSamples, s, sums.data());
  const PoolUse<T> uses[] = {{view(g, y_stride), a.data(), factor.data()}, {view(g, y_stride), b.data(), nullptr}};
  kernels.pool_backward(view(dx, x_stride), view(x, x_stride), view<T>(std::as_const(y), y_stride), kSamples, s, uses,
                        2, b.data(), c.data(), row.data());
  return {exactly(y), sums, exactly(dx)};
}

void pools_agree(const InstructionSet& set) {
  auto agrees = [&](const PoolShape& s) {
    const Parts exact = plain_pool(s);
    agree<float>(run_pool(table<float>(set), s), exact);
    agree<double>(run_pool(table<double>(set), s), exact);
  };
  for (bool max : {false, true}) {
    for (int h : {1, 4, 9})
      for (int w : {1, 2, 5, 12})
        for (int stride : {1, 2}) {
          agrees(pool_shape(max, 3, stride, 1, h, w));
          agrees(pool_shape(max, 5, stride, 2, h, w));
          agrees(pool_shape(max, {1, 3}, {1, stride}, {0, 1}, h, w));
          agrees(pool_shape(max, {3, 1}, {stride, 1}, {1, 0}, h, w));
          agrees(pool_shape(max, {1, 5}, {1, stride}, {0, 2}, h, w));
          if (h < 4 || w < 5) continue;
          agrees(pool_shape(max, 2, stride, 0, h, w));
          PoolShape s = pool_shape(max, 4, stride + 1, 0, h, w);
          s.relu = true;
          agrees(s);
        }
    for (int stride : {1, 2}) agrees(pool_shape(max, {1, 3}, {1, stride}, {0, 1}, 1, 8000));
  }
}

template <class T>
std::vector<double> run_node(const Kernels<T>& kernels, int count, int plane) {
  constexpr int kSamples = 2, kBlocks = 2, kCount = kBlocks * kLanes;
  const std::size_t stride = std::size_t(kCount) * plane;
  std::vector<std::vector<T>> y, values;
  for (int t = 0; t < count; ++t) y.push_back(numbers<T>(t, kSamples * stride));
  for (int t = 0; t < count; ++t) values.push_back(numbers<T>(100 + t, 3 * kCount));
  const std::vector<T> factor = numbers<T>(200, kSamples), g = numbers<T>(201, kSamples * stride);
  std::vector<std::vector<double>> moments(count, std::vector<double>(2 * kCount));
  std::vector<Summand<T>> terms;
  for (int t = 0; t < count; ++t) {
    const T* v = values[t].data();
    terms.push_back({view<T>(std::as_const(y[t]), stride), v, t % 3 ? v + kCount : nullptr,
                     t % 2 ? factor.data() : nullptr, t % 4 ? v + 2 * kCount : nullptr, moments[t].data()});
  }
  std::vector<T> s(kSamples * stride, not_a_number<T>()), dx = g, grad(kSamples * stride);
  std::vector<double> more(2 * kCount);
  kernels.node_sum(view(s, stride), terms.data(), count, true, kSamples, kBlocks, plane);
  kernels.node_sum(view(s, stride), terms.data(), count, false, kSamples, kBlocks, plane);
  kernels.node_moments(view(g, stride), terms.data(), count, kSamples, kBlocks, plane);
  const T* v = values[0].data();
  kernels.add_scaled(view(dx, stride), view<T>(std::as_const(y[0]), stride), v, false, kSamples, kBlocks, plane);
  kernels.add_scaled(view(dx, stride), view(g, stride), nullptr, false, kSamples, kBlocks, plane);
  kernels.relu_backward(view(dx, stride), view(g, stride), view<T>(std::as_const(y[0]), stride), false, kSamples,
                        kBlocks, plane);
  for (bool relu : {false, true}) {  // what is written is what would be added to zeros
    std::vector<T> written(kSamples * stride, not_a_number<T>()), added(kSamples * stride);
    for (bool first : {true, false}) {
      const View<T> to = view(first ? written : added, stride);
      const View<const T> from = view(g, stride), at = view<T>(std::as_const(y[0]), stride);
      if (relu)
        kernels.relu_backward(to, from, at, first, kSamples, kBlocks, plane);
      else
        kernels.add_scaled(to, from, v, first, kSamples, kBlocks, plane);
    }
    CHECK(written == added);
  }
  for (bool relu : {false, true})
    kernels.activation_backward(view(grad, stride), view<T>(std::as_const(dx), stride),
                                view<T>(std::as_const(y[0]), stride), v, v + kCount, relu, v + 2 * kCount, more.data(),
                                kSamples, kBlocks, plane);
  std::vector<double> all;
  append(all, s);
  append(all, dx);
  append(all, grad);
  append(all, more);
  for (const auto& m : moments) append(all, m);
  return all;
}

void nodes_agree(const InstructionSet& set) {
  for (int count = 1; count <= 9; ++count)
    for (int plane : {1, 7, 130, 4099})
      agree(run_node(table<float>(set), count, plane), run_node(table<double>(set), count, plane));
}

// Calls body(first, last) for each of so many bands of rows.
template <class Body>
void for_bands(int bands, int height, const Body& body) {
  for (int band = 0; band < bands; ++band) {
    const int first = height * band / bands, last = height * (band + 1) / bands;
    if (first < last) body(first, last);
  }
}

// What run_unit_rows gives.
std::vector<double> plain_unit_rows(const UnitShape& s, bool of_image, Halo y_halo) {
  using Numbers = std::vector<double>;
  const int taps = std::max(1, s.kernel_taps()), plane = s.out_plane();
  const int in = s.in_blocks * kLanes, out = s.out_blocks * kLanes, channels = in - 3;
  const int rows = of_image ? taps * channels : s.z_blocks() * kLanes;
  const Numbers x = numbers<double>(1, std::size_t(of_image ? channels : in) * s.in_plane());
  const Numbers depthwise = numbers<double>(3, std::size_t(in) * taps, 0, 1.0 / taps);
  const Numbers product = numbers<double>(4, std::size_t(rows) * out, 0, 1.0 / rows), bias = numbers<double>(5, out);
  Numbers z(std::size_t(rows) * plane);  // by row, then pixel
  for_spread(s, 1, [&](int, int row, int to, int channel, int from, int weight) {
    if (channel >= channels) return;
    const double value = of_image ? x[std::size_t(channel) * s.in_plane() + from]
                                  : std::max(0.0, x[element(0, in, s.in_plane(), channel, from)]);
    const int place = of_image ? row / in * channels + channel : row;
    z[std::size_t(place) * plane + to] += value * (weight < 0 ? 1 : depthwise[weight]);
  });
  const int pitch = s.out_w + 2 * y_halo.w, tile = (s.out_h + 2 * y_halo.h) * pitch;
  Numbers y = numbers<double>(6, tile_size(1, s.out_blocks, s.out_h, s.out_w, y_halo));
  if (y_halo.any()) std::fill(y.begin(), y.end(), 0.0);
  for (int o = 0; o < out; ++o)
    for (int p = 0; p < plane; ++p) {
      double& to = y[element(0, out, tile, o, (p / s.out_w + y_halo.h) * pitch + p % s.out_w + y_halo.w)];
      for (int row = 0; row < rows; ++row) to += z[std::size_t(row) * plane + p] * product[std::size_t(row) * out + o];
      if (y_halo.any()) to = std::max(0.0, to + bias[o]);
    }
  return y;
}

// A unit of evaluation whose output is a tile if y_halo is any, else a node that has something already.
template <class T>
std::vector<double> run_unit_rows(const Kernels<T>& kernels, const UnitShape& s, bool of_image, Halo y_halo,
                                  int bands) {
  const bool tiled = s.spread != Spread::pointwise && !of_image;
  const int taps = std::max(1, s.kernel_taps());
  const Halo halo = tiled ? Halo{s.pad_h + 1, s.pad_w + 1} : Halo{};
  const int in = s.in_blocks * kLanes, out = s.out_blocks * kLanes, channels = in - 3;
  const int rows = of_image ? taps * channels : s.z_blocks() * kLanes;
  std::vector<T> x = numbers<T>(1, std::size_t(of_image ? channels : in) * s.in_plane());
  for (std::size_t i = 0; !of_image && i < x.size(); ++i)
    if (i / kLanes / s.in_plane() * kLanes + i % kLanes >= std::size_t(channels)) x[i] = 0;  // an unused lane
  const std::vector<T> depthwise = numbers<T>(3, std::size_t(in) * taps, 0, 1.0 / taps);
  const std::vector<T> product = numbers<T>(4, std::size_t(rows) * out, 0, 1.0 / rows), bias = numbers<T>(5, out);
  std::vector<T> tile(tiled ? tile_size(1, s.in_blocks, s.in_h, s.in_w, halo) + kTilePad : 0, not_a_number<T>());
  if (tiled)
    for_bands(bands, s.in_h, [&](int first, int last) {
      kernels.tile_rows(tile.data(), x.data(), s.in_blocks, s.in_h, s.in_w, halo, first, last, true);
    });
  std::vector<T> y = numbers<T>(6, tile_size(1, s.out_blocks, s.out_h, s.out_w, y_halo));
  const int at_a_time = std::max(1, kChunk / s.out_w), columns = chunk_columns(s.out_w);
  std::vector<int> offset;
  for (int p = 0; p < at_a_time * columns && y_halo.any(); ++p)
    offset.push_back((p / columns * (s.out_w + 2 * y_halo.w) + p % columns) * kLanes);
  Scratch<T> counted;
  take_rows(s, at_a_time, counted);
  for_bands(bands, s.out_h, [&](int first, int last) {
    std::vector<T> scratch(counted.taken(), not_a_number<T>());
    UnitRows<T> call{};
    call.shape = &s;
    call.first = first;
    call.last = last;
    call.rows = at_a_time;
    call.image = of_image ? x.data() : nullptr;
    call.x = tiled ? tile.data() : x.data();
    call.halo = halo;
    call.relu = !tiled;
    call.channels = channels;
    call.part_blocks = s.in_blocks;
    call.depthwise = depthwise.data();
    call.product = product.data();
    call.bias = y_halo.any() ? bias.data() : nullptr;
    call.y = y.data();
    call.y_halo = y_halo;
    call.offset = offset.data();
    call.accumulate = !y_halo.any();
    call.y_relu = y_halo.any();
    call.scratch = {scratch.data(), scratch.size()};
    kernels.unit_rows(call);
  });
  std::vector<double> all;
  append(all, y);
  return all;
}

// A pool for two nodes, an identity for one of them, and the channels' sums over it.
template <class T>
std::vector<double> run_plane_rows(const Kernels<T>& kernels, const PoolShape& s, int bands) {
  const int lanes = s.blocks * kLanes;
  const std::vector<T> x = numbers<T>(1, std::size_t(lanes) * s.in_h * s.in_w);
  const std::size_t size = std::size_t(lanes) * s.out_h * s.out_w;
  const std::vector<T> other = numbers<T>(2, size);
  std::vector<T> written(size, not_a_number<T>()), added = numbers<T>(3, size), copied = written;
  T* const y[] = {written.data(), added.data()};
  const bool accumulate[] = {false, true};
  Scratch<T> counted;
  counted.take(std::size_t(s.in_w) * kLanes);
  for_bands(bands, s.out_h, [&](int first, int last) {
    std::vector<T> scratch(counted.taken(), not_a_number<T>());
    kernels.pool_rows({&s, first, last, x.data(), y, accumulate, 2, {scratch.data(), scratch.size()}});
    kernels.add_rows(added.data(), other.data(), s.blocks, s.out_h, s.out_w, first, last, true);
    kernels.add_rows(copied.data(), other.data(), s.blocks, s.out_h, s.out_w, first, last, false);
  });
  std::vector<double> sums(lanes, not_a_number<double>()), all;
  kernels.channel_sums(sums.data(), added.data(), s.blocks, s.out_h, s.out_w);
  append(all, written);
  append(all, added);
  append(all, copied);
  append(all, sums);
  return all;
}

// Also bands with each other, to the bit.
template <class Run>
void rows_agree(const Run& run, const InstructionSet& set, const std::vector<double>& plain = {}) {
  const std::vector<double> single = run(table<float>(set), 1), exact = run(table<double>(set), 1);
  agree(single, exact);
  if (!plain.empty()) agree(exact, plain, 1e-13);
  for (int bands : {2, 3}) CHECK(run(table<float>(set), bands) == single && run(table<double>(set), bands) == exact);
}

void evaluation_agrees(const InstructionSet& set) {
  const int sizes[][2] = {{1, 1}, {2, 3}, {7, 7}, {9, 13}, {14, 33}, {3, 140}, {1, 700}};
  const int blocks[][2] = {{1, 1}, {2, 3}, {3, 2}, {1, 4}, {2, 7}, {1, 2}, {2, 1}};
  for (const auto& size : sizes) {
    const int h = size[0], w = size[1];
    std::vector<std::pair<UnitShape, bool>> shapes{{unit_shape(Spread::pointwise, 1, 1, 1, h, w), false}};
    for (Halo stride : {Halo{1, 1}, Halo{2, 2}, Halo{1, 2}}) {
      for (Halo kernel : {Halo{3, 3}, Halo{5, 5}, Halo{7, 7}, Halo{1, 3}, Halo{1, 5}, Halo{2, 2}, Halo{1, 1}})
        for (int dilation : {1, 2})
          if (fits(kernel, dilation, h, w))
            shapes.push_back({unit_shape(Spread::depthwise, kernel, dilation, stride, h, w), false});
      for (bool of_image : {false, true})
        for (Halo kernel : {Halo{3, 3}, Halo{1, 3}})
          shapes.push_back({unit_shape(Spread::gather, kernel, 1, stride, h, w), of_image});
      shapes.push_back({unit_shape(Spread::gather, 3, 2, stride.w, h, w), false});
    }
    for (auto& [s, of_image] : shapes) {
      s.in_blocks = of_image ? 1 : blocks[&size - sizes][0];
      s.out_blocks = blocks[&size - sizes][1];
      for (Halo y_halo : {Halo{}, Halo{2, 2}, Halo{0, 3}})
        rows_agree([&, &s = s, of_image = of_image](
                       const auto& kernels, int bands) { return run_unit_rows(kernels, s, of_image, y_halo, bands); },
                   set, plain_unit_rows(s, of_image, y_halo));
    }
    for (bool max : {false, true})
      for (int stride : {1, 2})
        for (Halo window : {Halo{3, 3}, Halo{1, 3}, Halo{5, 5}, Halo{1, 1}}) {
          const PoolShape s = pool_shape(max, window, {stride, stride}, {window.h / 2, window.w / 2}, h, w);
          rows_agree([&](const auto& kernels, int bands) { return run_plane_rows(kernels, s, bands); }, set);
        }
  }
}

}  // namespace

int main() {
  int count = 0;
  const InstructionSet* sets = instruction_sets(&count);
  const std::vector<UnitCase> cases = unit_cases();
  for (int i = 0; i < count; ++i) {
    const InstructionSet& set = sets[i];
    if (!set.supported) continue;
    const int before = failed_checks;
    units_agree(set, cases);
    pools_agree(set);
    nodes_agree(set);
    evaluation_agrees(set);
    if (failed_checks != before) std::fprintf(stderr, "with %s\n", set.name);
    std::printf("%s\n", set.name);
  }
  return checked();
}
