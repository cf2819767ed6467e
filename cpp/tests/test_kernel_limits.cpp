// SPDX-License-Identifier: MIT
// Kernels where numbers or places are out of the ordinary, for every instruction set that the machine runs: sums over
// large planes, NaN, what is lost by rounding twice, places beyond 2^31 elements.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "check.hpp"
#include "kernel_calls.hpp"
#ifdef __linux__
#include <sys/mman.h>
#endif

using namespace pydarts;

namespace {

// The sums that normalisation takes, over a plane of 1024 x 1024 pixels whose mean is far from zero.
struct Sum {
  double value, bound;  // of the relative error in single precision
};

template <class T>
std::vector<Sum> run_large_plane(const Kernels<T>& kernels) {
  constexpr int kSide = 1024, kPlane = kSide * kSide;
  const std::size_t stride = std::size_t(kPlane) * kLanes;
  std::vector<T> x = numbers<T>(1, stride, 3), g = numbers<T>(2, stride, 1);
  for (int i = 0; i < kLanes; ++i) x[i] = 0;  // the pivot of the sums is no neighbour of the mean
  std::vector<Sum> all;

  PoolShape pool = pool_shape(false, 1, 1, 0, kSide, kSide);
  pool.blocks = 1;
  std::vector<T> out(stride);
  std::vector<double> sums(2 * kLanes);
  kernels.pool_forward(view(out, stride), view(std::as_const(x), stride), 1, pool, sums.data());
  for (int i = 0; i < kLanes; ++i) {  // mean and standard deviation
    const double mean = sums[i] / kPlane;
    all.push_back({mean, 1e-5});
    all.push_back({std::sqrt(sums[kLanes + i] / kPlane - mean * mean), 1e-5});
  }

  const std::vector<T> one(kLanes, 1), zero(kLanes, 0);
  std::vector<double> moments(2 * kLanes);
  const Summand<T> term{view(std::as_const(x), stride), one.data(), nullptr, nullptr, nullptr, moments.data()};
  kernels.node_moments(view(std::as_const(g), stride), &term, 1, 1, 1, kPlane);
  for (double m : moments) all.push_back({m / kPlane, 1e-7});

  std::fill(moments.begin(), moments.end(), 0);
  kernels.activation_backward(view(out, stride), view(std::as_const(g), stride), view(std::as_const(x), stride),
                              one.data(), zero.data(), false, zero.data(), moments.data(), 1, 1, kPlane);
  for (double m : moments) all.push_back({m / kPlane, 1e-6});

  UnitShape s = unit_shape(Spread::depthwise, 3, 1, 1, kSide, kSide);
  s.in_blocks = s.out_blocks = 1;
  std::vector<T> tile(tile_size(1, 1, kSide, kSide, {1, 1}) + kTilePad), scratch(unit_scratch(s, 1)),
      d_depthwise(9 * kLanes);
  kernels.load_tile(tile.data(), view(std::as_const(x), stride), 1, 1, kSide, kSide, {1, 1}, nullptr, nullptr, false);
  std::vector<T> identity(kLanes * kLanes), depthwise(9 * kLanes);
  for (int i = 0; i < kLanes; ++i) identity[i * kLanes + i] = 1;
  UnitBackward<T> call{};
  call.shape = &s;
  call.samples = 1;
  call.x = view(std::as_const(tile), tile.size());
  call.halo = {1, 1};
  call.depthwise = depthwise.data();
  call.product_transposed = identity.data();
  call.y = call.g = view(std::as_const(g), stride);
  call.a = one.data();
  call.b = call.c = zero.data();
  call.d_depthwise = d_depthwise.data();
  call.begins = true;
  call.scratch = {scratch.data(), scratch.size()};
  kernels.unit_backward(call);
  for (T d : d_depthwise) all.push_back({double(d) / kPlane, 2e-6});
  return all;
}

void large_planes_keep_their_sums(const InstructionSet& set) {
  const std::vector<Sum> single = run_large_plane(table<float>(set)), exact = run_large_plane(table<double>(set));
  for (std::size_t i = 0; i < exact.size(); ++i)
    CHECK(std::fabs(single[i].value - exact[i].value) <= exact[i].bound * std::fabs(exact[i].value));
}

template <class T>
void max_pools_spread_nan(const Kernels<T>& kernels) {
  constexpr int kH = 5, kW = 6;
  for (int stride : {1, 2})
    for (int at = 0; at < kH * kW; ++at) {
      PoolShape s = pool_shape(true, 3, stride, 1, kH, kW);
      s.blocks = 1;
      std::vector<T> x = numbers<T>(1, kH * kW * kLanes), y(s.out_h * s.out_w * kLanes), dx(x.size());
      std::vector<T> row((s.out_w + 2) * kLanes);
      std::vector<double> sums(2 * kLanes);
      x[at * kLanes + 3] = not_a_number<T>();
      kernels.pool_forward(view(y, y.size()), view(std::as_const(x), x.size()), 1, s, sums.data());
      bool as_it_should = true;
      for (int oy = 0; oy < s.out_h; ++oy)
        for (int ox = 0; ox < s.out_w; ++ox) {
          const bool holds = std::abs(oy * stride - at / kW) <= 1 && std::abs(ox * stride - at % kW) <= 1;
          const T* pixel = y.data() + (oy * s.out_w + ox) * kLanes;
          as_it_should &= std::isnan(pixel[3]) == holds && !std::isnan(pixel[2]);
        }
      CHECK(as_it_should);
      CHECK(std::isnan(sums[3]) && std::isnan(sums[kLanes + 3]) && !std::isnan(sums[2]));
      // The gradient goes to the pixel that is NaN, as it does to the maximum.
      const std::vector<T> one(kLanes, 1), zero(kLanes, 0), g(y.size(), 1);
      const PoolUse<T> use{view(g, g.size()), one.data(), nullptr};
      kernels.pool_backward(view(dx, dx.size()), view(std::as_const(x), x.size()), view(std::as_const(y), y.size()), 1,
                            s, &use, 1, zero.data(), zero.data(), row.data());
      CHECK(std::isnan(dx[at * kLanes + 3]));
    }
}

template <class T>
void activations_spread_nan(const Kernels<T>& kernels, const RecurrentKernels<T>& recurrent) {
  std::vector<T> g(kLanes), x(kLanes, not_a_number<T>());
  const std::vector<T> dx(kLanes, 2);
  kernels.relu_backward(view(g, kLanes), view(dx, kLanes), view(std::as_const(x), kLanes), false, 1, 1, 1);
  CHECK(g == dx);

  for (int at : {0, kUnits}) {  // a gate, an activation
    std::vector<T> gates(kPanel, T(0.5)), sources(kUnits, 1), state(kUnits), mixing{T(0.5), 0, T(0.5), 0};
    gates[at + 2] = not_a_number<T>();
    NodeBlock<T> node{};
    node.batch = node.edges = 1;
    node.stride = kUnits;
    node.gates = gates.data();
    node.sources = sources.data();
    node.mixing = mixing.data();
    node.state = state.data();
    recurrent.gates_forward(node);
    for (int i = 0; i < kUnits; ++i) CHECK(std::isnan(state[i]) == (i == 2));
  }

  constexpr int kClasses = 70, kPanels = 3;
  for (int at = 0; at < kClasses; ++at) {
    std::vector<T> logits = numbers<T>(1, kPanels * kPanel), bias(kPanels * kPanel);
    logits[at] = not_a_number<T>();
    const std::int32_t label = 5;
    double loss = 0;
    char hit = 0;
    recurrent.softmax_rows({logits.data(), kPanel, bias.data(), &label, 1, kClasses, 1, &loss, &hit});
    CHECK(std::isnan(loss));
    CHECK(std::all_of(logits.begin(), logits.begin() + kClasses, [](T d) { return std::isnan(d); }));
  }
}

// A product and the sum that takes it are rounded once: what one rounding each would lose is there.
template <class T>
[[maybe_unused]] void products_are_fused(const Kernels<T>& kernels) {
  const T small = T(std::ldexp(1, sizeof(T) == 4 ? -13 : -28));
  const std::vector<T> y(kLanes, 1 + small), scale = y, shift(kLanes, -(1 + 2 * small));
  std::vector<T> s(kLanes);
  const Summand<T> term{view(y, kLanes), scale.data(), shift.data(), nullptr, nullptr, nullptr};
  kernels.node_sum(view(s, kLanes), &term, 1, true, 1, 1, 1);
  CHECK(s == std::vector<T>(kLanes, small * small));
}

#ifdef __linux__
// The last block of a pointwise unit's input begins 2^31 elements after the first; one row of the planes is read.
template <class T>
void blocks_may_lie_far_away(const Kernels<T>& kernels) {
  constexpr int kSide = 4096, kBlocks = 17;
  const std::size_t plane = std::size_t(kSide) * kSide * kLanes, bytes = kBlocks * plane * sizeof(T);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::fprintf(stderr, "%zu bytes of addresses are not to be had: places beyond 2^31 elements are not tested\n",
                 bytes);
    return;
  }
  T* x = static_cast<T*>(memory);
  UnitShape s = unit_shape(Spread::pointwise, 1, 1, 1, kSide, kSide);
  s.in_blocks = kBlocks;
  s.out_blocks = 1;
  s.out_h = 1;
  const std::vector<T> values = numbers<T>(1, kSide);
  for (int i = 0; i < kSide; ++i) x[(kBlocks - 1) * plane + std::size_t(i) * kLanes] = values[i];
  std::vector<T> y(kSide * kLanes), product(kBlocks * kLanes * kLanes), scratch(unit_scratch(s, 1));
  product[(kBlocks - 1) * kLanes * kLanes] = 1;
  std::vector<double> sums(2 * kLanes);
  UnitForward<T> call{};
  call.shape = &s;
  call.samples = 1;
  call.x = {x, kBlocks * plane};
  call.product = product.data();
  call.y = view(y, y.size());
  call.sums = sums.data();
  call.scratch = {scratch.data(), scratch.size()};
  kernels.unit_forward(call);
  int same = 0;
  for (int i = 0; i < kSide; ++i) same += y[std::size_t(i) * kLanes] == values[i];
  CHECK(same == kSide);
  munmap(memory, bytes);
}
#endif

}  // namespace

int main() {
  int count = 0;
  const InstructionSet* sets = instruction_sets(&count);
  for (int i = 0; i < count; ++i) {
    const InstructionSet& set = sets[i];
    if (!set.supported) continue;
    const int before = failed_checks;
    large_planes_keep_their_sums(set);
    max_pools_spread_nan(*set.f32);
    max_pools_spread_nan(*set.f64);
    activations_spread_nan(*set.f32, *set.recurrent_f32);
    activations_spread_nan(*set.f64, *set.recurrent_f64);
#ifndef PYDARTS_UNOPTIMISED  // then nothing is fused
    if (std::strcmp(set.name, "baseline") != 0) {
      products_are_fused(*set.f32);
      products_are_fused(*set.f64);
    }
#endif
#ifdef __linux__
    blocks_may_lie_far_away(*set.f32);
    blocks_may_lie_far_away(*set.f64);
#endif
    if (failed_checks != before) std::fprintf(stderr, "with %s\n", set.name);
  }
  return checked();
}
