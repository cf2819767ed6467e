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

int GraphBuilder::add_state(const Channels& channels, bool auxiliary) {
  State state{StateKind::node, channels};
  state.auxiliary = auxiliary;
  graph_.states.push_back(std::move(state));
  return int(graph_.states.size()) - 1;
}

int GraphBuilder::add_concat(const std::vector<int>& nodes, const std::string& name) {
  const int index = int(graph_.states.size());
  State concat{StateKind::concat, {int(nodes.size()), graph_.states[nodes[0]].channels.part}};
  concat.name = name;
  concat.parts = nodes;
  for (int i = 0; i < int(nodes.size()); ++i) {
    graph_.states[nodes[i]].concat = index;
    graph_.states[nodes[i]].part = i;
    concat.has_alphas |= graph_.states[nodes[i]].has_alphas;
  }
  graph_.states.push_back(std::move(concat));
  return index;
}

int GraphBuilder::add_alpha_group(const std::string& name, const std::vector<int>& counts, int columns) {
  const int offset = int(graph_.num_alphas), rows = int(counts.size());
  graph_.alpha_groups.push_back({name, rows, columns, offset, counts});
  graph_.num_alphas += std::size_t(rows) * columns;
  return offset;
}

int GraphBuilder::add_edge_group(int of, const std::vector<int>& counts) {
  graph_.alpha_groups[of].edges = int(graph_.alpha_groups.size());
  return add_alpha_group(graph_.alpha_groups[of].name + ".edges", counts, counts.back());
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

int GraphBuilder::add_affine(int state, int level, const Channels& channels, int norm, const std::string& name) {
  State& source = graph_.states[state];
  const int index = int(graph_.affines.size());
  Affine affine{name, channels, state, norm};
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
  map.first_channel = edge.first_channel;
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

// Takes [relu] [depthwise] [convolution | reduce | shuffle] [batch_norm] from the chain, starting at link `at`. Where
// there is no product, the unit's is the identity.
int GraphBuilder::add_unit(const Incoming& incoming, int previous, std::size_t& at, int channels) {
  using K = Link::Kind;
  const int state = incoming.state;
  const std::vector<Link>& links = incoming.chain.links;
  const Edge& edge = incoming.edge;
  auto next_is = [&](K kind) { return at < links.size() && links[at].kind == kind; };
  Unit unit{};
  unit.state = state;
  unit.previous = previous;
  unit.next = -1;
  unit.level = previous < 0 ? 0 : graph_.units[previous].level + 1;
  unit.in = previous < 0 ? read_by(incoming) : graph_.units[previous].out;
  unit.reach_h = unit.reach_w = 1;
  UnitShape& shape = unit.shape;
  shape.stride_h = shape.stride_w = 1;
  const int inputs = unit.in.count();
  auto take_window = [&](const Link& link) {
    unit.pad_h = link.pad_h();
    unit.pad_w = link.pad_w();
    unit.reach_h = link.dilation * (link.kernel_h - 1) + 1;
    unit.reach_w = link.dilation * (link.kernel_w - 1) + 1;
    shape.stride_h = link.stride_h;
    shape.stride_w = link.stride_w;
  };
  if ((unit.relu = next_is(K::relu))) ++at;
  if (next_is(K::depthwise)) {
    const Link& link = links[at++];
    take_window(link);
    shape.spread = Spread::depthwise;
    shape.kernel_h = link.kernel_h;
    shape.kernel_w = link.kernel_w;
    shape.dilation = link.dilation;
    shape.pad_h = unit.pad_h;
    shape.pad_w = unit.pad_w;
    unit.depthwise = add_parameter(edge.name + link.tail + ".weight", {inputs, 1, link.kernel_h, link.kernel_w},
                                   1 / std::sqrt(double(link.kernel_h * link.kernel_w)));
  }
  unit.out = {1, inputs};
  int bias = -1;
  if (next_is(K::reduce)) {
    const Link& link = links[at++];
    require(unit.depthwise < 0, edge.label(), ": a factorized reduce behind a depthwise convolution");
    unit.out = {1, channels};
    shape.spread = Spread::gather;
    shape.taps = 2;
    shape.stride_h = link.stride_h;
    shape.stride_w = link.stride_w;
    shape.tap_y[1] = std::int8_t(link.stride_h - 1);
    shape.tap_x[1] = std::int8_t(link.stride_w - 1);
    const int half = channels / 2;
    const double bound = 1 / std::sqrt(double(inputs));
    unit.parts = {{add_parameter(edge.name + ".conv_1.weight", {half, inputs, 1, 1}, bound), 0, half, 0, 1},
                  {add_parameter(edge.name + ".conv_2.weight", {channels - half, inputs, 1, 1}, bound), half,
                   channels - half, 1, 1}};
  } else if (next_is(K::shuffle)) {
    unit.groups = links[at++].groups;
  } else if (next_is(K::convolution)) {
    const Link& link = links[at];
    const int taps = link.kernel_h * link.kernel_w, outputs = link.channels > 0 ? link.channels : channels;
    const bool spreads = taps > 1 || link.stride_h > 1 || link.stride_w > 1;
    if (!spreads || unit.depthwise < 0) {  // else it is for the next unit
      ++at;
      unit.out = {1, outputs};
      if (spreads) {
        take_window(link);
        shape.spread = Spread::gather;
        shape.taps = taps;
        for (int t = 0; t < taps; ++t) {
          shape.tap_y[t] = std::int8_t(t / link.kernel_w * link.dilation - unit.pad_h);
          shape.tap_x[t] = std::int8_t(t % link.kernel_w * link.dilation - unit.pad_w);
        }
      }
      const double bound = 1 / std::sqrt(double(inputs) * taps);
      const std::string name = edge.name + link.tail;
      const int weight = add_parameter(name + ".weight", {outputs, inputs, link.kernel_h, link.kernel_w}, bound);
      unit.parts = {{weight, 0, outputs, 0, taps}};
      if (link.bias) bias = add_parameter(name + ".bias", {outputs}, bound);
    }
  }
  shape.in_blocks = unit.in.blocks();
  shape.out_blocks = unit.out.blocks();
  int norm = -1;
  if (next_is(K::batch_norm)) norm = add_norm(edge.name + links[at++].tail, unit.out.count(), edge.affine_norm);
  unit.affine = add_affine(state, unit.level, unit.out, norm, edge.label());
  graph_.affines[unit.affine].bias = bias;

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
  if (previous < 0) source.read_blocks = unit.in.blocks();
  unit.partial = source.level_size[unit.level];
  source.level_size[unit.level] += unit.gradient_size();
  source.levels[unit.level].push_back(index);
  graph_.units.push_back(std::move(unit));
  return index;
}

void GraphBuilder::add_units(const Incoming& in, int node) {
  int unit = -1;
  std::size_t at = 0;
  do unit = add_unit(in, unit, at, given_by(in, node));
  while (at < in.chain.links.size());
  graph_.units[unit].node = node;
  add_term(node, Source::unit, unit, graph_.units[unit].affine, in.edge);
}

// A pool and, if there is one, the batch normalisation behind it.
void GraphBuilder::add_pool(const Incoming& in, int node) {
  const int state = in.state;
  const std::vector<Link>& links = in.chain.links;
  const Edge& edge = in.edge;
  const Link& link = links[0];
  const bool max = link.kind == Link::Kind::max_pool;
  const Channels channels = read_by(in);
  const std::array<int, 8> key = {state,         channels.blocks(), max,           link.kernel_h,
                                  link.kernel_w, link.stride_h,     link.stride_w, link.rounds_up};
  if (pools_.find(key) == pools_.end()) {
    pools_[key] = int(graph_.pools.size());
    graph_.states[state].pools.push_back(int(graph_.pools.size()));
    PoolShape shape{};
    shape.max = max;
    shape.blocks = channels.blocks();
    shape.window_h = link.kernel_h;
    shape.window_w = link.kernel_w;
    shape.stride_h = link.stride_h;
    shape.stride_w = link.stride_w;
    shape.pad_h = link.pad_h();
    shape.pad_w = link.pad_w();
    graph_.pools.push_back({state, shape, false, link.rounds_up, channels, {}});
  }
  Pool& pool = graph_.pools[pools_[key]];
  int norm = -1;
  if (links.size() > 1) norm = add_norm(edge.name + links[1].tail, channels.count(), edge.affine_norm);
  const int affine = add_affine(state, 0, channels, norm, edge.label());
  if (!pool.terms.empty()) graph_.affines[affine].statistics = graph_.terms[pool.terms[0]].affine;
  pool.terms.push_back(add_term(node, Source::pool, pools_[key], affine, edge));
}

void GraphBuilder::add_noise(const Incoming& in, int node) {
  const Channels channels{1, given_by(in, node)};
  const int index = int(graph_.noises.size());
  graph_.noises.push_back({in.state, channels, in.chain.stride_h, in.chain.stride_w, node});
  graph_.states[in.state].noises.push_back(index);
  add_term(node, Source::noise, index, add_affine(in.state, 0, channels, -1, in.edge.label()), in.edge);
}

Channels GraphBuilder::read_by(const Incoming& in) const {
  return in.reads > 0 ? Channels{1, in.reads} : graph_.states[in.state].channels;
}

void GraphBuilder::check_channels(const Incoming& in, int channels) const {
  if (in.chain.gives != Chain::Gives::output) return;
  const int there = read_by(in).count();
  const bool products = std::any_of(in.chain.links.begin(), in.chain.links.end(), [](const Link& link) {
    return link.kind == Link::Kind::convolution || link.kind == Link::Kind::reduce;
  });
  require(products || there == channels, in.edge.label(), ": no stage brings ", there, " channels to the ", channels,
          " of the node");
}

// Nodes without alpha before the pools of a chain, and behind those that more than a batch normalisation follows.
void GraphBuilder::cut(Incoming& in, int channels, bool auxiliary) {
  auto& links = in.chain.links;
  auto add_part = [&](std::size_t count, const Channels& of) {
    const int node = add_state(of, auxiliary);
    graph_.states[node].within_operation = true;
    Incoming part{in.state,
                  {in.chain.name, {links.begin(), links.begin() + count}},
                  {in.edge.name, in.edge.affine_norm, -1, false, 0, in.chain.name},
                  in.reads};
    connect(part, node);
    links.erase(links.begin(), links.begin() + count);
    in.state = node;
    in.reads = 0;
  };
  for (;;) {
    const auto pool = std::find_if(links.begin(), links.end(), [](const Link& link) { return link.is_pool(); });
    if (pool == links.end()) return;
    const Channels there = read_by(in);
    if (pool != links.begin()) {
      int count = there.count();
      for (auto link = links.begin(); link != pool; ++link)
        if (link->kind == Link::Kind::convolution) count = link->channels > 0 ? link->channels : channels;
      add_part(std::size_t(pool - links.begin()), {1, count});
      continue;
    }
    const std::size_t end = links.size() > 1 && links[1].kind == Link::Kind::batch_norm ? 2 : 1;
    if (end == links.size() && there.is_one_of(channels)) return;
    add_part(end, there);
  }
}

void GraphBuilder::connect(const Incoming& in, int node) {
  const auto& links = in.chain.links;
  const Channels channels = read_by(in);
  switch (in.chain.gives) {
    case Chain::Gives::nothing:
      return;
    case Chain::Gives::noise:
      return add_noise(in, node);
    case Chain::Gives::output:
      break;
  }
  if (links.empty() && channels.is_one_of(given_by(in, node))) {
    const int affine = add_affine(in.state, 0, channels, -1, in.edge.label());
    graph_.states[in.state].identities.push_back(add_term(node, Source::identity, in.state, affine, in.edge));
    return;
  }
  if (!links.empty() && links[0].is_pool()) return add_pool(in, node);
  add_units(in, node);
}

int GraphBuilder::add_node(int channels, std::vector<Incoming> incoming, bool auxiliary) {
  for (Incoming& in : incoming) {
    in.edge.operation = in.chain.name;
    const int given = in.gives > 0 ? in.gives : channels;
    check_channels(in, given);
    cut(in, given, auxiliary);
  }
  const int node = add_state({1, channels}, auxiliary);
  for (const Incoming& in : incoming) connect(in, node);
  State& state = graph_.states[node];
  if (state.terms.empty()) {
    state.like = incoming[0].state;
    state.stride_h = incoming[0].chain.stride_h;
    state.stride_w = incoming[0].chain.stride_w;
    state.name = incoming[0].edge.label();
  }
  return node;
}

int GraphBuilder::add_auxiliary_pool(int state) {
  const Channels channels = graph_.states[state].channels;
  const int node = add_state(channels, true), index = int(graph_.pools.size());
  PoolShape shape{};
  shape.relu = true;
  shape.blocks = channels.blocks();
  graph_.states[state].pools.push_back(index);
  graph_.pools.push_back({state, shape, true, false, channels, {}});
  const std::string name = "auxiliary_head";
  graph_.pools[index].terms.push_back(
      add_term(node, Source::pool, index, add_affine(state, 0, channels, -1, name), Edge{name, false}));
  return node;
}

void GraphBuilder::add_head(int state, bool relu, int classes, const std::string& name, double loss_weight) {
  const int features = graph_.states[state].channels.count();
  const double bound = 1 / std::sqrt(double(features));
  graph_.classes = classes;
  const int weight = add_parameter(name + ".weight", {classes, features}, bound);
  graph_.heads.push_back({state, relu, weight, add_parameter(name + ".bias", {classes}, bound), loss_weight});
}

}  // namespace pydarts
