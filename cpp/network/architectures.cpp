// SPDX-License-Identifier: MIT
// The macro-structures: stem, cells with two reductions, classifier. Liu et al., arXiv:1806.09055.
#include <algorithm>

#include "core/error.hpp"
#include "network/graph_builder.hpp"

namespace pydarts {
namespace {

constexpr int kNodes = 4;  // intermediate nodes of a search cell
constexpr int kStemMultiplier = 3;
constexpr std::size_t kMaxOperations = 1 << 16;  // a genotype may come from a file
constexpr int kAuxiliaryChannels = 128, kAuxiliaryFeatures = 768;

void check(const NetworkConfig& config) {
  require(config.channels >= 1, "`channels` (=", config.channels, ") must be at least 1");
  require(config.cells >= 1, "`cells` (=", config.cells, ") must be at least 1");
  require(config.classes >= 2, "`classes` (=", config.classes, ") must be at least 2");
  require(config.in_channels >= 1, "`in_channels` (=", config.in_channels, ") must be at least 1");
  require(config.channels <= 4096, "`channels` (=", config.channels, ") must be at most 4096");
  require(config.cells <= 1024, "`cells` (=", config.cells, ") must be at most 1024");
  require(config.classes <= 65536, "`classes` (=", config.classes, ") must be at most 65536");
  require(config.in_channels <= 65536, "`in_channels` (=", config.in_channels, ") must be at most 65536");
}

// Walks the macro-structure; fill_cell(index, reduction, channels, {s0, s1}, name) adds the nodes of a cell and
// returns those that it concatenates; after_cell(index, state) sees its output.
template <class FillCell, class AfterCell>
void build_cells(GraphBuilder& builder, const NetworkConfig& config, bool affine, FillCell fill_cell,
                 AfterCell after_cell) {
  const int image = builder.add_image(config.in_channels);
  const int stem_state = builder.add_node(kStemMultiplier * config.channels);
  builder.connect(image, stem_state, stem(), {"stem", true});
  int before = stem_state, last = stem_state, channels = config.channels;
  bool last_reduced = false;
  for (int i = 0; i < config.cells; ++i) {
    const bool reduction = i == config.cells / 3 || i == 2 * config.cells / 3;
    if (reduction) channels *= 2;
    const std::string name = text("cells.", i);
    const int s0 = builder.add_node(channels), s1 = builder.add_node(channels);
    builder.connect(before, s0, last_reduced ? factorized_reduce() : relu_conv_bn(), {name + ".preprocess0", affine});
    builder.connect(last, s1, relu_conv_bn(), {name + ".preprocess1", affine});
    const std::vector<int> joined = fill_cell(reduction, channels, std::vector<int>{s0, s1}, name);
    const int out = builder.add_concat(joined);
    before = last;
    last = out;
    last_reduced = reduction;
    after_cell(i, out);
  }
  builder.add_head(last, false, config.classes, "classifier", 1);
  std::rotate(builder.graph().heads.begin(), builder.graph().heads.end() - 1, builder.graph().heads.end());
}

void check(const CellGenotype& cell, const char* name) {
  require(!cell.operations.empty() && cell.operations.size() % 2 == 0, "`", name, "` has ", cell.operations.size(),
          " entries, not two a node");
  const int states = 2 + int(cell.operations.size()) / 2;
  for (int i = 0; i < int(cell.operations.size()); ++i) {
    const auto& [operation, input] = cell.operations[i];
    require(!make_operation(operation, 1, false).zero, "a genotype cannot hold the operation '", operation, "'");
    require(input >= 0 && input < 2 + i / 2, "`", name, "` entry ", i, ": input ", input, " is not an earlier state");
  }
  require(!cell.concat.empty(), "`", name, "_concat` is empty");
  for (std::size_t i = 0; i < cell.concat.size(); ++i) {
    require(cell.concat[i] >= 2 && cell.concat[i] < states, "`", name, "_concat` entry ", cell.concat[i],
            " is not a node");
    for (std::size_t j = 0; j < i; ++j)
      require(cell.concat[i] != cell.concat[j], "`", name, "_concat` names ", cell.concat[i], " twice");
  }
}

void add_auxiliary_head(GraphBuilder& builder, int state, int classes, double loss_weight) {
  const std::string name = "auxiliary_head";
  const int pooled = builder.add_node(1, true);
  builder.connect_auxiliary_pool(state, pooled);
  const int hidden = builder.add_node(kAuxiliaryChannels, true);
  const int features = builder.add_node(kAuxiliaryFeatures, true);
  using K = StageKind;
  builder.connect(pooled, hidden, {"", false, {{K::convolution, ".features.2"}, {K::batch_norm, ".features.3"}}},
                  {name, true});
  builder.connect(hidden, features,
                  {"", false, {{K::relu}, {K::convolution, ".features.5", 2, 2}, {K::batch_norm, ".features.6"}}},
                  {name, true});
  builder.add_head(features, true, classes, name + ".classifier", loss_weight);
}

}  // namespace

Graph supernet_graph(const NetworkConfig& config) {
  check(config);
  GraphBuilder builder;
  const auto& names = candidate_operations();
  const int columns = int(names.size());
  constexpr int kEdges = kNodes * (kNodes + 3) / 2;
  const int normal = builder.add_alpha_group("normal", kEdges, columns);
  const int reduce = builder.add_alpha_group("reduce", kEdges, columns);
  build_cells(
      builder, config, false,
      [&](bool reduction, int channels, std::vector<int> states, const std::string& name) {
        int edge = 0;
        for (int i = 0; i < kNodes; ++i) {
          const int node = builder.add_node(channels);
          for (int j = 0; j < 2 + i; ++j, ++edge)
            for (int k = 0; k < columns; ++k)
              builder.connect(
                  states[j], node, make_operation(names[k], reduction && j < 2 ? 2 : 1, true),
                  {text(name, "._ops.", edge, "._ops.", k), false, (reduction ? reduce : normal) + edge * columns + k});
          states.push_back(node);
        }
        return std::vector<int>(states.begin() + 2, states.end());
      },
      [](int, int) {});
  return builder.take();
}

Graph derived_graph(const NetworkConfig& config, const CellGenotype& normal, const CellGenotype& reduce, bool auxiliary,
                    double auxiliary_weight) {
  check(config);
  check(normal, "normal");
  check(reduce, "reduce");
  const std::size_t operations = std::max(normal.operations.size(), reduce.operations.size()) * config.cells;
  require(operations <= kMaxOperations, "`cells` (=", config.cells, ") of up to ", operations / config.cells,
          " operations have more than ", kMaxOperations);
  GraphBuilder builder;
  build_cells(
      builder, config, true,
      [&](bool reduction, int channels, std::vector<int> states, const std::string& name) {
        const CellGenotype& cell = reduction ? reduce : normal;
        for (std::size_t n = 0; n < cell.operations.size(); n += 2) {
          const int node = builder.add_node(channels);
          for (std::size_t i = n; i < n + 2; ++i) {
            const auto& [operation, input] = cell.operations[i];
            const Operation op = make_operation(operation, reduction && input < 2 ? 2 : 1, false);
            builder.connect(states[input], node, op, {text(name, "._ops.", i), true, -1, !op.stages.empty()});
          }
          states.push_back(node);
        }
        std::vector<int> joined;
        for (int index : cell.concat) joined.push_back(states[index]);
        return joined;
      },
      [&](int index, int state) {
        if (auxiliary && index == 2 * config.cells / 3)
          add_auxiliary_head(builder, state, config.classes, auxiliary_weight);
      });
  return builder.take();
}

Graph mixed_operation_graph(int channels, int stride, const std::vector<std::string>& operations) {
  require(channels >= 1, "`channels` (=", channels, ") must be at least 1");
  require(stride == 1 || stride == 2, "`stride` (=", stride, ") must be 1 or 2");
  bool any = false;
  for (const std::string& name : operations) any |= !make_operation(name, stride, true).zero;
  require(any, "`operations` must hold more than `none`");
  GraphBuilder builder;
  builder.graph().input_gradient = true;
  const int alpha = builder.add_alpha_group("mixed", 1, int(operations.size()));
  const int input = builder.add_image(channels), node = builder.add_node(channels);
  for (int k = 0; k < int(operations.size()); ++k)
    builder.connect(input, node, make_operation(operations[k], stride, true), {text("_ops.", k), false, alpha + k});
  return builder.take();
}

}  // namespace pydarts
