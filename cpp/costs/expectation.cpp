// SPDX-License-Identifier: MIT
#include "costs/expectation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"

namespace pydarts {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The logarithm of the sum of exponentials.
double log_sum(const double* values, int count) {
  const double top = *std::max_element(values, values + count);
  double total = 0;
  for (int k = 0; k < count; ++k) total += std::exp(values[k] - top);
  return top + std::log(total);
}

// f(offset of the node's row among the alphas, its edges, the first of them) for each node of a cell.
template <class F>
void for_nodes(const Cell& cell, std::size_t first_alpha, F f) {
  const int columns = cell.incoming(cell.nodes - 1);
  for (int node = 0, edge = 0; node < cell.nodes; edge += cell.incoming(node++))
    f(first_alpha + std::size_t(node) * columns, cell.incoming(node), edge);
}

std::size_t edge_alphas(const Cell& cell) { return std::size_t(cell.nodes) * cell.incoming(cell.nodes - 1); }

// Logarithms of the softmax of `count` alphas.
std::vector<double> log_softmax(const float* alphas, int count) {
  std::vector<double> found(alphas, alphas + count);
  const double total = log_sum(found.data(), count);
  for (double& value : found) value -= total;
  return found;
}

double of_cell(const Cell& cell, const double* log_weights, const double* costs, double temperature, double* gradient) {
  const int columns = cell.columns();
  std::vector<double> q(cell.edges.size() * std::size_t(columns)), of_edges(cell.edges.size()), means(of_edges);
  for (int e = 0; e < int(cell.edges.size()); ++e) {
    std::vector<double> logits;
    std::vector<std::size_t> where;
    for (int k = 0; k < columns; ++k)
      if (is_allowed(cell, e, k)) {
        where.push_back(e * std::size_t(columns) + k);
        logits.push_back(log_weights[where.back()] / temperature);
      }
    of_edges[e] = log_sum(logits.data(), int(logits.size()));
    for (std::size_t i = 0; i < where.size(); ++i) {
      q[where[i]] = std::exp(logits[i] - of_edges[e]);
      means[e] += q[where[i]] * costs[where[i]];
    }
  }
  double total = 0;
  for_nodes(cell, 0, [&](std::size_t, int count, int first) {
    const int node = count - cell.inputs;
    const auto sets = subsets(first, count, cell.kept(node));
    std::vector<double> scores, costs_of_sets;
    for (const auto& set : sets) {
      double score = 0, cost = 0;
      for (int e : set) {
        score += of_edges[e];
        cost += means[e];
      }
      scores.push_back(score);
      costs_of_sets.push_back(cost);
    }
    const double all = log_sum(scores.data(), int(scores.size()));
    double value = 0;
    for (std::size_t i = 0; i < sets.size(); ++i) value += std::exp(scores[i] - all) * costs_of_sets[i];
    std::vector<double> kept(count), by_edge(count);
    for (std::size_t i = 0; i < sets.size(); ++i)
      for (int e : sets[i]) {
        const double p = std::exp(scores[i] - all);
        kept[e - first] += p;
        by_edge[e - first] += p * (costs_of_sets[i] - value);
      }
    for (int e = first; e < first + count; ++e)
      for (int k = 0; k < columns; ++k) {
        const std::size_t at = e * std::size_t(columns) + k;
        gradient[at] = q[at] * (by_edge[e - first] + kept[e - first] * (costs[at] - means[e])) / temperature;
      }
    total += value;
  });
  return total;
}

}  // namespace

std::size_t num_edge_alphas(const Space& space) {
  std::size_t count = 0;
  for (const Cell& cell : space.cells) count += edge_alphas(cell);
  return count;
}

std::vector<double> log_weights(const Space& space, const float* alphas, bool edges) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<double> found(offsets.back(), -kInfinity);
  std::size_t own = offsets.back();
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    const Cell& cell = space.cells[c];
    for (std::size_t e = 0; e < cell.edges.size(); ++e) {
      const std::size_t at = offsets[c] + e * std::size_t(cell.columns());
      const std::vector<double> row = log_softmax(alphas + at, int(cell.edges[e].size()));
      std::copy(row.begin(), row.end(), found.begin() + std::ptrdiff_t(at));
    }
    if (!edges) continue;
    for_nodes(cell, own, [&](std::size_t row, int count, int first) {
      const std::vector<double> weights = log_softmax(alphas + row, count);
      for (int i = 0; i < count; ++i)
        for (int k = 0; k < cell.columns(); ++k)
          found[offsets[c] + std::size_t(first + i) * cell.columns() + k] += weights[i];
    });
    own += edge_alphas(cell);
  }
  return found;
}

std::vector<double> alpha_gradient(const Space& space, const float* alphas, bool edges,
                                   const std::vector<double>& gradient) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<double> found(offsets.back() + (edges ? num_edge_alphas(space) : 0));
  std::size_t own = offsets.back();
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    const Cell& cell = space.cells[c];
    std::vector<double> sums(cell.edges.size());
    for (std::size_t e = 0; e < cell.edges.size(); ++e) {
      const std::size_t at = offsets[c] + e * std::size_t(cell.columns());
      const std::vector<double> row = log_softmax(alphas + at, int(cell.edges[e].size()));
      for (std::size_t k = 0; k < row.size(); ++k) sums[e] += gradient[at + k];
      for (std::size_t k = 0; k < row.size(); ++k) found[at + k] = gradient[at + k] - std::exp(row[k]) * sums[e];
    }
    if (!edges) continue;
    for_nodes(cell, own, [&](std::size_t row, int count, int first) {
      const std::vector<double> weights = log_softmax(alphas + row, count);
      double total = 0;
      for (int i = 0; i < count; ++i) total += sums[first + i];
      for (int i = 0; i < count; ++i) found[row + i] = sums[first + i] - std::exp(weights[i]) * total;
    });
    own += edge_alphas(cell);
  }
  return found;
}

double expected_cost(const Space& space, const std::vector<double>& log_weights, const CostTable& table,
                     double temperature, std::vector<double>& gradient) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  gradient.assign(offsets.back(), 0);
  double total = table.fixed;
  for (std::size_t c = 0; c < space.cells.size(); ++c)
    total += of_cell(space.cells[c], log_weights.data() + offsets[c], table.entries.data() + offsets[c], temperature,
                     gradient.data() + offsets[c]);
  return total;
}

std::vector<std::vector<int>> subsets(int first, int size, int count) {
  std::vector<std::vector<int>> found;
  std::vector<int> set;
  for (int i = 0; i < count; ++i) set.push_back(first + i);
  for (;;) {
    found.push_back(set);
    int i = count - 1;
    while (i >= 0 && set[i] == first + size - count + i) --i;
    if (i < 0) return found;
    ++set[i];
    for (int k = i + 1; k < count; ++k) set[k] = set[k - 1] + 1;
  }
}

}  // namespace pydarts
