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

// What a cell's nodes hold when they are drawn.
class Draw {
 public:
  Draw(const Cell& cell, const double* log_weights, double temperature)
      : cell_(cell), temperature_(temperature), columns_(cell.columns()), q_(cell.edges.size() * columns_) {
    std::vector<double> of_edges(cell.edges.size());
    for (int e = 0; e < int(cell.edges.size()); ++e) {
      std::vector<double> logits;
      std::vector<std::size_t> where;
      for (int k = 0; k < int(columns_); ++k)
        if (is_allowed(cell, e, k)) {
          where.push_back(e * columns_ + k);
          logits.push_back(log_weights[where.back()] / temperature);
        }
      of_edges[e] = log_sum(logits.data(), int(logits.size()));
      for (std::size_t i = 0; i < where.size(); ++i) q_[where[i]] = std::exp(logits[i] - of_edges[e]);
    }
    for_nodes(cell, 0, [&](std::size_t, int count, int first) {
      Node node{first, count, subsets(first, count, cell.kept(count - cell.inputs)), {}};
      for (const auto& set : node.sets) {
        double score = 0;
        for (int e : set) score += of_edges[e];
        node.odds.push_back(score);
      }
      const double all = log_sum(node.odds.data(), int(node.odds.size()));
      for (double& p : node.odds) p = std::exp(p - all);
      nodes_.push_back(std::move(node));
    });
  }

  // By entry of the cell the probability that it is held.
  std::vector<double> held() const {
    std::vector<double> found(q_);
    for (const Node& node : nodes_) {
      const std::vector<double> kept = kept_of(node);
      for (int i = 0; i < node.count; ++i)
        for (std::size_t k = 0; k < columns_; ++k) found[(node.first + i) * columns_ + k] *= kept[i];
    }
    return found;
  }

  // The gradient by the logarithms of the weights of the sum of held() times costs.
  void gradient(const double* costs, double* out) const {
    std::vector<double> means(cell_.edges.size());
    for (std::size_t at = 0; at < q_.size(); ++at)
      if (q_[at] > 0) means[at / columns_] += q_[at] * costs[at];
    for (const Node& node : nodes_) {
      std::vector<double> costs_of_sets;
      double value = 0;
      for (std::size_t i = 0; i < node.sets.size(); ++i) {
        double cost = 0;
        for (int e : node.sets[i]) cost += means[e];
        costs_of_sets.push_back(cost);
        value += node.odds[i] * cost;
      }
      const std::vector<double> kept = kept_of(node);
      std::vector<double> by_edge(node.count);
      for (std::size_t i = 0; i < node.sets.size(); ++i)
        for (int e : node.sets[i]) by_edge[e - node.first] += node.odds[i] * (costs_of_sets[i] - value);
      for (int i = 0; i < node.count; ++i)
        for (std::size_t k = 0; k < columns_; ++k) {
          const std::size_t at = (node.first + i) * columns_ + k;
          out[at] = q_[at] * (by_edge[i] + kept[i] * (costs[at] - means[node.first + i])) / temperature_;
        }
    }
  }

 private:
  struct Node {
    int first, count;  // of its edges
    std::vector<std::vector<int>> sets;
    std::vector<double> odds;  // probabilities of the sets
  };

  static std::vector<double> kept_of(const Node& node) {
    std::vector<double> kept(node.count);
    for (std::size_t i = 0; i < node.sets.size(); ++i)
      for (int e : node.sets[i]) kept[e - node.first] += node.odds[i];
    return kept;
  }

  const Cell& cell_;
  double temperature_;
  std::size_t columns_;
  std::vector<double> q_;  // of an operation, if its edge is kept
  std::vector<Node> nodes_;
};

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
  std::vector<Draw> draws;
  std::vector<double> held;
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    draws.emplace_back(space.cells[c], log_weights.data() + offsets[c], temperature);
    const std::vector<double> of_cell = draws.back().held();
    held.insert(held.end(), of_cell.begin(), of_cell.end());
  }
  // By how much the expectation rises with the probability of each entry.
  std::vector<double> slopes = table.entries;
  if (table.pools_once)
    for (const auto& pool : equal_pools(space))
      for (std::size_t i = 0; i < pool.size(); ++i) {
        double free = 1;  // the probability that none of the earlier ones is held
        for (std::size_t j = 0; j < i; ++j) free *= 1 - held[pool[j]];
        slopes[pool[i]] = table.entries[pool[i]] * free;
      }
  double total = table.fixed;
  for (std::size_t at = 0; at < held.size(); ++at)
    if (held[at] > 0) total += held[at] * slopes[at];
  if (table.pools_once)
    for (const auto& pool : equal_pools(space))
      for (std::size_t i = 0; i < pool.size(); ++i)
        for (std::size_t later = i + 1; later < pool.size(); ++later) {
          double free = held[pool[later]] * table.entries[pool[later]];  // what this one takes from a later one
          for (std::size_t j = 0; j < later; ++j)
            if (j != i) free *= 1 - held[pool[j]];
          slopes[pool[i]] -= free;
        }
  gradient.assign(offsets.back(), 0);
  for (std::size_t c = 0; c < space.cells.size(); ++c)
    draws[c].gradient(slopes.data() + offsets[c], gradient.data() + offsets[c]);
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
