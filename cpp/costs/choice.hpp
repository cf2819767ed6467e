// SPDX-License-Identifier: MIT
// The cells of the largest sum of values whose cost lies between two bounds.
#pragma once
#include <limits>
#include <optional>
#include <vector>

#include "costs/table.hpp"

namespace pydarts {

constexpr double kInfinity = std::numeric_limits<double>::infinity();  // as a bound: there is none

// Costs of the cheapest and of the costliest cells; of the latter, where equal pools count once, at least that.
double least_cost(const Space& space, const CostTable& table);
double largest_cost(const Space& space, const CostTable& table);

// By dynamic programming over the costs, node by node. What operations cost more than the cheapest ones is rounded up
// to a four thousandth of what `most` leaves for that, so that neither bound is ever passed; of cells that are as close
// as that to a bound some may be missed. Without bounds, and with the logarithms of mixing weights as values, they are
// those that alphas stand for. Where equal pools count once, costs are no sums over nodes, and a likelier cell with
// equal pools may be missed.
std::optional<Genotype> choose_cell(const Space& space, const std::vector<double>& values, const CostTable& table,
                                    double least, double most);

}  // namespace pydarts
