// SPDX-License-Identifier: MIT
#include "costs/correction.hpp"

#include <algorithm>
#include <cmath>

#include "costs/linear.hpp"

namespace pydarts {
namespace {

constexpr double kStrengths[] = {1e-3, 1e-2, 1e-1, 1.0};
constexpr double kSmall = 0.01;  // share of a network's time

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

}  // namespace

Correction fit_correction(const std::vector<std::vector<double>>& parts, const std::vector<double>& measured) {
  const std::size_t count = parts.size(), columns = parts[0].size();
  std::vector<std::vector<double>> x = parts;
  std::vector<double> left(count, 1.0), weight(columns);
  Correction best{std::vector<double>(columns, 1.0), 0};
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      x[i][j] /= measured[i];
      left[i] -= x[i][j];
      weight[j] += x[i][j] / double(count);
    }
    best.error += std::fabs(left[i]) / double(count);
  }
  // A column is held at 1 by as much as it weighs in the mean; one of next to no time firmly.
  for (double& w : weight) w = double(count) * std::max(w, kSmall) * std::max(w, kSmall);
  for (double strength : kStrengths) {
    std::vector<double> products(columns * columns), right(columns);
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t i = 0; i < count; ++i) {
        right[j] += x[i][j] * left[i];
        for (std::size_t k = 0; k < columns; ++k) products[j * columns + k] += x[i][j] * x[i][k];
      }
      products[j * columns + j] += strength * weight[j];
    }
    const std::vector<double> solved = inverse(std::move(products), columns);
    const auto times = [&](const std::vector<double>& v) {
      std::vector<double> out(columns);
      for (std::size_t j = 0; j < columns; ++j)
        for (std::size_t k = 0; k < columns; ++k) out[j] += solved[j * columns + k] * v[k];
      return out;
    };
    const std::vector<double> change = times(right);
    double error = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double own = dot(x[i], times(x[i]));
      error += std::fabs((left[i] - dot(x[i], change)) / std::max(1e-9, 1 - own)) / double(count);
    }
    if (error < best.error && std::all_of(change.begin(), change.end(), [](double c) { return 1 + c > 0; })) {
      best.error = error;
      for (std::size_t j = 0; j < columns; ++j) best.factors[j] = 1 + change[j];
    }
  }
  return best;
}

}  // namespace pydarts
