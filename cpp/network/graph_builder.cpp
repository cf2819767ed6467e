// SPDX-License-Identifier: MIT
#include "network/graph_builder.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace pydarts {

int GraphBuilder::add_image(int channels) {
  graph_.in_channels = channels;
  graph_.states.push_back({StateKind::image, {1, channels}});
  return int(graph_.states.size()) - 1;
}

int GraphBuilder::add_node(int channels, bool auxiliary) {
  graph_.states.push_back({StateKind::node, {1, channels}, auxiliary});
  return int(graph_.states.size()) - 1;
}

int GraphBuilder::add_concat(const std::vector<int>& nodes) {
  const int index = int(graph_.states.size());
  State concat{StateKind::concat, {int(nodes.size()), graph_.states[nodes[0]].channels.part}};
  concat.parts = nodes;
  for (int i = 0; i < int(nodes.size()); ++i) {
    graph_.states[nodes[i]].concat = index;
    graph_.states[nodes[i]].part = i;
    concat.has_alphas |= graph_.states[nodes[i]].has_alphas;
  }
  graph_.states.push_back(std::move(concat));
  return index;
}

int GraphBuilder::add_alpha_group(const std::string& name, int rows, int columns) {
  const int offset = int(graph_.num_alphas);
  graph_.alpha_groups.push_back({name, rows, columns, offset});
  graph_.num_alphas += std::size_t(rows) * columns;
  return offset;
}

int GraphBuilder::add_parameter(const std::string& name, std::vector<int> shape, double bound, double start) {
  std::size_t size = 1;
  for (int extent : shape) size *= extent;
  graph_.parameters.push_back({name, std::move(shape), graph_.num_weights, size, bound, start});
  graph_.num_weights += size;
  return int(graph_.parameters.size()) - 1;
}

int GraphBuilder::add_norm(const std::string& name, int channels, bool affine) {
  BatchNorm norm{name, channels, -1, -1, graph_.num_running};
  if (affine) {
    norm.gamma = add_parameter(name + ".weight", {channels}, 0, 1);
    norm.beta = add_parameter(name + ".bias", {channels}, 0, 0);
  }
  graph_.num_running += 2 * std::size_t(channels);
  graph_.norms.push_back(std::move(norm));
  return int(graph_.norms.size()) - 1;
}

int GraphBuilder::add_affine(int state, int level, const Channels& channels, int norm) {
  State& source = graph_.states[state];
  const int index = int(graph_.affines.size());
  Affine affine{channels, state, norm};
  affine.first_lane = graph_.lanes;
  affine.first_sum = source.lanes;
  affine.statistics = index;
  graph_.lanes += channels.lanes();
  source.lanes += channels.lanes();
  if (int(source.affines.size()) <= level) source.affines.resize(level + 1);
  source.affines[level].push_back(index);
  graph_.affines.push_back(affine);
  return index;
}

int GraphBuilder::add_term(int node, Source source, int index, int affine, const Edge& edge) {
  Affine& map = graph_.affines[affine];
  map.alpha = edge.alpha;
  if (edge.droppable) map.droppable = graph_.droppables++;
  const int term = int(graph_.terms.size());
  graph_.terms.push_back({node, source, index, affine});
  auto leaves = [&](int t) { return graph_.source_state(graph_.terms[t]); };
  const int state = leaves(term);
  graph_.states[node].has_alphas |= edge.alpha >= 0 || graph_.states[state].has_alphas;
  auto& terms = graph_.states[node].terms;
  terms.insert(std::find_if(terms.begin(), terms.end(), [&](int t) { return leaves(t) > state; }), term);
  graph_.states[state].outgoing.push_back(term);
  graph_.states[graph_.arrival(state, node)].arriving.push_back(term);
  return term;
}

// Takes [relu] [depthwise] (convolution | reduce) [batch_norm] from the chain, starting at stage `at`.
int GraphBuilder::add_unit(int state, int previous, const std::vector<Stage>& stages, std::size_t& at, int channels,
                           const Edge& edge) {
  auto next_is = [&](StageKind kind) { return at < stages.size() && stages[at].kind == kind; };
  Unit unit{};
  unit.state = state;
  unit.previous = previous;
  unit.next = -1;
  unit.level = previous < 0 ? 0 : graph_.units[previous].level + 1;
  unit.in = previous < 0 ? graph_.states[state].channels : graph_.units[previous].out;
  unit.out = {1, channels};
  UnitShape& shape = unit.shape;
  shape.in_blocks = unit.in.blocks();
  shape.out_blocks = unit.out.blocks();
  shape.stride_h = shape.stride_w = 1;
  const int inputs = unit.in.count();
  if ((unit.relu = next_is(StageKind::relu))) ++at;
  if (next_is(StageKind::depthwise)) {
    const Stage& stage = stages[at++];
    shape.spread = Spread::depthwise;
    shape.kernel_h = stage.kernel_h;
    shape.kernel_w = stage.kernel_w;
    shape.dilation = stage.dilation;
    shape.stride_h = stage.stride_h;
    shape.stride_w = stage.stride_w;
    shape.pad_h = unit.pad_h = stage.dilation * (stage.kernel_h - 1) / 2;
    shape.pad_w = unit.pad_w = stage.dilation * (stage.kernel_w - 1) / 2;
    unit.depthwise = add_parameter(edge.name + stage.tail + ".weight", {inputs, 1, stage.kernel_h, stage.kernel_w},
                                   1 / std::sqrt(double(stage.kernel_h * stage.kernel_w)));
  }
  require(next_is(StageKind::convolution) || next_is(StageKind::reduce), "operation '", edge.name,
          "': a stage that the engine cannot lower");
  const Stage& stage = stages[at++];
  if (stage.kind == StageKind::reduce) {
    shape.spread = Spread::gather;
    shape.taps = 2;
    shape.tap_y[1] = shape.tap_x[1] = 1;
    shape.stride_h = shape.stride_w = 2;
    const int half = channels / 2;
    const double bound = 1 / std::sqrt(double(inputs));
    unit.parts = {{add_parameter(edge.name + ".conv_1.weight", {half, inputs, 1, 1}, bound), 0, half, 0, 1},
                  {add_parameter(edge.name + ".conv_2.weight", {channels - half, inputs, 1, 1}, bound), half,
                   channels - half, 1, 1}};
  } else {
    const int taps = stage.kernel_h * stage.kernel_w;
    require(taps <= kMaxTaps && (unit.depthwise < 0 || taps == 1), "operation '", edge.name,
            "': a convolution that the engine cannot lower");
    if (taps > 1 || stage.stride_h > 1 || stage.stride_w > 1) {
      shape.spread = Spread::gather;
      unit.pad_h = stage.kernel_h / 2 * (stage.kernel_h % 2);  // even kernels are not padded
      unit.pad_w = stage.kernel_w / 2 * (stage.kernel_w % 2);
      shape.taps = taps;
      for (int t = 0; t < taps; ++t) {
        shape.tap_y[t] = std::int8_t(t / stage.kernel_w - unit.pad_h);
        shape.tap_x[t] = std::int8_t(t % stage.kernel_w - unit.pad_w);
      }
      shape.stride_h = stage.stride_h;
      shape.stride_w = stage.stride_w;
    }
    const int parameter =
        add_parameter(edge.name + stage.tail + ".weight", {channels, inputs, stage.kernel_h, stage.kernel_w},
                      1 / std::sqrt(double(inputs) * taps));
    unit.parts = {{parameter, 0, channels, 0, taps}};
  }
  int norm = -1;
  if (next_is(StageKind::batch_norm)) norm = add_norm(edge.name + stages[at++].tail, channels, edge.affine_norm);
  unit.affine = add_affine(state, unit.level, unit.out, norm);

  unit.packed_depthwise = graph_.packed_size;
  unit.packed_product = unit.packed_depthwise + unit.depthwise_size();
  unit.packed_transposed = unit.packed_product + unit.product_size();
  graph_.packed_size = unit.packed_transposed + unit.product_size();

  const int index = int(graph_.units.size());
  if (previous >= 0) graph_.units[previous].next = index;
  State& source = graph_.states[state];
  if (int(source.levels.size()) <= unit.level) {
    source.levels.resize(unit.level + 1);
    source.level_size.resize(unit.level + 1);
  }
  unit.partial = source.level_size[unit.level];
  source.level_size[unit.level] += unit.depthwise_size() + unit.product_size();
  source.levels[unit.level].push_back(index);
  graph_.units.push_back(std::move(unit));
  return index;
}

void GraphBuilder::connect_pool(int state, int node, const Operation& operation, const Edge& edge) {
  const Stage& stage = operation.stages[0];
  const bool max = stage.kind == StageKind::max_pool;
  const auto key = std::make_tuple(state, max, stage.stride_h);
  const Channels channels = graph_.states[state].channels;
  if (pools_.find(key) == pools_.end()) {
    pools_[key] = int(graph_.pools.size());
    graph_.states[state].pools.push_back(int(graph_.pools.size()));
    PoolShape shape{};
    shape.max = max;
    shape.blocks = channels.blocks();
    shape.window_h = stage.kernel_h;
    shape.window_w = stage.kernel_w;
    shape.stride_h = stage.stride_h;
    shape.stride_w = stage.stride_w;
    shape.pad_h = stage.kernel_h / 2;
    shape.pad_w = stage.kernel_w / 2;
    graph_.pools.push_back({state, shape, false, channels, {}});
  }
  Pool& pool = graph_.pools[pools_[key]];
  int norm = -1;
  if (operation.stages.size() > 1)
    norm = add_norm(edge.name + operation.stages[1].tail, channels.count(), edge.affine_norm);
  const int affine = add_affine(state, 0, channels, norm);
  if (!pool.terms.empty()) graph_.affines[affine].statistics = graph_.terms[pool.terms[0]].affine;
  pool.terms.push_back(add_term(node, Source::pool, pools_[key], affine, edge));
}

void GraphBuilder::connect(int state, int node, const Operation& operation, const Edge& edge) {
  if (operation.zero) return;
  const auto& stages = operation.stages;
  if (stages.empty()) {
    const int affine = add_affine(state, 0, graph_.states[state].channels, -1);
    graph_.states[state].identities.push_back(add_term(node, Source::identity, state, affine, edge));
    return;
  }
  if (stages[0].kind == StageKind::max_pool || stages[0].kind == StageKind::avg_pool)
    return connect_pool(state, node, operation, edge);
  int unit = -1;
  for (std::size_t at = 0; at < stages.size();)
    unit = add_unit(state, unit, stages, at, graph_.states[node].channels.part, edge);
  graph_.units[unit].node = node;
  add_term(node, Source::unit, unit, graph_.units[unit].affine, edge);
}

void GraphBuilder::connect_auxiliary_pool(int state, int node) {
  const Channels channels = graph_.states[state].channels;
  const int index = int(graph_.pools.size());
  PoolShape shape{};
  shape.relu = true;
  shape.blocks = channels.blocks();
  graph_.states[state].pools.push_back(index);
  graph_.pools.push_back({state, shape, true, channels, {}});
  graph_.states[node].channels = channels;
  graph_.pools[index].terms.push_back(
      add_term(node, Source::pool, index, add_affine(state, 0, channels, -1), Edge{"", false}));
}

void GraphBuilder::add_head(int state, bool relu, int classes, const std::string& name, double loss_weight) {
  const int features = graph_.states[state].channels.count();
  const double bound = 1 / std::sqrt(double(features));
  graph_.classes = classes;
  const int weight = add_parameter(name + ".weight", {classes, features}, bound);
  graph_.heads.push_back({state, relu, weight, add_parameter(name + ".bias", {classes}, bound), loss_weight});
}

}  // namespace pydarts
