// SPDX-License-Identifier: MIT
#include "costs/linear.hpp"

#include <cmath>

#include "core/error.hpp"

namespace pydarts {

std::vector<double> inverse(std::vector<double> matrix, std::size_t size) {
  std::vector<double>& l = matrix;  // its lower half becomes the factor
  for (std::size_t j = 0; j < size; ++j) {
    for (std::size_t k = 0; k < j; ++k)
      for (std::size_t i = j; i < size; ++i) l[i * size + j] -= l[i * size + k] * l[j * size + k];
    if (!(l[j * size + j] > 0)) throw NonFinite("a fit of costs has no unique solution");
    const double root = std::sqrt(l[j * size + j]);
    for (std::size_t i = j; i < size; ++i) l[i * size + j] /= root;
  }
  std::vector<double> found(size * size), column(size);
  for (std::size_t c = 0; c < size; ++c) {
    for (std::size_t i = 0; i < size; ++i) {
      double value = i == c;
      for (std::size_t k = c; k < i; ++k) value -= l[i * size + k] * column[k];
      column[i] = i < c ? 0 : value / l[i * size + i];
    }
    for (std::size_t i = size; i-- > 0;) {
      double value = column[i];
      for (std::size_t k = i + 1; k < size; ++k) value -= l[k * size + i] * column[k];
      found[i * size + c] = column[i] = value / l[i * size + i];
    }
  }
  return found;
}

}  // namespace pydarts
