// SPDX-License-Identifier: MIT
#include "costs/profile.hpp"

#include <algorithm>
#include <set>

#include "costs/correction.hpp"

namespace pydarts {
namespace {

constexpr int kWholeRepeats = 15;  // of networks that serve as context

std::vector<Place> all_places(const Space& space, const NetworkShape& shape) {
  std::set<Place> found;
  for (const auto& where : places(space, shape)) found.insert(where.begin(), where.end());
  return {found.begin(), found.end()};
}

}  // namespace

bool is_same(const Space& a, const Space& b) {
  const auto same_cell = [](const Cell& x, const Cell& y) {
    return x.name == y.name && x.inputs == y.inputs && x.preprocessed == y.preprocessed && x.nodes == y.nodes &&
           x.concatenates == y.concatenates && x.kept_edges == y.kept_edges && x.keeps_none == y.keeps_none &&
           x.edges == y.edges;
  };
  const auto same_layer = [](const Layer& x, const Layer& y) {
    return x.cell == y.cell && x.stride == y.stride && x.channels == y.channels &&
           x.until_numerator == y.until_numerator && x.until_denominator == y.until_denominator && x.repeat == y.repeat;
  };
  return a.dimensions == b.dimensions && a.stack.stem == b.stack.stem && a.stack.norm_relu == b.stack.norm_relu &&
         std::equal(a.cells.begin(), a.cells.end(), b.cells.begin(), b.cells.end(), same_cell) &&
         std::equal(a.stack.layers.begin(), a.stack.layers.end(), b.stack.layers.begin(), b.stack.layers.end(),
                    same_layer);
}

void fit_factors(Profile& profile, const std::vector<Genotype>& drawn, const std::vector<Timing>& measured) {
  const std::vector<std::vector<Place>> where = places(profile.space, profile.shape);
  const std::vector<std::size_t> offsets = table_offsets(profile.space);
  std::map<Profile::Group, std::size_t> groups;  // behind column 0, the fixed parts
  std::vector<std::map<std::size_t, double>> rows;
  for (const Genotype& genotype : drawn) {
    rows.push_back({{0, profile.fixed.median}});
    for (std::size_t entry : computed_entries(genotype)) {
      const std::size_t c = std::size_t(std::upper_bound(offsets.begin(), offsets.end(), entry) - offsets.begin()) - 1;
      for (const Place& place : where[entry]) {
        const Profile::Group group{profile.space.cells[c].name, place.operation, place.stride};
        const std::size_t column = groups.emplace(group, groups.size() + 1).first->second;
        rows.back()[column] += std::max(0.0, profile.timings.at(place).median);
      }
    }
  }
  std::vector<std::vector<double>> parts(drawn.size(), std::vector<double>(groups.size() + 1));
  std::vector<double> seconds;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const auto& [column, value] : rows[i]) parts[i][column] = value;
    seconds.push_back(measured[i].median);
  }
  const Correction found = fit_correction(parts, seconds);
  profile.fixed_factor = found.factors[0];
  for (const auto& [group, column] : groups) profile.factors[group] = found.factors[column];
  profile.error = found.error;
}

CostTable Profile::latency() const {
  const auto cost = [&](const Cell& cell, const Place& place) {
    const auto factor = factors.find({cell.name, place.operation, place.stride});
    return (factor == factors.end() ? 1 : factor->second) * std::max(0.0, timings.at(place).median);
  };
  return {fixed_factor * fixed.median, table_of(space, shape, cost), true};
}

Profile measure_profile(const Space& space, const NetworkShape& shape, const Measurement& how, int networks) {
  check_shape(space, shape);
  Profile profile{space, shape, how.batch, how.environment.threads.count, {}, {}, {}};
  profile.networks = networks;
  profile.timings = measure_places(space, all_places(space, shape), how);
  profile.fixed = measure_genotypes({without_operations(space)}, shape, how)[0];
  profile.stem = measure_stem(space, shape, how);
  if (networks == 0) return profile;
  Random random(0);
  std::vector<Genotype> drawn;
  for (int i = 0; i < networks; ++i) drawn.push_back(random_genotype(space, random));
  Measurement whole = how;
  whole.repeats = kWholeRepeats;
  fit_factors(profile, drawn, measure_genotypes(drawn, shape, whole));
  return profile;
}

}  // namespace pydarts
