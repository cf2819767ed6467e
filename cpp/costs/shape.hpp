// SPDX-License-Identifier: MIT
// The sizes of a network to be, and where its operations then stand.
#pragma once
#include <string>
#include <tuple>
#include <vector>

#include "core/random.hpp"
#include "network/graph.hpp"
#include "spaces/genotype.hpp"

namespace pydarts {

// All sizes that the costs of a derived network depend on, but its cells.
struct NetworkShape {
  int height, width;  // of the images
  int channels, cells, classes, in_channels;
  Stem stem = Stem::cifar;
};

bool operator==(const NetworkShape& a, const NetworkShape& b);

// InvalidArgument if there is no such network of the space.
void check_shape(const Space& space, const NetworkShape& shape);

// What of an operation decides its cost: the same operation at the same place costs the same.
struct Place {
  std::string operation;
  int inputs, channels;  // of its input and output
  int height, width;     // of its input
  int stride;

  auto key() const { return std::tie(operation, inputs, channels, height, width, stride); }
  bool operator<(const Place& other) const { return key() < other.key(); }
  bool operator==(const Place& other) const { return key() == other.key(); }
};

// By kind of cell the first entry of its table, and behind the last one all entries: rows are edges, columns
// operations.
std::vector<std::size_t> table_offsets(const Space& space);

// Whether the entry of an edge and column stands for an operation that a discrete cell may hold.
bool is_allowed(const Cell& cell, int edge, int column);

// By entry of the tables where that operation stands in all cells of its kind; of `none` and noise there is none.
std::vector<std::vector<Place>> places(const Space& space, const NetworkShape& shape);

// The candidate of that name.
const Operation& operation_of(const Space& space, const std::string& name);

// The entries of the tables that a genotype holds. InvalidArgument if one of its operations is no candidate of its
// edge.
std::vector<std::size_t> entries(const Genotype& genotype);

// Entries of which a network computes one only, whichever it holds: the same pool of one state, node after node. Of
// each such pool there are at least two.
std::vector<std::vector<std::size_t>> equal_pools(const Space& space);

// The entries of a genotype, but of equal pools the first one alone.
std::vector<std::size_t> computed_entries(const Genotype& genotype);

// Cells whose edges all carry `none`: a network of them has the fixed parts alone.
Genotype without_operations(const Space& space);

// Each node keeps as many distinct edges as it does, each with one of its operations, all drawn uniformly.
Genotype random_genotype(const Space& space, Random& random);

}  // namespace pydarts
