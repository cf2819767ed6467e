// SPDX-License-Identifier: MIT
// The recurrent cell of a language model as a value: read from alphas, and as JSON, the same to the byte as that of
// Python's RecurrentGenotype.to_json. State 0 is made of the input and the last output; node i has one operation.
#pragma once
#include <string>

#include "spaces/genotype.hpp"

namespace pydarts {

constexpr int kRecurrentNodes = 8;  // of the supernet

// The place of an activation among tanh, relu, sigmoid and identity; -1: there is no such one.
int recurrent_activation(const std::string& name);

// `alphas`: a row an edge, the columns `none` and the activations.
CellGenotype derive_recurrent_cell(const float* alphas);

// BadFile if it is not a sound recurrent genotype.
CellGenotype read_recurrent_genotype(const Json& json);

std::string write_recurrent_genotype(const CellGenotype& cell);

}  // namespace pydarts
