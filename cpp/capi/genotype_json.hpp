// SPDX-License-Identifier: MIT
// The JSON form of a genotype, the same to the byte as that of Python's Genotype.to_json.
#pragma once
#include <string>

#include "capi/json.hpp"
#include "network/graph.hpp"

namespace pydarts {

struct Genotype {
  CellGenotype normal, reduce;
};

constexpr std::size_t kMaxGenotypeText = std::size_t(1) << 16;

// BadFile if it is not a genotype of convolutional cells. Whether the cells are sound is for derived_graph to say.
Genotype read_genotype(const Json& json);

std::string write_genotype(const Genotype& genotype);

}  // namespace pydarts
