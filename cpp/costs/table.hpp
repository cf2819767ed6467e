// SPDX-License-Identifier: MIT
// A cost that is a sum over the edges of a cell: what each operation of each edge adds.
#pragma once
#include <functional>
#include <vector>

#include "costs/counts.hpp"

namespace pydarts {

// fixed + the sum of the entries that a genotype holds. Entries are in the order of `table_offsets`.
struct CostTable {
  double fixed = 0;
  std::vector<double> entries;
  // Whether of equal pools the first alone counts, as in what a network takes: the engine computes one of them.
  bool pools_once = false;

  double predict(const Genotype& genotype) const;
  // Whatever the pools: no less.
  double sum(const Genotype& genotype) const;
  CostTable scaled(double factor) const;
};

// The sums of a cost over the places of each operation: cost(cell, place).
std::vector<double> table_of(const Space& space, const NetworkShape& shape,
                             const std::function<double(const Cell&, const Place&)>& cost);

struct CountTables {
  CostTable macs, weights;  // exact
};
CountTables count_tables(const Space& space, const NetworkShape& shape);

// What the peak of memory is as a sum over edges, as far as it is one: the least-squares fit of the exact ones of
// random cells, for the direction in which the alphas are drawn. What a cell needs is counted.
CostTable memory_table(const Space& space, const NetworkShape& shape);

}  // namespace pydarts
