// SPDX-License-Identifier: MIT
// Operations measured one by one, each in a small network of its own, and networks as a whole.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "core/environment.hpp"
#include "costs/shape.hpp"

namespace pydarts {

// Seconds: the median, and the quartiles around it.
struct Timing {
  double median, low, high;
};

Timing summarize(std::vector<double> samples);

// How to measure.
struct Measurement {
  Environment environment;  // its threads are those of the networks
  int batch;                // images of a call
  int repeats;              // calls that count, at least
  std::function<bool()> cancelled;
};

// Each operation where it stands. Where the stride is 1, a chain of several of them in a row is compared with the same
// chain of `none`, and the difference divided by their number; where it is 2, a single one. Cancelled if it is.
std::map<Place, Timing> measure_places(const Space& space, const std::vector<Place>& wanted, const Measurement& how);

// The networks of genotypes, which take turns. Their weights are random: latency does not depend on them.
std::vector<Timing> measure_genotypes(const std::vector<Genotype>& genotypes, const NetworkShape& shape,
                                      const Measurement& how);

// The network of the stem, a cell of `none` and a classifier.
Timing measure_stem(const Space& space, const NetworkShape& shape, const Measurement& how);

}  // namespace pydarts
