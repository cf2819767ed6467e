// SPDX-License-Identifier: MIT
#include "spaces/space.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace pydarts {
namespace {

constexpr std::size_t kMostLayers = 4096;  // of a network
constexpr long long kMostChannels = 1 << 16;

}  // namespace

bool operator==(const Stage& a, const Stage& b) {
  return a.kind == b.kind && a.kernel_h == b.kernel_h && a.kernel_w == b.kernel_w && a.dilation == b.dilation &&
         a.strides == b.strides;
}

bool operator==(const Operation& a, const Operation& b) {
  return a.name == b.name && a.stages == b.stages && a.prefix == b.prefix;
}

int Cell::columns() const {
  std::size_t most = 0;
  for (const auto& candidates : edges) most = std::max(most, candidates.size());
  return int(most);
}

bool Cell::differs_by_edge() const {
  return std::any_of(edges.begin(), edges.end(), [&](const auto& candidates) { return !(candidates == edges[0]); });
}

const std::vector<Operation>* Cell::candidates(int node, int input) const {
  if (!differs_by_edge()) return &edges[0];
  int edge = input;
  for (int earlier = 0; earlier < node; ++earlier) edge += incoming(earlier);
  return node < nodes ? &edges[edge] : nullptr;
}

const Operation* Space::find(const Cell& cell, const std::string& operation) const {
  auto among = [&](const std::vector<Operation>& operations) -> const Operation* {
    for (const Operation& o : operations)
      if (o.name == operation) return &o;
    return nullptr;
  };
  for (const auto& candidates : cell.edges)
    if (const Operation* found = among(candidates)) return found;
  return among(others);
}

std::vector<PlacedLayer> layers_of(const Space& space, int cells, int channels) {
  const auto& layers = space.stack.layers;
  const auto any = [&](auto is) { return std::any_of(layers.begin(), layers.end(), is); };
  // Stages of so many cells, or all cells together.
  const bool by_stage = any([](const Layer& l) { return l.repeat == 0; }) ||
                        (any([](const Layer& l) { return l.repeat > 1; }) &&
                         !any([](const Layer& l) { return l.until_denominator > 0; }));
  std::vector<PlacedLayer> placed;
  long long width = channels;
  for (const Layer& layer : layers) {
    std::size_t end = placed.size() + std::size_t(layer.repeat == 0 ? cells : layer.repeat);
    if (layer.until_denominator > 0)
      end = std::size_t((long long)layer.until_numerator * cells / layer.until_denominator);
    if (!by_stage) end = std::min(end, std::size_t(cells));
    require(end <= kMostLayers, "`cells` (=", cells, ") makes more than ", kMostLayers, " layers in the space '",
            space.name, "'");
    while (placed.size() < end) {
      width *= layer.channels;
      require(width <= kMostChannels, "`channels` (=", channels, ") grows to more than ", kMostChannels,
              " in the space '", space.name, "'");
      placed.push_back({layer.cell, layer.stride, int(width)});
    }
  }
  require(!placed.empty() && (by_stage || placed.size() == std::size_t(cells)), "`cells` (=", cells,
          "): the stack of the space '", space.name, "' has ", placed.size(), " layers");
  return placed;
}

}  // namespace pydarts
