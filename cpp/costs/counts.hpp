// SPDX-License-Identifier: MIT
// What can be counted of a derived network: multiply-adds, weights, and the memory of inference.
#pragma once
#include <cstdint>

#include "costs/shape.hpp"

namespace pydarts {

struct Counts {
  std::int64_t macs;     // multiply-adds of convolutions and the classifier for one image; padding counts
  std::int64_t weights;  // all that is trained, an auxiliary head left out
  // Bytes of the activations of one image in float32, at the moment that has the most of them: cell after cell, node
  // after node, an edge after the other. What is normalised or passed through a ReLU stays in its place; an output of a
  // cell is held until its last reader is done.
  std::int64_t memory;
};

// Of the network of a genotype. InvalidArgument if it is none, or too large to be counted.
Counts count_network(const Genotype& genotype, const NetworkShape& shape);

// Of an operation at a place, its input and output included in the memory.
Counts count_operation(const Operation& operation, const Place& place, const Space& space);

}  // namespace pydarts
