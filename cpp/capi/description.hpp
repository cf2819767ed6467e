// SPDX-License-Identifier: MIT
// model.json, as Python's Model.save writes it.
#pragma once
#include <string>
#include <vector>

#include "network/graph.hpp"
#include "spaces/genotype.hpp"

namespace pydarts {

struct Description {
  NetworkConfig config;
  Genotype genotype;
  bool auxiliary;
  double auxiliary_weight;
  std::vector<float> mean, deviation;                 // by channel, in the units of the pixels
  std::vector<std::string> labels;                    // by class; what is no string as JSON writes it
  std::vector<double> target_mean, target_deviation;  // by output, of what predicts numbers
  int height, width;
};

constexpr std::size_t kMaxDescription = std::size_t(1) << 22;  // the history has some hundred bytes an epoch

// BadFile if it is anything else.
Description read_description(const char* text, std::size_t size);

}  // namespace pydarts
