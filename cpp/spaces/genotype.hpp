// SPDX-License-Identifier: MIT
// The discrete cells of a space: read from alphas, and as JSON, the same to the byte as that of Python's
// Genotype.to_json.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "spaces/space.hpp"

namespace pydarts {

struct CellGenotype {
  std::vector<std::pair<std::string, int>> operations;  // with their inputs, node by node
  std::vector<int> concat;                              // nodes that are concatenated
};

struct Genotype {
  Space space;
  std::vector<CellGenotype> cells;  // as in the space
};

// The cell that alphas stand for, a row an edge: each node keeps its edges with the largest softmax weight of an
// operation that the genotype may hold, strongest first, or all of them in order; ties go to the earlier edge and
// operation. All nodes are concatenated. Liu et al., arXiv:1806.09055, section 2.4. `edges`, which may be null: the
// parameters of the edges' own weights, a row a node; what is compared is then the product of both weights.
template <class T>
CellGenotype derive_cell(const Cell& cell, const T* alphas, const T* edges = nullptr);

// InvalidArgument if it is no cell of this kind.
void check_cell(const Space& space, const Cell& cell, const CellGenotype& genotype);

constexpr std::size_t kMaxGenotypeText = std::size_t(1) << 18;
constexpr const char* kGenotypeFormat = "pydarts-genotype";
constexpr int kGenotypeVersion = 1, kMostStates = 1 << 16;

// BadFile if it is not a genotype of that kind, "convolutional" or "recurrent", and of the version that is known.
void require_genotype(const Json& json, const char* kind);

// BadFile if it is not a genotype of convolutional cells. Whether the cells are sound is for check_cell to say.
Genotype read_genotype(const Json& json);
Genotype read_genotype(const char* text, std::size_t size);

std::string write_genotype(const Genotype& genotype);

}  // namespace pydarts
