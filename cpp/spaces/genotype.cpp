// SPDX-License-Identifier: MIT
#include "spaces/genotype.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

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
Choice strongest(const std::vector<Operation>& candidates, bool keeps_none, const T* row, int input) {
  const int columns = int(candidates.size());
  int best = -1, top = 0;
  for (int k = 0; k < columns; ++k) {
    require(std::isfinite(row[k]), "an alpha of `", candidates[k].name, "` is ", double(row[k]));
    if (row[k] > row[top]) top = k;
    if ((keeps_none || !candidates[k].is_none()) && (best < 0 || row[k] > row[best])) best = k;
  }
  std::vector<double> others;
  for (int k = 0; k < columns; ++k)
    if (k != top) others.push_back(std::exp(double(row[k]) - double(row[top])));
  return {double(row[best]) - double(row[top]) - std::log1p(exact_sum(others)), best, input};
}

bool contains(const std::vector<Operation>& operations, const Operation& operation) {
  return std::find(operations.begin(), operations.end(), operation) != operations.end();
}

}  // namespace

template <class T>
CellGenotype derive_cell(const Cell& cell, const T* alphas, const T* edges) {
  const int columns = cell.columns(), most = cell.incoming(cell.nodes - 1);
  CellGenotype derived;
  for (int node = 0, edge = 0; node < cell.nodes; ++node) {
    const int first = edge;
    std::vector<Choice> choices;
    for (int input = 0; input < cell.incoming(node); ++input, ++edge) {
      choices.push_back(strongest(cell.edges[edge], cell.keeps_none, alphas + edge * columns, input));
      if (!edges) continue;
      const double own = edges[node * most + input];
      require(std::isfinite(own), "a parameter of the edge from ", input, " to node ", cell.inputs + node, " is ", own);
      choices.back().weight += own;  // the softmax over the edges differs by a constant of the node
    }
    if (cell.kept_edges > 0)
      std::stable_sort(choices.begin(), choices.end(),
                       [](const Choice& a, const Choice& b) { return a.weight > b.weight; });
    for (int i = 0; i < cell.kept(node); ++i)
      derived.operations.emplace_back(cell.edges[first + choices[i].input][choices[i].operation].name,
                                      choices[i].input);
    if (cell.concatenates) derived.concat.push_back(cell.inputs + node);
  }
  return derived;
}

void check_cell(const Space& space, const Cell& cell, const CellGenotype& genotype) {
  const std::string& name = cell.name;
  const int entries = int(genotype.operations.size());
  int nodes = 0;
  for (int at = 0; at < entries; ++nodes) {
    const int kept = cell.kept(nodes);
    require(at + kept <= entries, "`", name, "` has ", entries, " entries: node ", cell.inputs + nodes, " has ",
            entries - at, ", not ", kept);
    for (int i = 0; i < kept; ++i, ++at) {
      const auto& [operation, input] = genotype.operations[at];
      require(input >= 0 && input < cell.incoming(nodes), "`", name, "` entry ", at, ": input ", input,
              " is not an earlier state");
      const Operation* found = space.find(cell, operation);
      require(found, "the space '", space.name, "' has no operation '", operation.substr(0, 40), "' in `", name, "`");
      require(cell.keeps_none || !found->is_none(), "a genotype of the space '", space.name,
              "' cannot hold the operation '", operation, "'");
      const auto* candidates = cell.candidates(nodes, input);
      require(candidates, "`", name, "` has more than the ", cell.nodes, " nodes whose edges are described");
      require(contains(*candidates, *found) || contains(space.others, *found), "`", name, "` entry ", at,
              ": the edge from ", input, " to node ", cell.inputs + nodes, " has no operation '", operation, "'");
      require(cell.kept_edges > 0 || input == i, "`", name, "` entry ", at, ": input ", input,
              ", but all edges are there in order");
    }
  }
  require(nodes > 0, "`", name, "` has no entries");
  if (!cell.concatenates) {
    require(genotype.concat.empty(), "`", name, "` has no concatenation: its output is the last node");
    return;
  }
  const auto& concat = genotype.concat;
  require(!concat.empty(), "`", name, "_concat` is empty");
  for (std::size_t i = 0; i < concat.size(); ++i) {
    require(concat[i] >= cell.inputs && concat[i] < cell.inputs + nodes, "`", name, "_concat` entry ", concat[i],
            " is not a node");
    for (std::size_t j = 0; j < i; ++j)
      require(concat[i] != concat[j], "`", name, "_concat` names ", concat[i], " twice");
  }
}

template CellGenotype derive_cell<float>(const Cell&, const float*, const float*);
template CellGenotype derive_cell<double>(const Cell&, const double*, const double*);

}  // namespace pydarts
