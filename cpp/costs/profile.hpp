// SPDX-License-Identifier: MIT
// What every operation of a space costs on this processor, in the JSON of pydarts/costs/profile.py.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/json.hpp"
#include "costs/measured.hpp"
#include "costs/table.hpp"

namespace pydarts {

constexpr int kMinRepeats = 30;

struct Profile {
  using Group = std::tuple<std::string, std::string, int>;  // cell, operation and stride

  Space space;
  NetworkShape shape;
  int batch, threads;               // with which all was measured
  std::map<Place, Timing> timings;  // of each operation by itself
  Timing fixed;                     // of the network without operations
  Timing stem;                      // of these the stem, with a classifier of its channels
  double fixed_factor = 1;
  // What an operation costs in networks over what it costs alone; empty where plain sums predict best.
  std::map<Group, double> factors = {};
  int networks = 0;                         // random ones that were measured for these
  std::optional<double> error = {};         // mean relative error of these, each predicted from the others
  Json environment = {Json::Kind::object};  // of the run that measured: processor, instruction set, versions

  // The seconds of a network as a sum over entries.
  CostTable latency() const;
};

// Measures every operation where it stands, the network of no operations, and so many random networks, which tell by
// what factor operations differ among others; 0: sums are plain.
Profile measure_profile(const Space& space, const NetworkShape& shape, const Measurement& how, int networks);

// Finds the factors of a profile, and their error, by what random networks took as a whole.
void fit_factors(Profile& profile, const std::vector<Genotype>& drawn, const std::vector<Timing>& measured);

constexpr std::size_t kMaxProfileText = std::size_t(1) << 24;

// BadFile if it is no profile, damaged, or of another space or shape.
Profile read_profile(const char* text, std::size_t size, const Space& space, const NetworkShape& shape);

std::string write_profile(const Profile& profile);

// Whether cells of one are cells of the other, and networks of them the same.
bool is_same(const Space& a, const Space& b);

}  // namespace pydarts
