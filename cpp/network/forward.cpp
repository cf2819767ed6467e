// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "core/processor.hpp"
#include "network/passes.hpp"

namespace pydarts {
namespace {

constexpr std::size_t kStreamed = std::size_t(4) << 20;  // bytes that a core's own cache does not hold

}  // namespace

template <class T>
void Network<T>::run_forward(const Pass& pass) {
  if (!pass.training)  // the running statistics are known before anything runs
    for (const State& state : pass.taken.states())
      for (const auto& affines : state.affines) finish_forward(pass, affines);
  for (int v = 0; v < int(graph_.states.size()); ++v) {
    if (graph_.states[v].auxiliary && !pass.training) continue;
    forward_state(pass, v, Walk::forward);
    check_cancelled();
  }
}

// What left the states before is added to the nodes that it is for; the state is then complete and, while it is in
// cache, all that leaves it at level 0 is computed; then, level by level, what follows in the chains. Between levels
// the batch statistics are complete.
template <class T>
void Network<T>::forward_state(const Pass& pass, int v, Walk walk) {
  const State& state = pass.taken.states()[v];
  forward_units(pass, v, 0, walk);
  for (int level = 1; level < int(state.levels.size()); ++level) forward_units(pass, v, level, walk);
}

template <class T>
void Network<T>::forward_units(const Pass& pass, int v, int level, Walk walk) {
  const State& state = pass.taken.states()[v];
  const auto& place = pass.plan.states[v];
  const int blocks = state.channels.blocks();
  static const std::vector<int> none;
  const std::vector<int>& units = level < int(state.levels.size()) ? state.levels[level] : none;
  const Halo halo[2] = {state_halo(graph_, state, false), state_halo(graph_, state, true)};
  const std::size_t tile_stride[2] = {tile_size(1, state.read_blocks, place.h, place.w, halo[0]),
                                      tile_size(1, state.read_blocks, place.h, place.w, halo[1])};
  std::size_t written = 0;  // by all tasks, before any of it is read
  for (int u : units) written += pass.plan.units[u].stride() * pass.plan.held * sizeof(T);
  const bool streams = fast_streams(processor()) && written > kStreamed;
  bool spreads[2] = {false, false};  // whether a unit reads a tile of x, or of relu(x)
  if (level == 0)
    for (int u : units)
      if (graph_.units[u].shape.spread != Spread::pointwise) spreads[graph_.units[u].relu] = true;

  const bool is_zero = state.is_zero() && pass.taken.has_state(v);
  if (!units.empty() ||
      (level == 0 && (!state.arriving.empty() || !state.pools.empty() || !state.noises.empty() || is_zero)))
    for_groups(pass, v, [&](int n, int samples, int task, int thread) {
      const LevelBuffers<T> buffers = this->buffers(pass, v, level, thread);
      if (level == 0) {
        if (n == pass.plan.first_sample(v, task)) std::fill_n(sums(v, task), 2 * state.lanes, 0.0);
        if (walk == Walk::forward) {
          add_arriving(pass, state, n, samples, thread);
          const View<T> x = activation(pass, v, n);
          for (int i = 0; i < samples && is_zero; ++i)
            std::fill_n(x.data + i * x.stride, std::size_t(blocks) * place.plane() * kLanes, T(0));
        }
        for (int i : state.noises) draw_noise(pass, i, n, samples, walk);
        for (int relu : {0, 1})
          if (spreads[relu])
            kernels_.load_tile(buffers.tiles[relu], readable(activation(pass, v, n)), samples, state.read_blocks,
                               place.h, place.w, halo[relu], nullptr, nullptr, relu == 1);
        for (int p : state.pools)
          kernels_.pool_forward(pooled(pass, p, n, walk), readable(activation(pass, v, n)), samples,
                                pass.plan.pools[p].shape, sums(v, task, graph_.terms[graph_.pools[p].terms[0]].affine));
      }
      for (int u : units) {
        const Unit& unit = graph_.units[u];
        UnitForward<T> call{};
        call.shape = &pass.plan.units[u].shape;
        call.samples = samples;
        call.relu = unit.relu;
        call.scratch = buffers.own;
        const bool tiled = call.shape->spread != Spread::pointwise;
        const View<T> x = level == 0 ? activation(pass, v, n) : output(pass, unit.previous, n, walk);
        const Coefficients before = level == 0 ? Coefficients{} : coefficients(graph_.units[unit.previous].affine);
        if (!tiled) {
          call.x = readable(x);
          call.scale = before.scale;
          call.shift = before.shift;
        } else if (level == 0) {
          call.x = {buffers.tiles[unit.relu], tile_stride[unit.relu]};
          call.halo = halo[unit.relu];
        } else {
          const UnitShape& shape = *call.shape;
          call.halo = unit_halo(unit);
          kernels_.load_tile(buffers.tiles[0], readable(x), samples, shape.in_blocks, shape.in_h, shape.in_w, call.halo,
                             before.scale, before.shift, unit.relu);
          call.x = {buffers.tiles[0], tile_size(1, shape.in_blocks, shape.in_h, shape.in_w, call.halo)};
        }
        call.depthwise = pass.packed + unit.packed_depthwise;
        call.product = pass.packed + unit.packed_product;
        call.y = output(pass, u, n, walk);
        call.y_streams = streams;
        call.sums = sums(v, task, unit.affine);
        kernels_.unit_forward(call);
      }
    });
  if (!pass.training || walk == Walk::backward) return;
  if (level >= int(state.affines.size())) return;
  const std::vector<int>& affines = state.affines[level];
  meet(pass, v, int(affines.size()), [&](int i) {
    const Affine& affine = graph_.affines[affines[i]];
    return affine.norm < 0 ? -1 : affine.statistics;
  });
  finish_forward(pass, affines);
}

template <class T>
void Network<T>::add_arriving(const Pass& pass, const State& state, int sample, int samples, int thread) {
  Summand<T>* terms = summands_.data() + thread * most_terms_;
  for (std::size_t i = 0; i < state.arriving.size();) {
    const int first = state.arriving[i], node = graph_.terms[first].node, blocks = graph_.term_channels(first).blocks();
    int count = 0;
    for (; i < state.arriving.size() && graph_.go_together(first, state.arriving[i]); ++i, ++count)
      terms[count] = summand(pass, graph_.terms[state.arriving[i]], sample, Walk::forward);
    const bool starts = first == pass.taken.states()[node].terms[0];
    const View<T> s = activation(pass, node, sample);
    const std::size_t plane = pass.plan.states[node].plane(), given = blocks * plane * kLanes;
    const std::size_t all = graph_.states[node].channels.blocks() * plane * kLanes;
    for (int n = 0; n < samples && starts && given < all; ++n)
      std::fill(s.data + n * s.stride + given, s.data + n * s.stride + all, T(0));
    kernels_.node_sum(s, terms, count, starts, samples, blocks, int(plane));
  }
}

template <class T>
Summand<T> Network<T>::summand(const Pass& pass, const Term& term, int sample, Walk walk) {
  const View<T> y = term.source == Source::unit    ? output(pass, term.index, sample, walk)
                    : term.source == Source::pool  ? pooled(pass, term.index, sample, walk)
                    : term.source == Source::noise ? noise(pass, term.index, sample, walk)
                                                   : activation(pass, term.index, sample);
  const Coefficients k = coefficients(term.affine);
  return {readable(y), k.scale, k.shift, factor(pass, term.affine, sample), k.mean, nullptr};
}

// From the sums of all tasks, or from the running statistics.
template <class T>
void Network<T>::finish_forward(const Pass& pass, const std::vector<int>& affines) {
  const std::size_t parts = pass.training ? parts_.size() : 0;
  std::size_t additions = 0;
  for (int affine : affines) additions += std::size_t(graph_.affines[affine].channels.lanes()) * (parts + kOwnWork);
  parallel_for(threads_for(additions), int(affines.size()), [&](int i, int) { finish_forward(pass, affines[i]); });
}

// mean, scale and shift of an affine map, from the sums of all tasks or from the running statistics.
template <class T>
void Network<T>::finish_forward(const Pass& pass, int index) {
  const Affine& affine = graph_.affines[index];
  const Coefficients k = coefficients(index);
  const double mixing = affine.alpha >= 0 ? mixing_[affine.alpha] : 1;
  const int lanes = affine.channels.lanes();
  if (affine.norm < 0) {
    std::fill_n(k.mean, lanes, T(0));
    std::fill_n(k.scale, lanes, T(0));
    std::fill_n(k.shift, lanes, T(0));
    for (int c = affine.first_channel; c < affine.channels.count(); ++c) k.scale[affine.channels.lane(c)] = T(mixing);
    return;
  }
  const BatchNorm& norm = graph_.norms[affine.norm];
  const double count = double(pass.plan.samples) * pass.plan.affine_plane[index];
  const double unbiased = count > 1 ? count / (count - 1) : 1;
  for_blocks(affine.channels, [&](int block, int first, int channels) {
    double totals[kLanes] = {}, totals_of_squares[kLanes] = {};
    if (pass.training) {
      const Parts parts = this->parts(affine.statistics);
      const std::size_t at = parts.offset + block * kLanes;
      add_by_pairs<kLanes>(totals, kLanes, parts.count, parts.levels, [&](int i) { return parts.at[i] + at; });
      add_by_pairs<kLanes>(totals_of_squares, kLanes, parts.count, parts.levels,
                           [&](int i) { return parts.at[i] + at + lanes; });
    }
    for (int i = 0; i < channels; ++i) {
      const int lane = block * kLanes + i, c = first + i;
      double mean, variance;
      if (pass.training) {
        const double total = totals[i], squares = totals_of_squares[i];
        mean = total / count;
        variance = std::max(squares / count - mean * mean, 0.0);  // in this order NaN stays NaN
        batch_mean_[affine.first_lane + lane] = affine.bias < 0 ? mean : mean + bias_of(pass, affine, c);
        batch_unbiased_[affine.first_lane + lane] = unbiased * variance;
      } else {
        mean = running_[norm.running + c] - bias_of(pass, affine, c);
        variance = running_[norm.running + norm.channels + c];
      }
      const double rstd = 1 / std::sqrt(variance + kBatchNormEpsilon);
      const double gamma = norm.gamma < 0 ? 1 : pass.weights[graph_.parameters[norm.gamma].offset + c];
      const double beta = norm.beta < 0 ? 0 : pass.weights[graph_.parameters[norm.beta].offset + c];
      rstd_[affine.first_lane + lane] = rstd;
      k.mean[lane] = T(mean);
      k.scale[lane] = T(mixing * gamma * rstd);
      k.shift[lane] = T(mixing * beta - k.scale[lane] * mean);  // of the scale as rounded: the mean then becomes beta
    }
  });
}

template class Network<float>;
template class Network<double>;

}  // namespace pydarts
