// SPDX-License-Identifier: MIT
#include "costs/table.hpp"

#include <map>
#include <numeric>

#include "costs/linear.hpp"

namespace pydarts {
namespace {

constexpr int kFitted = 100;  // cells from which the table of the memory is fitted

}  // namespace

double CostTable::predict(const Genotype& genotype) const {
  if (!pools_once) return sum(genotype);
  double total = 0;
  for (std::size_t at : computed_entries(genotype)) total += entries[at];
  return fixed + total;
}

double CostTable::sum(const Genotype& genotype) const {
  double total = 0;
  for (std::size_t at : pydarts::entries(genotype)) total += entries[at];
  return fixed + total;
}

CostTable CostTable::scaled(double factor) const {
  CostTable found{factor * fixed, entries, pools_once};
  for (double& entry : found.entries) entry *= factor;
  return found;
}

std::vector<double> table_of(const Space& space, const NetworkShape& shape,
                             const std::function<double(const Cell&, const Place&)>& cost) {
  const std::vector<std::vector<Place>> where = places(space, shape);
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<double> found(where.size());
  for (std::size_t c = 0; c < space.cells.size(); ++c)
    for (std::size_t at = offsets[c]; at < offsets[c + 1]; ++at)
      for (const Place& place : where[at]) found[at] += cost(space.cells[c], place);
  return found;
}

CountTables count_tables(const Space& space, const NetworkShape& shape) {
  const Counts fixed = count_network(without_operations(space), shape);
  std::map<Place, Counts> known;
  const auto counts = [&](const Place& place) {
    const auto found = known.find(place);
    if (found != known.end()) return found->second;
    return known[place] = count_operation(operation_of(space, place.operation), place, space);
  };
  return {{double(fixed.macs),
           table_of(space, shape, [&](const Cell&, const Place& place) { return double(counts(place).macs); })},
          {double(fixed.weights),
           table_of(space, shape, [&](const Cell&, const Place& place) { return double(counts(place).weights); })}};
}

CostTable memory_table(const Space& space, const NetworkShape& shape) {
  const std::size_t size = table_offsets(space).back();
  Random random(0);
  std::vector<std::vector<double>> x;
  std::vector<double> y;
  for (int i = 0; i < kFitted; ++i) {
    const Genotype drawn = random_genotype(space, random);
    x.emplace_back(size);
    for (std::size_t at : entries(drawn)) x.back()[at] += 1;
    y.push_back(double(count_network(drawn, shape).memory));
  }
  double mean = 0;
  std::vector<double> middle(size);
  for (int i = 0; i < kFitted; ++i) {
    mean += y[i] / kFitted;
    for (std::size_t k = 0; k < size; ++k) middle[k] += x[i][k] / kFitted;
  }
  for (std::vector<double>& row : x)
    for (std::size_t k = 0; k < size; ++k) row[k] -= middle[k];
  // Ridge regression by way of the cells, of which there are fewer than entries: X^T (X X^T + 1)^-1 y.
  std::vector<double> products(kFitted * kFitted);
  for (int i = 0; i < kFitted; ++i)
    for (int j = 0; j < kFitted; ++j)
      products[i * kFitted + j] = std::inner_product(x[i].begin(), x[i].end(), x[j].begin(), double(i == j));
  const std::vector<double> solved = inverse(std::move(products), kFitted);
  CostTable found{mean, std::vector<double>(size)};
  for (int i = 0; i < kFitted; ++i) {
    double share = 0;
    for (int j = 0; j < kFitted; ++j) share += solved[i * kFitted + j] * (y[j] - mean);
    for (std::size_t k = 0; k < size; ++k) found.entries[k] += share * x[i][k];
  }
  for (std::size_t k = 0; k < size; ++k) found.fixed -= middle[k] * found.entries[k];
  return found;
}

}  // namespace pydarts
