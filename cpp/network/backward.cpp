// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "network/passes.hpp"

namespace pydarts {
namespace {

// Above so many elements of the tasks' weight gradients the sum of a unit's is cut into slices.
constexpr std::size_t kManyPartials = std::size_t(1) << 18;
constexpr int kSlices = 4;

}  // namespace

template <class T>
void Network<T>::run_backward(const Pass& pass, T* d_weights, T* d_alphas, T* d_images) {
  std::fill(d_mixing_.begin(), d_mixing_.end(), 0);
  for (int v = int(graph_.states.size()) - 1; v >= 0; --v) {
    if (!pass.taken.has_state(v)) continue;
    backward_state(pass, v, d_weights);
    check_cancelled();
  }
  if (messages_.several()) exchange_weight_gradients(pass, d_weights);
  if (d_alphas) alpha_gradient(pass, d_alphas);
  if (d_images)
    copy_channels(graph_.states[0].channels, pass.plan.states[0].plane(), pass.plan.held, gradient(pass, 0, 0),
                  [&](std::size_t at, T& value) { d_images[at] = value; });
}

// Where neither weights nor image want a gradient, nor an alpha further up, a state needs none either; what leaves it
// may have alphas of its own.
template <class T>
void Network<T>::backward_state(const Pass& pass, int v, T* d_weights) {
  const State& state = pass.taken.states()[v];
  const bool wants_gradient = d_weights || graph_.input_gradient || state.has_alphas;
  auto has_alpha = [&](int t) { return graph_.affines[graph_.terms[t].affine].alpha >= 0; };
  if (!wants_gradient && std::none_of(state.outgoing.begin(), state.outgoing.end(), has_alpha)) return;
  if (pass.plan.recompute) forward_state(pass, v, Walk::backward);
  backward_terms(pass, v, d_weights);
  if (!wants_gradient) return;
  for (int level = int(state.levels.size()) - 1; level > 0; --level)
    if (!state.levels[level].empty()) backward_units(pass, v, level, d_weights);
  backward_sources(pass, v, d_weights);
}

// The moments of the nodes' gradients against what leaves the state for them. Taken here, not where a node's
// gradient is complete: of a small network the outputs are still in the last cache when the units read them again.
template <class T>
void Network<T>::backward_terms(const Pass& pass, int v, T* d_weights) {
  const std::vector<int>& outgoing = pass.taken.states()[v].outgoing;
  if (outgoing.empty()) return;
  for_groups(pass, v, [&](int n, int samples, int task, int thread) {
    if (n == pass.plan.first_sample(v, task)) std::fill_n(sums(v, task), 2 * graph_.states[v].lanes, 0.0);
    Summand<T>* terms = summands_.data() + thread * most_terms_;
    for (std::size_t i = 0; i < outgoing.size();) {
      const int first = outgoing[i], node = graph_.terms[first].node;
      int count = 0;
      for (; i < outgoing.size() && graph_.go_together(first, outgoing[i]); ++i, ++count) {
        terms[count] = summand(pass, graph_.terms[outgoing[i]], n, Walk::backward);
        terms[count].moments = sums(v, task, graph_.terms[outgoing[i]].affine);
      }
      kernels_.node_moments(readable(gradient(pass, node, n)), terms, count, samples,
                            graph_.term_channels(first).blocks(), pass.plan.states[node].plane());
    }
  });
  finish_backward(pass, v, int(outgoing.size()), [&](int i) { return graph_.terms[outgoing[i]].affine; }, d_weights);
  for (int t : outgoing) {
    const int affine = graph_.terms[t].affine, alpha = graph_.affines[affine].alpha;
    if (alpha >= 0) d_mixing_[alpha] += d_factor_[affine];  // cells share their alphas
  }
}

// The call of the kernel but for what the unit reads and its gradient: where its output gradient comes from, and where
// its weight gradients go.
template <class T>
UnitBackward<T> Network<T>::unit_backward_call(const Pass& pass, int u, int sample, int samples, int task,
                                               bool wants_weights) {
  const Unit& unit = graph_.units[u];
  const Coefficients k = coefficients(unit.affine);
  UnitBackward<T> call{};
  call.shape = &pass.plan.units[u].shape;
  call.samples = samples;
  call.relu = unit.relu;
  call.depthwise = pass.packed + unit.packed_depthwise;
  call.product_transposed = pass.packed + unit.packed_transposed;
  call.y = readable(output(pass, u, sample, Walk::backward));
  call.g = readable(output_gradient(pass, u, sample));
  call.a = k.a;
  call.b = k.b;
  call.c = k.c;
  call.factor = unit.next >= 0 ? nullptr : factor(pass, unit.affine, sample);
  if (wants_weights) {
    T* partial = weight_gradients(pass, unit) + task * graph_.states[unit.state].level_size[unit.level];
    call.begins = sample == pass.plan.first_sample(unit.state, task);
    call.d_depthwise = unit.depthwise < 0 ? nullptr : partial;
    call.d_product = unit.parts.empty() ? nullptr : partial + unit.depthwise_size();
  }
  return call;
}

// Where the outputs of the units are, and the gradients there: both come from `units` one after the other.
template <class T>
void Network<T>::look_ahead(const Pass& pass, UnitBackward<T>& call, const std::vector<int>& units, std::size_t i,
                            int sample) {
  if (i + 1 == units.size()) return;
  const auto &here = pass.plan.units[units[i]].shape, &next = pass.plan.units[units[i + 1]].shape;
  if (here.out_blocks != next.out_blocks || here.out_plane() != next.out_plane()) return;
  call.y_ahead = output(pass, units[i + 1], sample, Walk::backward).data;
  call.g_ahead = output_gradient(pass, units[i + 1], sample).data;
}

// Units that read the output of another one: gives the gradient at that one's normalised output.
template <class T>
void Network<T>::backward_units(const Pass& pass, int v, int level, T* d_weights) {
  const std::vector<int>& units = pass.taken.states()[v].levels[level];
  for_groups(pass, v, [&](int n, int samples, int task, int thread) {
    const LevelBuffers<T> buffers = this->buffers(pass, v, level, thread);
    for (std::size_t i = 0; i < units.size(); ++i) {
      const int u = units[i];
      const Unit& unit = graph_.units[u];
      const int previous = unit.previous;
      const Coefficients before = coefficients(graph_.units[previous].affine);
      UnitBackward<T> call = unit_backward_call(pass, u, n, samples, task, d_weights != nullptr);
      look_ahead(pass, call, units, i, n);
      const UnitShape& shape = *call.shape;
      const View<const T> x = readable(output(pass, previous, n, Walk::backward));
      if (shape.spread == Spread::pointwise) {
        call.x = x;
        call.scale = before.scale;
        call.shift = before.shift;
      } else {
        call.halo = unit_halo(unit);
        call.x = {buffers.tiles[0], tile_size(1, shape.in_blocks, shape.in_h, shape.in_w, call.halo)};
        if (d_weights)
          kernels_.load_tile(buffers.tiles[0], x, samples, shape.in_blocks, shape.in_h, shape.in_w, call.halo,
                             before.scale, before.shift, unit.relu);
      }
      call.dx = {buffers.gradient, tile_size(1, shape.in_blocks, shape.in_h, shape.in_w, Halo{})};
      call.first = true;
      call.scratch = buffers.own;
      kernels_.unit_backward(call);
      kernels_.activation_backward(output_gradient(pass, previous, n), readable(call.dx), x, before.scale, before.shift,
                                   unit.relu, before.mean, sums(v, task, graph_.units[previous].affine), samples,
                                   shape.in_blocks, shape.in_plane());
    }
  });
  finish_backward(
      pass, v, int(units.size()), [&](int i) { return graph_.units[graph_.units[units[i]].previous].affine; },
      d_weights);
  if (d_weights) reduce_weight_gradients(pass, v, level, d_weights);
}

// All that reads the state itself: completes the gradient at the state.
template <class T>
void Network<T>::backward_sources(const Pass& pass, int v, T* d_weights) {
  const State& state = pass.taken.states()[v];
  const auto& place = pass.plan.states[v];
  const int blocks = state.channels.blocks();
  static const std::vector<int> none;
  const std::vector<int>& units = state.levels.empty() ? none : state.levels[0];
  const bool wants_state = state.kind != StateKind::image || graph_.input_gradient;
  const bool started = gradient_started_[v] || (state.concat >= 0 && gradient_started_[state.concat]);
  gradient_started_[v] = 1;
  if (units.empty() && (!wants_state || (started && state.pools.empty() && state.identities.empty()))) return;
  const Halo halo[2] = {state_halo(graph_, state, false), state_halo(graph_, state, true)};
  const int read_blocks = state.read_blocks;
  const std::size_t tile_stride[2] = {tile_size(1, read_blocks, place.h, place.w, halo[0]),
                                      tile_size(1, read_blocks, place.h, place.w, halo[1])};
  bool spreads[2] = {false, false}, relu_units = false;
  for (int u : units) {
    const Unit& unit = graph_.units[u];
    if (unit.shape.spread != Spread::pointwise && d_weights) spreads[unit.relu] = true;
    if (unit.relu) relu_units = true;
  }
  const std::size_t size = tile_size(1, blocks, place.h, place.w, Halo{});
  const std::size_t read_size = tile_size(1, read_blocks, place.h, place.w, Halo{});
  for_groups(pass, v, [&](int n, int samples, int task, int thread) {
    const LevelBuffers<T> buffers = this->buffers(pass, v, 0, thread);
    const View<const T> x = readable(activation(pass, v, n));
    const View<T> g = wants_state ? gradient(pass, v, n) : View<T>{nullptr, 0};
    const View<T> behind_relu = wants_state ? View<T>{buffers.gradient, read_size} : View<T>{nullptr, 0};
    for (int relu : {0, 1})
      if (spreads[relu])
        kernels_.load_tile(buffers.tiles[relu], x, samples, read_blocks, place.h, place.w, halo[relu], nullptr, nullptr,
                           relu == 1);
    bool begun = started, first = true;  // the gradient at the state, and at its ReLU
    auto begin = [&] {                   // with zeros, where what comes first does not write all of it
      for (int i = 0; i < samples && !begun; ++i) std::fill_n(g.data + i * g.stride, size, T(0));
      begun = true;
    };
    if (wants_state && read_blocks < blocks) begin();
    for (std::size_t i = 0; i < units.size(); ++i) {
      const int u = units[i];
      const Unit& unit = graph_.units[u];
      UnitBackward<T> call = unit_backward_call(pass, u, n, samples, task, d_weights != nullptr);
      look_ahead(pass, call, units, i, n);
      if (call.shape->spread == Spread::pointwise) {
        call.x = x;
      } else {
        call.x = {buffers.tiles[unit.relu], tile_stride[unit.relu]};
        call.halo = halo[unit.relu];
      }
      if (wants_state && !unit.relu && call.shape->in_blocks < blocks) begin();
      call.dx = unit.relu ? behind_relu : g;
      call.first = unit.relu ? first : !begun;
      if (unit.relu)
        first = false;
      else
        begun = true;
      call.scratch = buffers.own;
      kernels_.unit_backward(call);
    }
    if (!wants_state) return;
    if (relu_units) kernels_.relu_backward(g, readable(behind_relu), x, !begun, samples, read_blocks, place.plane());
    begun = begun || relu_units;
    if (!state.pools.empty()) begin();
    for (int p : state.pools) {
      const Pool& pool = graph_.pools[p];
      const int lanes = pool.channels.lanes();
      PoolUse<T>* uses = uses_.data() + thread * most_uses_;
      Scratch<T> scratch = buffers.own;
      T *slope = scratch.take(lanes), *level = scratch.take(lanes);  // of all uses together
      T* row = scratch.take((std::size_t(pass.plan.pools[p].shape.out_w) + 2) * kLanes);
      std::fill_n(slope, lanes, T(0));
      std::fill_n(level, lanes, T(0));
      int count = 0;
      for (int t : pool.terms) {
        if (!pass.taken.has_term(t)) continue;
        const Term& term = graph_.terms[t];
        const Coefficients k = coefficients(term.affine);
        uses[count++] = {readable(gradient(pass, term.node, n)), k.a, factor(pass, term.affine, n)};
        for (int i = 0; i < lanes; ++i) {
          slope[i] += k.b[i];
          level[i] += k.c[i];
        }
      }
      kernels_.pool_backward(g, x, readable(pooled(pass, p, n, Walk::backward)), samples, pass.plan.pools[p].shape,
                             uses, count, slope, level, row);
    }
    for (int t : state.identities) {
      const int own = graph_.term_channels(t).blocks();
      if (own < blocks) begin();
      kernels_.add_scaled(g, readable(gradient(pass, graph_.terms[t].node, n)), coefficients(graph_.terms[t].affine).a,
                          !begun, samples, own, place.plane());
      begun = true;
    }
    begin();
  });
  if (d_weights && !units.empty()) reduce_weight_gradients(pass, v, 0, d_weights);
}

template <class T>
template <class AffineOf>
void Network<T>::finish_backward(const Pass& pass, int v, int count, AffineOf affine_of, T* d_weights) {
  meet(pass, v, count, [&](int i) { return graph_.affines[affine_of(i)].has_moments() ? affine_of(i) : -1; });
  std::size_t additions = 0;
  for (int i = 0; i < count; ++i) {
    additions += std::size_t(graph_.affines[affine_of(i)].channels.lanes()) * (parts_.size() + kOwnWork);
  }
  parallel_for(threads_for(additions), count, [&](int i, int) { finish_backward(pass, affine_of(i), d_weights); });
}

// With G = sum of g and D = sum of g (y - mean), over batch and plane, and x^ the normalised output:
//   dy = mixing gamma rstd (g - G / M - x^ rstd D / M) = a g + b y + c
//   dgamma = mixing rstd D, dbeta = mixing G, dmixing = sum over channels of gamma rstd D + beta G
template <class T>
void Network<T>::finish_backward(const Pass& pass, int index, T* d_weights) {
  const Affine& affine = graph_.affines[index];
  const Coefficients k = coefficients(index);
  const double mixing = affine.alpha >= 0 ? mixing_[affine.alpha] : 1;
  const int lanes = affine.channels.lanes();
  const double count = double(pass.plan.samples) * pass.plan.affine_plane[index];
  double d_mixing = 0;
  for_blocks(affine.channels, [&](int block, int first, int channels) {
    double totals[kLanes] = {}, moments[kLanes] = {};
    const Parts parts = this->parts(index);
    const std::size_t at = parts.offset + block * kLanes;
    if (affine.has_moments()) {
      add_by_pairs<kLanes>(totals, kLanes, parts.count, parts.levels, [&](int i) { return parts.at[i] + at; });
      add_by_pairs<kLanes>(moments, kLanes, parts.count, parts.levels, [&](int i) { return parts.at[i] + at + lanes; });
    }
    for (int i = 0; i < channels; ++i) {
      const int lane = block * kLanes + i, c = first + i;
      const double total = totals[i], moment = moments[i];
      if (affine.norm < 0) {
        if (c < affine.first_channel) continue;
        k.a[lane] = T(mixing);
        k.b[lane] = k.c[lane] = T(0);
        d_mixing += moment;
        continue;
      }
      const BatchNorm& norm = graph_.norms[affine.norm];
      const double rstd = rstd_[affine.first_lane + lane];
      const double mean = batch_mean_[affine.first_lane + lane] - bias_of(pass, affine, c);
      const double gamma = norm.gamma < 0 ? 1 : pass.weights[graph_.parameters[norm.gamma].offset + c];
      const double beta = norm.beta < 0 ? 0 : pass.weights[graph_.parameters[norm.beta].offset + c];
      const double a = mixing * gamma * rstd, b = -a * rstd * rstd * moment / count;
      k.a[lane] = T(a);
      k.b[lane] = T(b);
      k.c[lane] = T(-k.a[lane] * total / count - k.b[lane] * mean);  // of a and b as rounded: dy then sums to zero
      d_mixing += gamma * rstd * moment + beta * total;
      if (d_weights && affine.bias >= 0) d_weights[graph_.parameters[affine.bias].offset + c] = 0;
      if (d_weights && norm.gamma >= 0) {
        d_weights[graph_.parameters[norm.gamma].offset + c] = T(mixing * rstd * moment);
        d_weights[graph_.parameters[norm.beta].offset + c] = T(mixing * total);
      }
    }
  });
  d_factor_[index] = d_mixing;
}

// The sums of the tasks' gradients. Of a large phase a unit's rows are cut into slices.
template <class T>
void Network<T>::reduce_weight_gradients(const Pass& pass, int v, int level, T* d_weights) {
  if (messages_.several()) return keep_weight_gradients(pass, v, level);
  const std::vector<int>& units = pass.taken.states()[v].levels[level];
  const std::size_t distance = graph_.states[v].level_size[level];
  const int tasks = pass.plan.states[v].tasks, slices = distance * tasks < kManyPartials ? 1 : kSlices;
  parallel_for(threads_for(distance * tasks), int(units.size()) * slices, [&](int i, int) {
    const Unit& unit = graph_.units[units[i / slices]];
    const int slice = i % slices, blocks = unit.shape.z_blocks();
    auto add_tasks = [&](T* first, std::size_t size) {
      add_by_pairs(first, size, tasks, nullptr, [&](int task) { return first + task * distance; });
    };
    T* depthwise = weight_gradients(pass, unit);
    if (slice == 0 && unit.depthwise >= 0) {
      add_tasks(depthwise, unit.depthwise_size());
      for_depthwise_weights(graph_, unit,
                            [&](std::size_t weight, std::size_t at) { d_weights[weight] = depthwise[at]; });
    }
    if (unit.parts.empty()) return;
    const int first = blocks * slice / slices, last = blocks * (slice + 1) / slices;
    const std::size_t columns = unit.out.lanes();
    T* product = depthwise + unit.depthwise_size();
    add_tasks(product + first * kLanes * columns, (last - first) * kLanes * columns);
    for_product_weights(graph_, unit, first, last, [&](std::size_t weight, int row, int column) {
      d_weights[weight] = product[row * columns + column];
    });
  });
}

// d alpha_k = p_k (q_k - sum_m p_m q_m), the softmax's Jacobian; q is zero for `none`. Of a given mixture it is q.
// Where edges have weights of their own, w, an operand has the coefficient w p_k, and what passes the operations by w.
template <class T>
void Network<T>::alpha_gradient(const Pass& pass, T* d_alphas) {
  graph_.for_edges([&](int weight, int first, int count) {
    for (int k = first; k < first + count; ++k) {
      d_mixing_[weight] += shares_[k] * d_mixing_[k];
      d_mixing_[k] *= shares_[weight];
    }
  });
  if (pass.mixture.weights) {
    std::copy_n(d_mixing_.begin(), graph_.num_alphas, d_alphas);
    return;
  }
  for (const AlphaGroup& group : graph_.alpha_groups)
    for (int row = 0; row < group.rows; ++row) {
      const std::size_t at = group.offset + std::size_t(row) * group.columns;
      double mean = 0;
      for (int k = 0; k < group.counts[row]; ++k) mean += shares_[at + k] * d_mixing_[at + k];
      for (int k = 0; k < group.columns; ++k)  // behind its counts a row has nothing that is used
        d_alphas[at + k] = k < group.counts[row] ? T(shares_[at + k] * (d_mixing_[at + k] - mean)) : T(0);
    }
}

template class Network<float>;
template class Network<double>;

}  // namespace pydarts
