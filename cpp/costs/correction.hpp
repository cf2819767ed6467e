// SPDX-License-Identifier: MIT
// Factors by which operations that were measured alone cost more or less within networks.
#pragma once
#include <vector>

namespace pydarts {

struct Correction {
  std::vector<double> factors;  // of the columns; all 1 where that predicts best
  double error;                 // mean relative error of the networks, each predicted from the others
};

// `parts`: of each network the seconds that its parts took alone; `measured`: what it took as a whole. Least squares of
// the relative errors, with factors drawn to 1. How strongly they are, or whether the plain sums are the best, is
// decided by the errors of networks that are left out one by one.
Correction fit_correction(const std::vector<std::vector<double>>& parts, const std::vector<double>& measured);

}  // namespace pydarts
