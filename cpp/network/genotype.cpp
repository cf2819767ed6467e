// SPDX-License-Identifier: MIT
#include "network/genotype.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "network/operation.hpp"

namespace pydarts {
namespace {

// The sum rounded once, so that the order of the values does not matter. Shewchuk, "Adaptive precision floating-point
// arithmetic and fast robust geometric predicates", 1997.
double exact_sum(const std::vector<double>& values) {
  std::vector<double> parts;  // of the sum so far: without overlap, smallest first
  for (double x : values) {
    std::size_t kept = 0;
    for (double y : parts) {
      if (std::fabs(x) < std::fabs(y)) std::swap(x, y);
      const double high = x + y, low = y - (high - x);
      if (low != 0) parts[kept++] = low;
      x = high;
    }
    parts.resize(kept);
    parts.push_back(x);
  }
  double sum = 0, rest = 0;
  while (!parts.empty() && rest == 0) {
    const double x = sum, y = parts.back();
    parts.pop_back();
    sum = x + y;
    rest = y - (sum - x);
  }
  // A tie was rounded to even; what is left of the parts says whether it was one.
  if (!parts.empty() && ((rest < 0) == (parts.back() < 0)) && rest != 0) {
    const double twice = 2 * rest, moved = sum + twice;
    if (twice == moved - sum) sum = moved;
  }
  return sum;
}

struct Choice {
  double weight;  // logarithm: still tells apart what a softmax would round to 1 or 0
  int operation, input;
};

template <class T>
Choice strongest(const T* row, int input) {
  const auto& names = candidate_operations();
  const int columns = int(names.size());
  int best = -1, top = 0;
  for (int k = 0; k < columns; ++k) {
    require(std::isfinite(row[k]), "an alpha of `", names[k], "` is ", double(row[k]));
    if (row[k] > row[top]) top = k;
    if (names[k] != "none" && (best < 0 || row[k] > row[best])) best = k;
  }
  std::vector<double> others;
  for (int k = 0; k < columns; ++k)
    if (k != top) others.push_back(std::exp(double(row[k]) - double(row[top])));
  return {double(row[best]) - double(row[top]) - std::log1p(exact_sum(others)), best, input};
}

}  // namespace

template <class T>
CellGenotype derive_cell(const T* alphas, int rows) {
  const auto& names = candidate_operations();
  CellGenotype cell;
  for (int node = 2, row = 0; row < rows; ++node) {
    std::vector<Choice> edges;
    for (int input = 0; input < node; ++input, ++row) edges.push_back(strongest(alphas + row * names.size(), input));
    std::stable_sort(edges.begin(), edges.end(), [](const Choice& a, const Choice& b) { return a.weight > b.weight; });
    for (int i : {0, 1}) cell.operations.emplace_back(names[edges[i].operation], edges[i].input);
    cell.concat.push_back(node);
  }
  return cell;
}

template CellGenotype derive_cell<float>(const float*, int);
template CellGenotype derive_cell<double>(const double*, int);

}  // namespace pydarts
