// SPDX-License-Identifier: MIT
#include "network/inference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/planner.hpp"
#include "kernels/kernels.hpp"
#include "network/passes.hpp"

namespace pydarts {
namespace {

constexpr int kProgramsKept = 4;
constexpr int kImagesTogether = 32;  // of a thread
// Multiplications with their additions from which a phase is shared by threads: to start and await them takes some
// microseconds, in which one thread does a good part of these.
constexpr double kWorthSharing = 2e5;
constexpr int kTilePixels = 12;  // of a product: rows at a time are best a multiple of it

std::size_t lines(std::size_t elements) { return (elements + 15) / 16 * 16; }

// Output rows that a unit computes at a time.
int rows_at_a_time(int width) {
  const int most = std::max(1, kChunk / width);
  for (int rows = most; rows > most / 2; --rows)
    if (rows * width % kTilePixels == 0) return rows;
  return most;
}

bool reads_rows_alone(const Unit& unit) { return unit.shape.spread == Spread::pointwise; }

}  // namespace

Program::Program(const Graph& graph, int height_, int width_) : height(height_), width(width_) {
  const Plan plan(graph, 1, height, width, false, false);  // for the sizes
  for (const auto& place : plan.units) {
    units.push_back(place.shape);
    rows.push_back(rows_at_a_time(place.shape.out_w));
  }
  for (const auto& place : plan.pools) pools.push_back(place.shape);
  for (const auto& place : plan.states) sizes.push_back({place.h, place.w});

  // When a state is complete, and each of its readers runs; and from when until when memory is needed.
  std::vector<int> ready(graph.states.size(), -1), term_phase(graph.terms.size());
  std::vector<Lifetime> held(graph.states.size(), {1 << 30, -1});
  std::vector<Lifetime> mid(graph.units.size());
  std::vector<std::array<Lifetime, 2>> tile(graph.states.size());
  tiles.resize(graph.states.size());
  outputs.resize(graph.units.size());
  offsets.resize(graph.units.size());
  auto holds = [&](int v, int phase) {
    const int holder = graph.states[v].concat < 0 ? v : graph.states[v].concat;
    held[holder].birth = std::min(held[holder].birth, phase);
    held[holder].death = std::max(held[holder].death, phase);
  };
  auto give = [&](int term, int phase) {
    term_phase[term] = phase;
    holds(graph.terms[term].node, phase);
  };
  int last_phase = 0;
  for (int v = 0; v < int(graph.states.size()); ++v) {
    const State& state = graph.states[v];
    if (state.auxiliary) continue;
    for (int part : state.parts) ready[v] = std::max(ready[v], ready[part]);
    for (int t : state.terms) ready[v] = std::max(ready[v], term_phase[t]);
    if (state.is_zero()) {
      ready[v] = std::max(0, ready[state.like]);
      steps.push_back({Kind::zero, v, ready[v], false, {}, false, false, sizes[v][0]});
      holds(v, ready[v]);
    }
    const int now = std::max(0, ready[v]), after = ready[v] + 1;
    last_phase = std::max(last_phase, now);
    bool tiled[2] = {false, false};
    if (!state.levels.empty() && state.kind != StateKind::image)
      for (int u : state.levels[0])
        if (!reads_rows_alone(graph.units[u])) tiled[graph.units[u].relu] = true;
    for (bool relu : {false, true})
      if (tiled[relu]) {
        tiles[v][relu].halo = state_halo(graph, state, relu);
        tile[v][relu] = {now, after};
        steps.push_back({Kind::tile, v, now, relu, {}, false, false, sizes[v][0]});
        holds(v, now);
      }
    for (const auto& level : state.levels)
      for (int u : level) {
        const Unit& unit = graph.units[u];
        const bool alone = reads_rows_alone(unit);
        int phase;
        if (unit.previous >= 0) {
          mid[unit.previous].death = phase = mid[unit.previous].birth + !alone;
        } else {
          phase = alone ? now : after;
          if (alone) holds(v, phase);
        }
        Step step{Kind::unit, u, phase, false, {}, false, false, units[u].out_h};
        if (unit.next >= 0) {
          mid[u] = {phase, phase};
          outputs[u].halo = unit_halo(graph.units[unit.next]);
        } else {
          step.targets.push_back({unit.node, true});
          step.y_relu = graph.heads[0].relu && unit.node == graph.heads[0].state;
          for (int t : graph.states[unit.node].terms)
            if (graph.terms[t].source == Source::unit && graph.terms[t].index == u) give(t, phase);
        }
        steps.push_back(std::move(step));
      }
    for (int p : state.pools) {
      if (graph.pools[p].auxiliary) continue;
      Step step{Kind::pool, p, after, false, {}, false, false, pools[p].out_h};
      holds(v, after);
      for (int t : graph.pools[p].terms) {
        step.targets.push_back({graph.terms[t].node, true});
        give(t, after);
      }
      steps.push_back(std::move(step));
    }
    for (int t : state.identities) {
      steps.push_back({Kind::identity, v, now, false, {{graph.terms[t].node, true}}, false, false, sizes[v][0]});
      holds(v, now);
      give(t, now);
    }
  }
  holds(graph.heads[0].state, last_phase + 1);

  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.phase < b.phase; });
  std::vector<char> written(graph.states.size(), 0), biased(graph.states.size(), 0);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Step& step = steps[i];
    if (i == 0 || step.phase != steps[i - 1].phase) {
      phases.push_back(int(i));
      work.push_back(0);
    }
    if (step.kind == Kind::unit)
      work.back() += double(units[step.index].out_plane()) *
                     (graph.units[step.index].product_size() + graph.units[step.index].depthwise_size());
    for (Target& target : step.targets) {
      target.accumulate = written[target.node];
      written[target.node] = 1;
      if (step.kind != Kind::unit) continue;
      step.bias = !biased[target.node];
      biased[target.node] = 1;
    }
    step.bias |= step.kind == Kind::unit && step.targets.empty();
  }
  phases.push_back(int(steps.size()));

  Planner planner;
  struct Wish {
    int buffer;
    std::size_t* at;
  };
  std::vector<Wish> wishes;
  auto wish = [&](std::size_t size, Lifetime lifetime, std::size_t* at) {
    wishes.push_back({planner.add(size, lifetime), at});
  };
  states.resize(graph.states.size());
  for (std::size_t v = 0; v < graph.states.size(); ++v) {
    const State& state = graph.states[v];
    if (state.auxiliary || state.kind == StateKind::image) continue;
    const int blocks = state.channels.blocks(), h = sizes[v][0], w = sizes[v][1];
    if (state.concat < 0 && held[v].death >= 0) wish(tile_size(1, blocks, h, w, Halo{}), held[v], &states[v]);
    for (int relu : {0, 1})
      if (tile[v][relu].death > 0)
        wish(tile_size(1, blocks, h, w, tiles[v][relu].halo) + kTilePad, tile[v][relu], &tiles[v][relu].at);
  }
  for (std::size_t u = 0; u < units.size(); ++u) {
    const UnitShape& shape = units[u];
    if (graph.states[graph.units[u].state].auxiliary) continue;
    Scratch<float> scratch;
    take_rows(shape, rows[u], scratch);
    scratch_size = std::max(scratch_size, scratch.taken());
    if (graph.units[u].next < 0) continue;
    const Halo halo = outputs[u].halo;
    wish(tile_size(1, shape.out_blocks, shape.out_h, shape.out_w, halo) + kTilePad, mid[u], &outputs[u].at);
    const int columns = chunk_columns(shape.out_w), pixels = rows[u] * columns;
    for (int p = 0; p < pixels && halo.any(); ++p)
      offsets[u].push_back((p / columns * (shape.out_w + 2 * halo.w) + p % columns) * kLanes);
  }
  for (const PoolShape& pool : pools) scratch_size = std::max(scratch_size, lines(std::size_t(pool.in_w) * kLanes));
  scratch_size = std::max(scratch_size, lines(2 * std::size_t(graph.states[graph.heads[0].state].channels.lanes())));
  planner.solve();
  arena_size = lines(planner.arena_size());
  for (const Wish& w : wishes) *w.at = planner.offset(w.buffer);
  for (std::size_t v = 0; v < graph.states.size(); ++v) {
    const State& state = graph.states[v];
    if (state.concat >= 0)
      states[v] =
          states[state.concat] + state.part * tile_size(1, state.channels.blocks(), sizes[v][0], sizes[v][1], Halo{});
  }
}

template <class T>
struct Inference<T>::Pass {
  const T* image;
  T* arena;
  Scratch<T> scratch;
};

template <class T>
bool Inference<T>::suits(const Graph& graph) {
  if (graph.num_alphas > 0 || graph.heads.empty()) return false;
  if (graph.heads[0].relu) {  // which the one unit that gives to its state applies
    const auto& terms = graph.states[graph.heads[0].state].terms;
    if (terms.size() != 1 || graph.terms[terms[0]].source != Source::unit) return false;
  }
  if (std::any_of(graph.affines.begin(), graph.affines.end(), [](const Affine& a) { return a.bias >= 0; }))
    return false;
  const State& image = graph.states[0];
  if (!image.pools.empty() || !image.identities.empty()) return false;
  for (int u : image.levels[0])
    if (graph.units[u].relu || graph.units[u].shape.spread != Spread::gather) return false;
  return std::all_of(graph.terms.begin(), graph.terms.end(), [&](const Term& term) {
    return term.source == Source::unit || graph.affines[term.affine].norm < 0;
  });
}

template <class T>
Inference<T>::Inference(const Graph& graph, const MemoryHooks& memory)
    : graph_(graph), kernels_(pydarts::kernels<T>()), packed_(memory), seen_weights_(memory), seen_running_(memory) {
  programs_.reserve(kProgramsKept);
  for (const Unit& unit : graph.units) {
    at_.push_back(packed_size_);
    packed_size_ += unit.depthwise_size() + unit.product_size() + unit.out.lanes();
  }
}

template <class T>
const Program& Inference<T>::program(int height, int width, bool* made) {
  if (made) *made = false;
  const auto known = std::find_if(programs_.begin(), programs_.end(), [&](const auto& program) {
    return program->height == height && program->width == width;
  });
  if (known != programs_.end()) {  // the first is the one that was used longest ago
    std::rotate(known, known + 1, programs_.end());
    return *programs_.back();
  }
  auto program = std::make_unique<Program>(graph_, height, width);
  if (made) *made = true;
  if (int(programs_.size()) == kProgramsKept) programs_.erase(programs_.begin());
  programs_.push_back(std::move(program));
  return *programs_.back();
}

template <class T>
typename Inference<T>::Layout Inference<T>::layout(const Program& program, const Threads& threads, int samples) {
  Layout layout{};
  layout.by_bands = threads.count > 1 && 2 * samples <= threads.count;  // else the images are enough for the threads
  layout.scratch = (layout.by_bands ? 1 : threads.count) * program.arena_size;
  layout.size = layout.scratch + threads.count * program.scratch_size;
  return layout;
}

// Every unit that gives to a node has the biases of all of them: the first one that runs brings them.
template <class T>
void Inference<T>::fold(const Unit& unit, const T* weights, const T* running, std::size_t at) {
  T* depthwise = packed_.data() + at;
  T* product = depthwise + unit.depthwise_size();
  T* bias = product + unit.product_size();
  const int columns = unit.out.lanes(), in_lanes = unit.in.lanes();
  const bool of_image = unit.state == 0 && unit.previous < 0;  // whose channels are not padded
  const int row_lanes = of_image ? unit.in.count() : in_lanes;
  auto parameter = [&](int index, int c, double otherwise) {
    return index < 0 ? otherwise : double(weights[graph_.parameters[index].offset + c]);
  };
  auto scale = [&](const Unit& of, int c) {
    const int index = graph_.affines[of.affine].norm;
    if (index < 0) return 1.0;
    const BatchNorm& norm = graph_.norms[index];
    return parameter(norm.gamma, c, 1) /
           std::sqrt(double(running[norm.running + norm.channels + c]) + kBatchNormEpsilon);
  };
  auto shift = [&](const Unit& of, int c) {
    const int index = graph_.affines[of.affine].norm;
    if (index < 0) return 0.0;
    const BatchNorm& norm = graph_.norms[index];
    return parameter(norm.beta, c, 0) - double(running[norm.running + c]) * scale(of, c);
  };
  for_depthwise_weights(graph_, unit, [&](std::size_t weight, std::size_t to) { depthwise[to] = weights[weight]; });
  int column_before = -1;
  double factor = 1;
  for_product_weights(graph_, unit, 0, unit.shape.z_blocks(), [&](std::size_t weight, int row, int column) {
    if (column != column_before) factor = scale(unit, column);  // an output has one part: its lanes are its channels
    column_before = column;
    product[std::size_t(row / in_lanes * row_lanes + row % in_lanes) * columns + column] = T(weights[weight] * factor);
  });
  for (int c = 0; c < unit.in.count() && unit.parts.empty(); ++c)
    product[std::size_t(unit.in.lane(c)) * columns + unit.out.lane(c)] = T(scale(unit, c));
  for (int c = 0; c < unit.out.count(); ++c) {
    double total = 0;
    if (unit.next >= 0) {
      total = shift(unit, c);
    } else {
      for (int t : graph_.states[unit.node].terms)
        if (graph_.terms[t].source == Source::unit) total += shift(graph_.units[graph_.terms[t].index], c);
    }
    bias[c] = T(total);
  }
}

template <class T>
void Inference<T>::fold(const Threads& threads, const T* weights, const T* running) {
  auto same = [](const Vector<T>& seen, const T* now, std::size_t size) {
    return seen.size() == size && std::memcmp(seen.data(), now, size * sizeof(T)) == 0;
  };
  if (!packed_.empty() && same(seen_weights_, weights, graph_.num_weights) &&
      same(seen_running_, running, graph_.num_running))
    return;
  packed_.assign(packed_size_, T(0));
  seen_running_.assign(running, running + graph_.num_running);
  seen_weights_.assign(weights, weights + graph_.num_weights);
  parallel_for(threads, int(graph_.units.size()), [&](int u, int) { fold(graph_.units[u], weights, running, at_[u]); });
}

template <class T>
void Inference<T>::run_step(const Program& program, const Program::Step& step, const Pass& pass, int band,
                            int bands) const {
  const int first = int((long long)step.height * band / bands), last = int((long long)step.height * (band + 1) / bands);
  if (first == last) return;
  auto state = [&](int v) { return pass.arena + program.states[v]; };
  switch (step.kind) {
    case Program::Kind::unit: {
      const Unit& unit = graph_.units[step.index];
      UnitRows<T> call{};
      call.shape = &program.units[step.index];
      call.first = first;
      call.last = last;
      call.rows = program.rows[step.index];
      call.relu = unit.relu;
      call.channels = unit.in.part;
      call.part_blocks = blocks_of(unit.in.part);
      if (unit.previous >= 0) {
        const Program::Place& place = program.outputs[unit.previous];
        call.x = pass.arena + place.at;
        call.halo = place.halo;
        call.relu = false;  // the ReLU stands in the previous one's outputs
      } else if (unit.state == 0) {
        call.image = pass.image;
      } else if (reads_rows_alone(unit)) {
        call.x = state(unit.state);
      } else {
        const Program::Place& place = program.tiles[unit.state][unit.relu];
        call.x = pass.arena + place.at;
        call.halo = place.halo;
      }
      call.depthwise = packed_.data() + at_[step.index];
      call.product = call.depthwise + unit.depthwise_size();
      call.bias = step.bias ? call.product + unit.product_size() : nullptr;
      if (step.targets.empty()) {
        const Program::Place& place = program.outputs[step.index];
        call.y = pass.arena + place.at;
        call.y_halo = place.halo;
        call.offset = program.offsets[step.index].data();
        call.y_relu = graph_.units[unit.next].relu;
      } else {
        call.y = state(step.targets[0].node);
        call.accumulate = step.targets[0].accumulate;
        call.y_relu = step.y_relu;
      }
      call.scratch = pass.scratch;
      return kernels_.unit_rows(call);
    }
    case Program::Kind::pool: {
      constexpr int kTogether = 8;
      const PoolShape& shape = program.pools[step.index];
      for (std::size_t t = 0; t < step.targets.size(); t += kTogether) {
        T* y[kTogether];
        bool accumulate[kTogether];
        const int count = int(std::min<std::size_t>(kTogether, step.targets.size() - t));
        for (int i = 0; i < count; ++i) {
          y[i] = state(step.targets[t + i].node);
          accumulate[i] = step.targets[t + i].accumulate;
        }
        kernels_.pool_rows(
            {&shape, first, last, state(graph_.pools[step.index].state), y, accumulate, count, pass.scratch});
      }
      return;
    }
    case Program::Kind::identity:
      return kernels_.add_rows(state(step.targets[0].node), state(step.index),
                               graph_.states[step.index].channels.blocks(), program.sizes[step.index][0],
                               program.sizes[step.index][1], first, last, step.targets[0].accumulate);
    case Program::Kind::zero: {
      const std::size_t row = std::size_t(program.sizes[step.index][1]) * kLanes;
      T* to = state(step.index) + first * row;
      for (int b = 0; b < graph_.states[step.index].channels.blocks(); ++b, to += program.sizes[step.index][0] * row)
        std::fill_n(to, (last - first) * row, T(0));
      return;
    }
    case Program::Kind::tile: {
      const Program::Place& place = program.tiles[step.index][step.relu];
      return kernels_.tile_rows(pass.arena + place.at, state(step.index), graph_.states[step.index].channels.blocks(),
                                program.sizes[step.index][0], program.sizes[step.index][1], place.halo, first, last,
                                step.relu);
    }
  }
}

// logits = mean over the plane of x * weight^T + bias
template <class T>
void Inference<T>::run_head(const Program& program, const Pass& pass, T* logits) const {
  const Head& head = graph_.heads[0];
  const Channels& channels = graph_.states[head.state].channels;
  const int h = program.sizes[head.state][0], w = program.sizes[head.state][1];
  const T* weight = seen_weights_.data() + graph_.parameters[head.weight].offset;
  const T* bias = seen_weights_.data() + graph_.parameters[head.bias].offset;
  Scratch<T> scratch = pass.scratch;
  double* features = reinterpret_cast<double*>(scratch.take(2 * std::size_t(channels.lanes())));
  kernels_.channel_sums(features, pass.arena + program.states[head.state], channels.blocks(), h, w);
  int inputs = 0;
  for_lanes(channels, [&](int lane) { features[inputs++] = features[lane] / (h * w); });
  for (int k = 0; k < graph_.classes; ++k, weight += inputs) {
    double total[4] = {double(bias[k])};  // one alone would wait for the latency of each addition
    int c = 0;
    for (; c + 4 <= inputs; c += 4)
      for (int i = 0; i < 4; ++i) total[i] += features[c + i] * weight[c + i];
    for (; c < inputs; ++c) total[0] += features[c] * weight[c];
    logits[k] = T((total[0] + total[1]) + (total[2] + total[3]));
  }
}

template <class T>
void Inference<T>::run(const Program& program, const Threads& threads, const T* images, int samples, const T* weights,
                       const T* running, T* memory, const std::function<bool()>& stopped, T* logits) {
  fold(threads, weights, running);
  const std::size_t image = std::size_t(graph_.in_channels) * program.height * program.width;
  const Layout at = layout(program, threads, samples);
  auto pass_of = [&](int n, int thread) {
    return Pass{images + n * image, memory + (at.by_bands ? 0 : thread) * program.arena_size,
                Scratch<T>(memory + at.scratch + thread * program.scratch_size, program.scratch_size)};
  };
  const int phases = int(program.phases.size()) - 1;
  auto run_phase = [&](const Pass& pass, int phase, int band, int bands) {
    for (int i = program.phases[phase]; i < program.phases[phase + 1]; ++i)
      run_step(program, program.steps[i], pass, band, bands);
  };
  if (at.by_bands) {
    for (int n = 0; n < samples; ++n) {
      for (int phase = 0; phase < phases; ++phase) {
        if (stopped()) return;
        const int bands = program.work[phase] < kWorthSharing ? 1 : threads.count;
        parallel_for(threads, bands, [&](int band, int thread) { run_phase(pass_of(n, thread), phase, band, bands); });
      }
      run_head(program, pass_of(n, 0), logits + std::size_t(n) * graph_.classes);
    }
    return;
  }
  const int together = kImagesTogether * threads.count;  // between them the caller is asked, even if it runs no task
  for (int first = 0; first < samples && !stopped(); first += together)
    parallel_for(threads, std::min(together, samples - first), [&](int i, int thread) {
      const int n = first + i;
      const Pass pass = pass_of(n, thread);
      for (int phase = 0; phase < phases; ++phase) {
        if (stopped()) return;
        run_phase(pass, phase, 0, 1);
      }
      run_head(program, pass, logits + std::size_t(n) * graph_.classes);
    });
}

template class Inference<float>;
template class Inference<double>;

}  // namespace pydarts
