// SPDX-License-Identifier: MIT
#include "costs/shape.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/error.hpp"

namespace pydarts {
namespace {

constexpr int kMostSide = 1 << 14;

void check_extent(const char* name, int value, int least, int most) {
  require(value >= least && value <= most, "`", name, "` (=", value, ") must lie in ", least, "..", most);
}

int divided(int side, int stride) { return (side + stride - 1) / stride; }

// A cell of a network: its kind, channels, stride, and channels and size of its inputs.
struct PlacedCell {
  PlacedLayer layer;
  std::vector<int> widths;
  int height, width;
};

std::vector<PlacedCell> placed_cells(const Space& space, const NetworkShape& shape) {
  const bool rows = space.dimensions == 2;
  int height = shape.height, width = shape.width;
  int channels = space.stack.stem * shape.channels;
  if (shape.stem == Stem::imagenet) {
    channels = shape.channels;
    for (int i = 0; i < 3; ++i) {
      if (rows) height = divided(height, 2);
      width = divided(width, 2);
    }
  }
  std::vector<PlacedCell> found;
  for (const PlacedLayer& layer : layers_of(space, shape.cells, shape.channels)) {
    int output = layer.channels;
    if (layer.cell >= 0) {
      const Cell& cell = space.cells[layer.cell];
      // Two inputs are always preprocessed.
      found.push_back(
          {layer, std::vector<int>(cell.inputs, cell.preprocessed ? layer.channels : channels), height, width});
      if (cell.concatenates) output *= cell.nodes;
    }
    if (rows) height = divided(height, layer.stride);
    width = divided(width, layer.stride);
    channels = output;
  }
  return found;
}

Place place_of(const Operation& operation, const PlacedCell& at, int source, const Space& space) {
  const int channels = at.layer.channels;
  if (source < int(at.widths.size()))
    return {operation.name, at.widths[source], channels, at.height, at.width, at.layer.stride};
  const int height = space.dimensions == 2 ? divided(at.height, at.layer.stride) : at.height;
  return {operation.name, channels, channels, height, divided(at.width, at.layer.stride), 1};
}

// In a derived network.
bool is_pool_alone(const Operation& operation) {
  const auto& stages = operation.stages;
  return !stages.empty() && stages[0].is_pool() &&
         std::all_of(stages.begin() + 1, stages.end(),
                     [](const Stage& stage) { return stage.kind == StageKind::search_batch_norm; });
}

}  // namespace

bool operator==(const NetworkShape& a, const NetworkShape& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels && a.cells == b.cells &&
         a.classes == b.classes && a.in_channels == b.in_channels && a.stem == b.stem;
}

void check_shape(const Space& space, const NetworkShape& shape) {
  check_extent("height", shape.height, 1, space.dimensions == 1 ? 1 : kMostSide);
  check_extent("width", shape.width, 1, kMostSide);
  check_extent("channels", shape.channels, shape.stem == Stem::imagenet ? 2 : 1, 4096);
  check_extent("cells", shape.cells, 1, 1024);
  check_extent("classes", shape.classes, 1, 65536);
  check_extent("in_channels", shape.in_channels, 1, 65536);
  layers_of(space, shape.cells, shape.channels);
}

std::vector<std::size_t> table_offsets(const Space& space) {
  std::vector<std::size_t> found{0};
  for (const Cell& cell : space.cells) found.push_back(found.back() + cell.edges.size() * std::size_t(cell.columns()));
  return found;
}

bool is_allowed(const Cell& cell, int edge, int column) {
  const auto& candidates = cell.edges[edge];
  return column < int(candidates.size()) && (cell.keeps_none || !candidates[column].is_none());
}

std::vector<std::vector<Place>> places(const Space& space, const NetworkShape& shape) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<std::vector<Place>> found(offsets.back());
  for (const PlacedCell& at : placed_cells(space, shape)) {
    const Cell& cell = space.cells[at.layer.cell];
    for (int node = 0, edge = 0; node < cell.nodes; ++node)
      for (int source = 0; source < cell.incoming(node); ++source, ++edge)
        for (std::size_t k = 0; k < cell.edges[edge].size(); ++k) {
          const Operation& operation = cell.edges[edge][k];
          if (operation.is_none() || operation.is_noise()) continue;  // noise is zero in a trained network
          found[offsets[at.layer.cell] + edge * std::size_t(cell.columns()) + k].push_back(
              place_of(operation, at, source, space));
        }
  }
  return found;
}

const Operation& operation_of(const Space& space, const std::string& name) {
  for (const Cell& cell : space.cells)
    for (const auto& candidates : cell.edges)
      for (const Operation& operation : candidates)
        if (operation.name == name) return operation;
  throw InvalidArgument(text("the space '", space.name, "' does not try the operation '", name.substr(0, 40), "'"));
}

std::vector<std::size_t> entries(const Genotype& genotype) {
  const Space& space = genotype.space;
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<std::size_t> found;
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    const Cell& cell = space.cells[c];
    check_cell(space, cell, genotype.cells[c]);
    const auto& operations = genotype.cells[c].operations;
    for (int node = 0, at = 0, first = 0; at < int(operations.size()); first += cell.incoming(node++)) {
      require(node < cell.nodes, "`", cell.name, "` has more than the ", cell.nodes, " nodes of the space's cell");
      for (int i = 0; i < cell.kept(node); ++i, ++at) {
        const auto& [name, source] = operations[at];
        const auto& candidates = cell.edges[first + source];
        const auto is = [&, wanted = &name](const Operation& operation) { return operation.name == *wanted; };
        const auto where = std::find_if(candidates.begin(), candidates.end(), is);
        require(where != candidates.end(), "`", cell.name, "`: the search does not try the operation '",
                name.substr(0, 40), "' on the edge from ", source, " to node ", cell.inputs + node);
        found.push_back(offsets[c] + (first + source) * std::size_t(cell.columns()) +
                        std::size_t(where - candidates.begin()));
      }
    }
  }
  return found;
}

std::vector<std::vector<std::size_t>> equal_pools(const Space& space) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<std::vector<std::size_t>> found;
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    const Cell& cell = space.cells[c];
    std::map<std::pair<int, std::string>, std::vector<std::size_t>> of_cell;  // by state and name
    for (int node = 0, edge = 0; node < cell.nodes; ++node)
      for (int source = 0; source < cell.incoming(node); ++source, ++edge)
        for (std::size_t k = 0; k < cell.edges[edge].size(); ++k)
          if (is_pool_alone(cell.edges[edge][k]))
            of_cell[{source, cell.edges[edge][k].name}].push_back(offsets[c] + edge * std::size_t(cell.columns()) + k);
    for (auto& [pool, where] : of_cell)
      if (where.size() > 1) found.push_back(std::move(where));
  }
  return found;
}

std::vector<std::size_t> computed_entries(const Genotype& genotype) {
  std::vector<std::size_t> found = entries(genotype);
  const std::set<std::size_t> held(found.begin(), found.end());
  std::set<std::size_t> repeated;
  for (const auto& pool : equal_pools(genotype.space)) {
    bool known = false;
    for (std::size_t at : pool) {
      if (held.count(at) == 0) continue;
      if (known) repeated.insert(at);
      known = true;
    }
  }
  found.erase(std::remove_if(found.begin(), found.end(), [&](std::size_t at) { return repeated.count(at) > 0; }),
              found.end());
  return found;
}

Genotype without_operations(const Space& space) {
  const Operation none{"none", {{StageKind::none}}};
  Genotype found{space, {}};
  for (Cell& cell : found.space.cells) {
    cell.keeps_none = true;
    for (auto& candidates : cell.edges) {
      bool has = false;
      for (const Operation& operation : candidates) {
        require(operation.name != none.name || operation.is_none(), "the space '", space.name,
                "' has an operation 'none' that is not none");
        has = has || operation == none;
      }
      if (!has) candidates.push_back(none);
    }
    CellGenotype empty;
    for (int node = 0; node < cell.nodes; ++node) {
      for (int source = 0; source < cell.kept(node); ++source) empty.operations.emplace_back(none.name, source);
      if (cell.concatenates) empty.concat.push_back(cell.inputs + node);
    }
    found.cells.push_back(std::move(empty));
  }
  return found;
}

Genotype random_genotype(const Space& space, Random& random) {
  const auto below = [&](std::size_t count) { return std::size_t(random.uniform() * double(count)); };
  Genotype found{space, {}};
  for (const Cell& cell : space.cells) {
    CellGenotype drawn;
    for (int node = 0, first = 0; node < cell.nodes; first += cell.incoming(node++)) {
      std::vector<int> sources;
      for (int source = 0; source < cell.incoming(node); ++source) sources.push_back(source);
      while (int(sources.size()) > cell.kept(node))
        sources.erase(sources.begin() + std::ptrdiff_t(below(sources.size())));
      for (int source : sources) {
        std::vector<int> columns;
        for (int k = 0; k < cell.columns(); ++k)
          if (is_allowed(cell, first + source, k)) columns.push_back(k);
        drawn.operations.emplace_back(cell.edges[first + source][columns[below(columns.size())]].name, source);
      }
      if (cell.concatenates) drawn.concat.push_back(cell.inputs + node);
    }
    found.cells.push_back(std::move(drawn));
  }
  return found;
}

}  // namespace pydarts
