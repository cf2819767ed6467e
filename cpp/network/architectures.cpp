// SPDX-License-Identifier: MIT
// The macro-structures of spaces: stem, layers of cells and residual blocks, classifier. Liu et al., arXiv:1806.09055;
// Dong and Yang, arXiv:2001.00326.
#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "network/graph_builder.hpp"

namespace pydarts {
namespace {

using K = Link::Kind;
using Incoming = GraphBuilder::Incoming;

constexpr std::size_t kMaxOperations = 1 << 16;  // a genotype may come from a file
constexpr std::size_t kLongChain = 8;            // stages above which an operation counts for several
constexpr int kAuxiliaryChannels = 128, kAuxiliaryFeatures = 768;

void check(const NetworkConfig& config) {
  require(config.channels >= 1, "`channels` (=", config.channels, ") must be at least 1");
  require(config.cells >= 1, "`cells` (=", config.cells, ") must be at least 1");
  const int least = config.loss.kind == LossKind::softmax ? 2 : 1;
  require(config.classes >= least, "`classes` (=", config.classes, ") must be at least ", least);
  require(config.loss.delta > 0 && std::isfinite(config.loss.delta), "`huber_delta` (=", config.loss.delta,
          ") must be positive and finite");
  require(config.in_channels >= 1, "`in_channels` (=", config.in_channels, ") must be at least 1");
  require(config.channels <= 4096, "`channels` (=", config.channels, ") must be at most 4096");
  require(config.cells <= 1024, "`cells` (=", config.cells, ") must be at most 1024");
  require(config.classes <= 65536, "`classes` (=", config.classes, ") must be at most 65536");
  require(config.in_channels <= 65536, "`in_channels` (=", config.in_channels, ") must be at most 65536");
  require(config.partial_channels >= 1, "`partial_channels` (=", config.partial_channels, ") must be at least 1");
  require(config.channels % config.partial_channels == 0, "`partial_channels` (=", config.partial_channels,
          ") must divide the ", config.channels, " of `channels`");
  require(config.partial_channels == 1 || !config.auxiliary_skip, "`partial_channels` (=", config.partial_channels,
          ") and `auxiliary_skip` exclude each other");
  require(config.stem == Stem::cifar || config.channels >= 2, "`channels` (=", config.channels,
          ") must be at least 2 with the stem for ImageNet");
}

// A state that layers pass on.
struct Flow {
  int state;
  int halvings;  // on the way from the image
};

class Architecture {
 public:
  Architecture(const Space& space, const NetworkConfig& config, bool derived)
      : space_(space), config_(config), derived_(derived) {
    check(config);
    builder_.graph().dimensions = space.dimensions;
    builder_.graph().loss = config.loss;
  }

  // fill_cell(cell, layer, inputs, name) adds the nodes of a cell and gives those that it puts out; after_layer(index,
  // state) sees the output of a layer.
  template <class FillCell, class AfterLayer>
  Graph build(const std::vector<PlacedLayer>& layers, FillCell fill_cell, AfterLayer after_layer) {
    add_stem();
    for (int i = 0; i < int(layers.size()); ++i) {
      const PlacedLayer& layer = layers[i];
      const std::string name = text("cells.", i);
      int out;
      if (layer.cell < 0) {
        out = add_residual_block(layer, name);
      } else {
        const Cell& cell = space_.cells[layer.cell];
        const std::vector<int> given = fill_cell(cell, layer, add_inputs(cell, layer.channels, name), name);
        out = cell.concatenates ? builder_.add_concat(given, name) : given.back();
      }
      before_ = last_;
      last_ = {out, last_.halvings + (layer.stride > 1)};
      after_layer(i, out);
    }
    if (space_.stack.norm_relu)
      last_.state = builder_.add_node(builder_.graph().states[last_.state].channels.count(),
                                      {{last_.state, {"lastact", {{K::batch_norm, ".0"}}}, {"lastact", true}}});
    builder_.add_head(last_.state, space_.stack.norm_relu, config_.classes, "classifier", 1);
    auto& heads = builder_.graph().heads;
    std::rotate(heads.begin(), heads.end() - 1, heads.end());
    return builder_.take();
  }

  GraphBuilder& builder() { return builder_; }

  void add_auxiliary_head(int state, double loss_weight) {
    const std::string name = "auxiliary_head";
    const int pooled = builder_.add_auxiliary_pool(state);
    const int hidden = builder_.add_node(
        kAuxiliaryChannels,
        {{pooled, {name, {{K::convolution, ".features.2"}, {K::batch_norm, ".features.3"}}}, {name, true}}}, true);
    const int features = builder_.add_node(
        kAuxiliaryFeatures,
        {{hidden,
          {name, {{K::relu}, convolution(".features.5", 2, 1, space_.dimensions), {K::batch_norm, ".features.6"}}},
          {name, true}}},
        true);
    builder_.add_head(features, true, config_.classes, name + ".classifier", loss_weight);
  }

 private:
  Link conv(const std::string& tail, int side, int stride, int channels = 0) const {
    return convolution(tail, side, stride, space_.dimensions, channels);
  }

  void add_stem() {
    const int image = builder_.add_image(config_.in_channels), channels = config_.channels;
    if (config_.stem == Stem::cifar) {
      const int stem = builder_.add_node(
          space_.stack.stem * channels, {{image, {"stem", {conv(".0", 3, 1), {K::batch_norm, ".1"}}}, {"stem", true}}});
      before_ = last_ = {stem, 0};
      return;
    }
    const int first = builder_.add_node(
        channels,
        {{image,
          {"stem0",
           {conv(".0", 3, 2, channels / 2), {K::batch_norm, ".1"}, {K::relu}, conv(".3", 3, 2), {K::batch_norm, ".4"}}},
          {"stem0", true}}});
    const int second = builder_.add_node(
        channels, {{first, {"stem1", {{K::relu}, conv(".1", 3, 2), {K::batch_norm, ".2"}}}, {"stem1", true}}});
    before_ = {first, 2};
    last_ = {second, 3};
  }

  std::vector<int> add_inputs(const Cell& cell, int channels, const std::string& name) {
    if (cell.inputs == 2) {
      const Chain reduced = before_.halvings < last_.halvings ? factorized_reduce(space_.dimensions) : relu_conv_bn();
      const int s0 = builder_.add_node(channels, {{before_.state, reduced, {name + ".preprocess0", derived_}}});
      const int s1 = builder_.add_node(channels, {{last_.state, relu_conv_bn(), {name + ".preprocess1", derived_}}});
      return {s0, s1};
    }
    if (!cell.preprocessed) return {last_.state};
    return {builder_.add_node(channels, {{last_.state, relu_conv_bn(), {name + ".preprocess", derived_}}})};
  }

  int add_residual_block(const PlacedLayer& layer, const std::string& name) {
    const int stride = layer.stride, dimensions = space_.dimensions;
    const std::string first = name + ".conv_a", second = name + ".conv_b", shortcut = name + ".downsample";
    const auto half = [&](const std::string& of, int s) {
      return Chain{of, {{K::relu}, conv(".op.1", 3, s), {K::batch_norm, ".op.2"}}};
    };
    const int inner = builder_.add_node(layer.channels, {{last_.state, half(first, stride), {first, true}}});
    Chain straight{shortcut};
    if (stride > 1) {
      Link pool{K::avg_pool, ".0", dimensions == 1 ? 1 : 2, 2};
      pool.stride_h = dimensions == 1 ? 1 : 2;
      pool.stride_w = 2;
      straight.links.push_back(pool);
    }
    if (stride > 1 || builder_.graph().states[last_.state].channels.count() != layer.channels)
      straight.links.push_back(conv(".1", 1, 1));
    return builder_.add_node(layer.channels,
                             {{inner, half(second, 1), {second, true}}, {last_.state, straight, {shortcut, true}}});
  }

  const Space& space_;
  const NetworkConfig& config_;
  const bool derived_;
  GraphBuilder builder_;
  Flow before_{}, last_{};
};

// Stride of an edge: the inputs of a cell are as large as what came before.
int edge_stride(const PlacedLayer& layer, const Cell& cell, int input) {
  return input < cell.inputs ? layer.stride : 1;
}

}  // namespace

Stem stem_of(const std::string& name) {
  require(name == "cifar" || name == "imagenet", "`stem` (='", name.substr(0, 40), "') must be 'cifar' or 'imagenet'");
  return name == "cifar" ? Stem::cifar : Stem::imagenet;
}

Graph supernet_graph(const Space& space, const NetworkConfig& config) {
  Architecture architecture(space, config, false);
  GraphBuilder& builder = architecture.builder();
  std::vector<int> alphas;  // of each kind of cell
  for (const Cell& cell : space.cells) {
    std::vector<int> counts;
    for (const auto& candidates : cell.edges) counts.push_back(int(candidates.size()));
    alphas.push_back(builder.add_alpha_group(cell.name, counts, cell.columns()));
  }
  std::vector<int> edges;  // likewise the edges' own weights
  for (std::size_t i = 0; i < space.cells.size() && config.partial_channels > 1; ++i) {
    std::vector<int> counts;
    for (int node = 0; node < space.cells[i].nodes; ++node) counts.push_back(space.cells[i].incoming(node));
    edges.push_back(builder.add_edge_group(int(i), counts));
  }
  if (config.auxiliary_skip) builder.add_skip();
  const bool official = space.parameter_names == ParameterNames::nas_bench_201;
  return architecture.build(
      layers_of(space, config.cells, config.channels),
      [&](const Cell& cell, const PlacedLayer& layer, std::vector<int> states, const std::string& name) {
        const bool partial = config.partial_channels > 1;
        const int part = partial ? layer.channels / config.partial_channels : 0;
        for (int j = 0; j < cell.inputs && partial; ++j) {
          const Channels& there = builder.graph().states[states[j]].channels;
          require(there.is_one_of(layer.channels), "`partial_channels` (=", config.partial_channels, "): '", name,
                  "' takes ", there.count(), " channels from ", there.parts, " nodes, and has nodes of ",
                  layer.channels);
        }
        for (int i = 0, edge = 0; i < cell.nodes; ++i) {
          std::vector<Incoming> incoming;
          for (int j = 0; j < cell.incoming(i); ++j, ++edge) {
            const std::string prefix =
                official ? text(name, ".edges.", cell.inputs + i, "<-", j, ".") : text(name, "._ops.", edge, "._ops.");
            const int stride = edge_stride(layer, cell, j);
            if (partial)
              incoming.push_back(
                  {states[j],
                   bypass(stride, space.dimensions),
                   {prefix + "bypass", false, edges[layer.cell] + i * cell.incoming(cell.nodes - 1) + j, false, part}});
            for (int k = 0; k < int(cell.edges[edge].size()); ++k)
              incoming.push_back(
                  {states[j],
                   lowered(cell.edges[edge][k], stride, space.dimensions, Phase::search, space.conv_bias),
                   {text(prefix, k), false, alphas[layer.cell] + edge * cell.columns() + k},
                   part,
                   part});
            if (config.auxiliary_skip)
              incoming.push_back({states[j],
                                  lowered({"auxiliary_skip", {}}, stride, space.dimensions, Phase::search, false),
                                  {prefix + "auxiliary_skip", false, builder.graph().skip}});
          }
          int node = builder.add_node(layer.channels, std::move(incoming));
          if (partial)
            node = builder.add_node(
                layer.channels,
                {{node, channel_shuffle(config.partial_channels), {text(name, ".nodes.", i, ".shuffle"), false}}});
          states.push_back(node);
        }
        return std::vector<int>(states.begin() + cell.inputs, states.end());
      },
      [](int, int) {});
}

Graph derived_graph(const Genotype& genotype, const NetworkConfig& config, bool auxiliary, double auxiliary_weight) {
  const Space& space = genotype.space;
  Architecture architecture(space, config, true);
  GraphBuilder& builder = architecture.builder();
  for (std::size_t i = 0; i < space.cells.size(); ++i) check_cell(space, space.cells[i], genotype.cells[i]);
  const std::vector<PlacedLayer> layers = layers_of(space, config.cells, config.channels);
  std::size_t most = 0;
  for (std::size_t i = 0; i < space.cells.size(); ++i) {
    std::size_t count = 0;
    for (const auto& entry : genotype.cells[i].operations)
      count += 1 + space.find(space.cells[i], entry.first)->stages.size() / (kLongChain + 1);
    most = std::max(most, count);
  }
  require(most * layers.size() <= kMaxOperations, "`cells` (=", config.cells, ") of up to ", most,
          " operations have more than ", kMaxOperations);
  int at = -1;  // the last layer of stride 2
  for (int i = 0; i < int(layers.size()); ++i)
    if (layers[i].stride > 1) at = i;
  require(!auxiliary || at >= 0, "`auxiliary`: the space '", space.name,
          "' has no layer of stride 2, behind which the auxiliary head would stand");
  const bool official = space.parameter_names == ParameterNames::nas_bench_201;
  return architecture.build(
      layers,
      [&](const Cell& cell, const PlacedLayer& layer, std::vector<int> states, const std::string& name) {
        const CellGenotype& chosen = genotype.cells[layer.cell];
        const std::string prefix = name + (official ? ".layers." : "._ops.");
        for (int node = 0, entry = 0; entry < int(chosen.operations.size()); ++node) {
          std::vector<Incoming> incoming;
          for (int i = 0; i < cell.kept(node); ++i, ++entry) {
            const auto& [operation, input] = chosen.operations[entry];
            Chain chain = lowered(*space.find(cell, operation), edge_stride(layer, cell, input), space.dimensions,
                                  Phase::derived, false);
            const bool droppable = !chain.links.empty();
            incoming.push_back({states[input], std::move(chain), {text(prefix, entry), true, -1, droppable}});
          }
          states.push_back(builder.add_node(layer.channels, std::move(incoming)));
        }
        if (!cell.concatenates) return std::vector<int>{states.back()};
        std::vector<int> joined;
        for (int index : chosen.concat) joined.push_back(states[index]);
        return joined;
      },
      [&](int index, int state) {
        if (auxiliary && index == at) architecture.add_auxiliary_head(state, auxiliary_weight);
      });
}

Graph mixed_operation_graph(const std::vector<Operation>& operations, int channels, int stride, int dimensions) {
  require(channels >= 1, "`channels` (=", channels, ") must be at least 1");
  require(stride == 1 || stride == 2, "`stride` (=", stride, ") must be 1 or 2");
  require(dimensions == 1 || dimensions == 2, "`dimensions` (=", dimensions, ") must be 1 or 2");
  require(std::any_of(operations.begin(), operations.end(), [](const Operation& o) { return !o.is_none(); }),
          "`operations` must hold more than `none`");
  GraphBuilder builder;
  builder.graph().input_gradient = true;
  builder.graph().dimensions = dimensions;
  const int columns = int(operations.size());
  const int alpha = builder.add_alpha_group("mixed", {columns}, columns);
  const int input = builder.add_image(channels);
  std::vector<Incoming> incoming;
  for (int k = 0; k < columns; ++k)
    incoming.push_back({input,
                        lowered(operations[k], stride, dimensions, Phase::search, false),
                        {text("_ops.", k), false, alpha + k}});
  builder.add_node(channels, std::move(incoming));
  return builder.take();
}

}  // namespace pydarts
