// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

namespace pydarts {

// The inverse of a symmetric positive definite matrix, row by row, by way of its Cholesky factor.
std::vector<double> inverse(std::vector<double> matrix, std::size_t size);

}  // namespace pydarts
