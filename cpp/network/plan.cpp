// SPDX-License-Identifier: MIT
#include "network/plan.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/planner.hpp"

namespace pydarts {
namespace {

constexpr int kSamplesPerTask = 4, kMinTasks = 8;

// Tasks of a phase: many, but with pixels enough for the kernels' chunks, and not more than their sums are worth.
int count_tasks(int samples, int group) {
  const int together = std::min(group, kSamplesPerTask);
  return std::min(samples, std::clamp((samples + together - 1) / together, kMinTasks, kMaxTasks));
}

int strided(int size, int reach, int pad, int stride, const std::string& name) {
  require(size + 2 * pad >= reach, name, ": ", size, " pixels are too few for a window of ", reach);
  return (size + 2 * pad - reach) / stride + 1;
}

Halo widest(Halo a, Halo b) { return {std::max(a.h, b.h), std::max(a.w, b.w)}; }

}  // namespace

Halo unit_halo(const Unit& unit) {
  if (unit.shape.spread == Spread::pointwise) return {};
  Halo halo{unit.pad_h, unit.pad_w};
  for (int t = 0; t < unit.shape.taps; ++t) halo = widest(halo, {int(unit.shape.tap_y[t]), int(unit.shape.tap_x[t])});
  return halo;
}

Halo state_halo(const Graph& graph, const State& state, bool relu) {
  Halo halo{};
  if (!state.levels.empty())
    for (int u : state.levels[0])
      if (graph.units[u].relu == relu) halo = widest(halo, unit_halo(graph.units[u]));
  return halo;
}

const Plan* find_plan(std::vector<std::unique_ptr<Plan>>& plans, int samples, int height, int width, bool backward) {
  const auto found = std::find_if(plans.begin(), plans.end(), [&](const auto& plan) {
    return plan->samples == samples && plan->height == height && plan->width == width && plan->backward == backward;
  });
  if (found == plans.end()) return nullptr;
  std::rotate(found, found + 1, plans.end());
  return plans.back().get();
}

Plan::Plan(const Graph& graph, int samples_, int height_, int width_, bool backward_, bool recompute_, int rank,
           int ranks)
    : samples(samples_), height(height_), width(width_), backward(backward_), recompute(recompute_) {
  measure(graph);
  divide(rank, ranks);
  for (std::size_t v = 0; v < states.size(); ++v)
    sums_size = std::max(sums_size, states[v].tasks * sums_distance(graph.states[v]));
  place(graph);
  size_scratch(graph);
}

void Plan::measure(const Graph& graph) {
  states.resize(graph.states.size());
  units.resize(graph.units.size());
  pools.resize(graph.pools.size());
  noises.resize(graph.noises.size());
  affine_plane.resize(graph.affines.size());
  const auto term_size = [&](const Term& term) -> std::array<int, 2> {
    const int i = term.index;
    switch (term.source) {
      case Source::unit:
        return {units[i].shape.out_h, units[i].shape.out_w};
      case Source::pool:
        return {pools[i].shape.out_h, pools[i].shape.out_w};
      case Source::noise:
        return {noises[i].h, noises[i].w};
      default:
        return {states[i].h, states[i].w};
    }
  };
  for (std::size_t v = 0; v < graph.states.size(); ++v) {
    const State& state = graph.states[v];
    StatePlace& here = states[v];
    if (state.kind == StateKind::image) {
      here.h = height;
      here.w = width;
    } else if (state.kind == StateKind::concat) {
      here.h = states[state.parts[0]].h;
      here.w = states[state.parts[0]].w;
      for (int part : state.parts)
        require(states[part].h == here.h && states[part].w == here.w, "'", state.name, "' joins nodes of ", here.h,
                " x ", here.w, " and of ", states[part].h, " x ", states[part].w, " pixels");
    } else {
      for (int t : state.terms) {
        const Term& term = graph.terms[t];
        const std::array<int, 2> size = term_size(term);
        affine_plane[term.affine] = size[0] * size[1];
        if (t == state.terms[0]) {
          here.h = size[0];
          here.w = size[1];
        }
        require(size[0] == here.h && size[1] == here.w, graph.affines[term.affine].name, " gives ", size[0], " x ",
                size[1], " pixels, but ", graph.affines[graph.terms[state.terms[0]].affine].name, " ", here.h, " x ",
                here.w, " to the same node");
      }
      if (state.is_zero()) {
        here.h = strided(states[state.like].h, 1, 0, state.stride_h, state.name);
        here.w = strided(states[state.like].w, 1, 0, state.stride_w, state.name);
      }
    }
    here.group = std::max(1, kChunk / here.plane());
    here.all_tasks = count_tasks(samples, here.group);
    for (const auto& level : state.levels)
      for (int u : level) {
        const Unit& unit = graph.units[u];
        UnitShape& shape = units[u].shape;
        shape = unit.shape;
        shape.in_h = unit.previous < 0 ? here.h : units[unit.previous].shape.out_h;
        shape.in_w = unit.previous < 0 ? here.w : units[unit.previous].shape.out_w;
        const std::string& name = graph.affines[unit.affine].name;
        shape.out_h = strided(shape.in_h, unit.reach_h, unit.pad_h, shape.stride_h, name);
        shape.out_w = strided(shape.in_w, unit.reach_w, unit.pad_w, shape.stride_w, name);
        affine_plane[unit.affine] = shape.out_plane();
      }
    for (int p : state.pools) {
      PoolShape& shape = pools[p].shape;
      shape = graph.pools[p].shape;
      shape.in_h = here.h;
      shape.in_w = here.w;
      if (graph.pools[p].auxiliary) {  // two windows an axis: 5 wide, 3 apart on the 8 x 8 map of the original
        auto step = [](int size) { return std::min(std::max(1, int(3 * size / 8.0 + 0.5)), size - 1); };
        shape.stride_h = step(here.h);
        shape.stride_w = step(here.w);
        shape.window_h = here.h - shape.stride_h;
        shape.window_w = here.w - shape.stride_w;
        shape.out_h = shape.out_w = 2;
        if (graph.dimensions == 1) {
          shape.stride_h = shape.window_h = shape.out_h = 1;
        }
      } else {
        const std::string& name = graph.affines[graph.terms[graph.pools[p].terms[0]].affine].name;
        const bool up = graph.pools[p].rounds_up;  // the outputs then are those of windows of one pixel
        shape.out_h = strided(here.h, up ? 1 : shape.window_h, shape.pad_h, shape.stride_h, name);
        shape.out_w = strided(here.w, up ? 1 : shape.window_w, shape.pad_w, shape.stride_w, name);
      }
    }
    for (int i : state.noises) {
      const Noise& noise = graph.noises[i];
      noises[i].h = strided(here.h, 1, 0, noise.stride_h, state.name);
      noises[i].w = strided(here.w, 1, 0, noise.stride_w, state.name);
      noises[i].stride = std::size_t(noise.channels.blocks()) * noises[i].plane() * kLanes;
    }
  }
}

// Ranks begin where a task of every state does, as near to equal parts as that allows: a rank may be left without any.
void Plan::divide(int rank, int ranks) {
  const auto task_at = [&](const StatePlace& place, int sample) {  // the first that begins there or later
    return int(((long long)sample * place.all_tasks + samples - 1) / samples);
  };
  const auto may_begin = [&](int sample) {
    return std::all_of(states.begin(), states.end(), [&](const StatePlace& place) {
      return (long long)samples * task_at(place, sample) / place.all_tasks == sample;
    });
  };
  rank_samples.assign(ranks + 1, samples);
  rank_samples[0] = 0;
  for (int r = 1; r < ranks; ++r) {
    const int wanted = part_of(samples, r, ranks);
    int distance = 0;
    while (!may_begin(wanted - distance) && !may_begin(wanted + distance)) ++distance;  // at last 0 or all
    rank_samples[r] = wanted + (may_begin(wanted - distance) ? -distance : distance);
  }
  first = rank_samples[rank];
  held = rank_samples[rank + 1] - first;
  rank_nodes.assign(ranks, 0);
  for (StatePlace& place : states) {
    place.first_task = task_at(place, first);
    place.tasks = task_at(place, first + held) - place.first_task;
    for (int r = 0; r < ranks && ranks > 1; ++r) {
      const auto nodes =
          pair_nodes(task_at(place, rank_samples[r]), task_at(place, rank_samples[r + 1]), place.all_tasks);
      for (const PairNode& node : nodes) place.levels.push_back(std::uint8_t(node.level));
      place.node_counts.push_back(int(nodes.size()));
      rank_nodes[r] = std::max(rank_nodes[r], int(nodes.size()));
      if (r == rank) place.nodes = nodes;
    }
  }
}

// Time: forward phases of state v, level l at base[v] + l; the heads at `middle`; backward phases mirrored.
void Plan::place(const Graph& graph) {
  std::vector<int> base(graph.states.size());
  int now = 0;
  for (std::size_t v = 0; v < graph.states.size(); ++v) {
    base[v] = now;
    now += std::max<int>(1, int(graph.states[v].levels.size()));
  }
  const int middle = now;
  auto forward_time = [&](int v, int level) { return base[v] + level; };
  auto backward_time = [&](int v, int level) { return 2 * middle - base[v] - level; };
  std::vector<char> has_head(graph.states.size(), 0);
  for (const Head& head : graph.heads) has_head[head.state] = 1;
  if (graph.heads.empty()) has_head.back() = 1;

  Planner planner;
  auto sized = [&](std::size_t per_sample) { return per_sample * held; };

  auto arrival_time = [&](int source, int node) { return forward_time(graph.arrival(source, node), 0); };
  auto last_level = [&](int v) { return std::max(0, int(graph.states[v].levels.size()) - 1); };
  // Of an output that leaves state v at time `birth`, read in the forward pass until `read` and in the backward pass
  // until `death`: two buffers of the planner, or twice the same.
  auto add_output = [&](std::size_t size, int v, int birth, int read, int death) -> std::pair<int, int> {
    const bool kept = backward && !recompute;
    const int first = planner.add(size, {birth, kept ? death : read});
    return {first, backward && recompute ? planner.add(size, {backward_time(v, last_level(v)), death}) : first};
  };
  auto last_read = [&](int v) {  // of a state, in the forward pass
    int time = has_head[v] ? middle : forward_time(v, last_level(v));
    for (int t : graph.states[v].identities) time = std::max(time, arrival_time(v, graph.terms[t].node));
    return time;
  };
  auto birth_of = [&](int v) {  // a node's is when its first term is added
    int time = forward_time(v, 0);
    for (int t : graph.states[v].terms) time = std::min(time, arrival_time(graph.source_state(graph.terms[t]), v));
    return time;
  };
  auto gradient_birth = [&](int v) { return has_head[v] ? middle : backward_time(v, last_level(v)); };
  auto gradient_death = [&](int v) {
    int time = backward_time(v, 0);
    for (int t : graph.states[v].terms) time = std::max(time, backward_time(graph.source_state(graph.terms[t]), 0));
    return time;
  };

  std::vector<int> activation(graph.states.size(), -1), gradient(graph.states.size(), -1);
  for (int v = 0; v < int(graph.states.size()); ++v) {
    const State& state = graph.states[v];
    StatePlace& here = states[v];
    if (state.concat >= 0) continue;
    const std::size_t per_sample = std::size_t(state.channels.blocks()) * here.plane() * kLanes;
    here.stride = here.gradient_stride = per_sample;
    int birth = birth_of(v), read = last_read(v), death = backward_time(v, 0);
    int gradient_first = gradient_birth(v), gradient_last = gradient_death(v);
    for (int part : state.parts) {
      birth = std::min(birth, birth_of(part));
      read = std::max(read, last_read(part));
      death = std::max(death, backward_time(part, 0));
      gradient_last = std::max(gradient_last, gradient_death(part));
    }
    activation[v] = planner.add(sized(per_sample), {birth, backward ? death : read});
    if (backward && (state.kind != StateKind::image || graph.input_gradient))
      gradient[v] = planner.add(sized(per_sample), {gradient_first, gradient_last});
  }
  // Whether the gradient at a unit's output takes the place of the next one's, which by then was read for the last
  // time.
  auto takes_place = [&](std::size_t u) {
    const int next = graph.units[u].next;
    return next >= 0 && units[next].stride() == units[u].stride();
  };
  std::vector<std::pair<int, int>> unit_at(units.size()), pool_at(pools.size());
  std::vector<int> unit_gradient(units.size(), -1);
  for (std::size_t u = 0; u < units.size(); ++u) {
    const Unit& unit = graph.units[u];
    const int v = unit.state, level = unit.level;
    const int read = unit.next >= 0 ? forward_time(v, level + 1) : arrival_time(v, unit.node);
    const bool lends = unit.previous >= 0 && takes_place(unit.previous);
    unit_at[u] = add_output(sized(units[u].stride()), v, forward_time(v, level), read,
                            backward_time(v, lends ? level - 1 : level));
    if (backward && unit.next >= 0 && !takes_place(u))
      unit_gradient[u] = planner.add(sized(units[u].stride()), {backward_time(v, level + 1), backward_time(v, level)});
  }
  for (std::size_t p = 0; p < pools.size(); ++p) {
    const int v = graph.pools[p].state;
    int read = 0;
    for (int t : graph.pools[p].terms) read = std::max(read, arrival_time(v, graph.terms[t].node));
    pool_at[p] = add_output(sized(pools[p].stride()), v, forward_time(v, 0), read, backward_time(v, 0));
  }
  std::vector<std::pair<int, int>> noise_at(noises.size());
  for (std::size_t i = 0; i < noises.size(); ++i) {
    const int v = graph.noises[i].state;
    noise_at[i] = add_output(sized(noises[i].stride), v, forward_time(v, 0), arrival_time(v, graph.noises[i].node),
                             backward_time(v, 0));
  }
  std::vector<std::vector<int>> partial(graph.states.size());
  if (backward)
    for (int v = 0; v < int(graph.states.size()); ++v)
      for (int level = 0; level < int(graph.states[v].levels.size()); ++level) {
        const int time = backward_time(v, level);
        partial[v].push_back(planner.add(states[v].tasks * graph.states[v].level_size[level], {time, time}));
      }
  planner.solve();
  arena_size = planner.arena_size();

  auto offset = [&](int buffer) { return buffer < 0 ? 0 : planner.offset(buffer); };
  auto output_place = [&](std::pair<int, int> buffers) {
    return OutputPlace{planner.offset(buffers.first), planner.offset(buffers.second)};
  };
  for (std::size_t v = 0; v < states.size(); ++v) {
    const State& state = graph.states[v];
    const int holder = state.concat < 0 ? int(v) : state.concat;
    const std::size_t within = std::size_t(state.part) * state.channels.blocks() * states[v].plane() * kLanes;
    states[v].at = offset(activation[holder]) + within;
    states[v].gradient = offset(gradient[holder]) + within;
    states[v].stride = states[v].gradient_stride = states[holder].stride;
    for (int buffer : partial[v]) states[v].partial.push_back(planner.offset(buffer));
  }
  for (std::size_t u = 0; u < units.size(); ++u) {
    units[u].at = output_place(unit_at[u]);
    units[u].gradient = offset(takes_place(u) ? unit_at[graph.units[u].next].second : unit_gradient[u]);
  }
  for (std::size_t p = 0; p < pools.size(); ++p) pools[p].at = output_place(pool_at[p]);
  for (std::size_t i = 0; i < noises.size(); ++i) noises[i].at = output_place(noise_at[i]);
}

template <class T>
LevelBuffers<T>::LevelBuffers(const Graph& graph, const Plan& plan, int v, int level, Scratch<T> scratch) {
  const State& state = graph.states[v];
  const Plan::StatePlace& here = plan.states[v];
  std::size_t tile[2] = {0, 0}, gradient_size = 0, kernel = 0;
  if (level == 0) {
    for (int relu : {0, 1})
      tile[relu] = tile_size(here.group, state.read_blocks, here.h, here.w, state_halo(graph, state, relu == 1));
    gradient_size = tile_size(here.group, state.read_blocks, here.h, here.w, Halo{});
    for (int p : state.pools) {  // as backward takes it
      Scratch<T> pool;
      pool.take(state.channels.lanes());
      pool.take(state.channels.lanes());
      pool.take((std::size_t(plan.pools[p].shape.out_w) + 2) * kLanes);
      kernel = std::max(kernel, pool.taken());
    }
  }
  if (level < int(state.levels.size()))
    for (int u : state.levels[level]) {
      const UnitShape& shape = plan.units[u].shape;
      kernel = std::max(kernel, unit_scratch(shape, here.group));
      if (level == 0) continue;
      const Halo halo = unit_halo(graph.units[u]);
      tile[0] = std::max(tile[0], tile_size(here.group, shape.in_blocks, shape.in_h, shape.in_w, halo));
      gradient_size = std::max(gradient_size, tile_size(here.group, shape.in_blocks, shape.in_h, shape.in_w, Halo{}));
    }
  for (int i : {0, 1}) tiles[i] = scratch.take(tile[i] + kTilePad);
  gradient = scratch.take(gradient_size);
  own = scratch.part(kernel);
  size = scratch.taken();
}

void Plan::size_scratch(const Graph& graph) {
  for (int v = 0; v < int(states.size()); ++v)
    for (int level = 0; level == 0 || level < int(graph.states[v].levels.size()); ++level)
      scratch_size = std::max(scratch_size, LevelBuffers<float>(graph, *this, v, level, {}).size);
}

template struct LevelBuffers<float>;
template struct LevelBuffers<double>;

}  // namespace pydarts
