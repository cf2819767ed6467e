// SPDX-License-Identifier: MIT
#include "costs/choice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "costs/expectation.hpp"

namespace pydarts {
namespace {

constexpr int kBins = 4000;                    // into which what is left of a limit is cut
constexpr std::size_t kMostOptions = 1 << 20;  // of a node: a space may come from a file
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Entry {
  int edge, column;
};

// What is chosen together: the edges and operations of a node, or of one edge if all stay.
struct Group {
  std::size_t cell;
  std::size_t length;          // entries of an option
  std::vector<Entry> options;  // one after the other
  std::vector<double> values, costs;

  double cheapest() const { return *std::min_element(costs.begin(), costs.end()); }
  double costliest() const { return *std::max_element(costs.begin(), costs.end()); }
};

// Appends all choices of an operation for each of the edges.
void add_options(const Cell& cell, const std::vector<int>& edges, const double* values, const double* costs,
                 Group& group) {
  std::vector<std::vector<int>> columns;
  for (int e : edges) {
    columns.emplace_back();
    for (int k = 0; k < cell.columns(); ++k)
      if (is_allowed(cell, e, k)) columns.back().push_back(k);
  }
  std::vector<std::size_t> at(edges.size());
  for (;;) {
    require(group.values.size() < kMostOptions, "the nodes of `", cell.name, "` have more than ", kMostOptions,
            " choices each");
    double value = 0, cost = 0;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      const int column = columns[i][at[i]];
      group.options.push_back({edges[i], column});
      value += values[edges[i] * std::size_t(cell.columns()) + column];
      cost += costs[edges[i] * std::size_t(cell.columns()) + column];
    }
    group.values.push_back(value);
    group.costs.push_back(cost);
    std::size_t i = edges.size();
    while (i > 0 && ++at[i - 1] == columns[i - 1].size()) at[--i] = 0;
    if (i == 0) return;
  }
}

std::vector<Group> groups_of(const Space& space, const std::vector<double>& values, const CostTable& table) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  std::vector<Group> found;
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    const Cell& cell = space.cells[c];
    const double *v = values.data() + offsets[c], *costs = table.entries.data() + offsets[c];
    for (int node = 0, first = 0; node < cell.nodes; first += cell.incoming(node++)) {
      const int count = cell.incoming(node), kept = cell.kept(node);
      if (kept == count) {
        for (int e = first; e < first + count; ++e) {
          found.push_back({c, 1, {}, {}, {}});
          add_options(cell, {e}, v, costs, found.back());
        }
        continue;
      }
      found.push_back({c, std::size_t(kept), {}, {}, {}});
      for (const auto& edges : subsets(first, count, kept)) add_options(cell, edges, v, costs, found.back());
    }
  }
  return found;
}

Genotype genotype_of(const Space& space, std::vector<std::vector<Entry>> chosen, const std::vector<double>& values) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  Genotype found{space, {}};
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    const Cell& cell = space.cells[c];
    const auto value = [&](const Entry& entry) {
      return values[offsets[c] + entry.edge * std::size_t(cell.columns()) + entry.column];
    };
    std::sort(chosen[c].begin(), chosen[c].end(), [](const Entry& a, const Entry& b) { return a.edge < b.edge; });
    CellGenotype made;
    std::size_t at = 0;
    for (int node = 0, first = 0; node < cell.nodes; first += cell.incoming(node++)) {
      const auto begin = chosen[c].begin() + std::ptrdiff_t(at);
      if (cell.kept_edges > 0)  // the strongest first, as they are derived
        std::stable_sort(begin, begin + cell.kept(node),
                         [&](const Entry& a, const Entry& b) { return value(a) > value(b); });
      for (int i = 0; i < cell.kept(node); ++i, ++at) {
        const Entry& entry = chosen[c][at];
        made.operations.emplace_back(cell.edges[entry.edge][entry.column].name, entry.edge - first);
      }
      if (cell.concatenates) made.concat.push_back(cell.inputs + node);
    }
    found.cells.push_back(std::move(made));
  }
  return found;
}

}  // namespace

double least_cost(const Space& space, const CostTable& table) {
  double total = table.fixed;
  for (const Group& group : groups_of(space, std::vector<double>(table.entries.size()), table))
    total += group.cheapest();
  return total;
}

double largest_cost(const Space& space, const CostTable& table) {
  double total = table.fixed;
  for (const Group& group : groups_of(space, std::vector<double>(table.entries.size()), table))
    total += group.costliest();
  return total;
}

std::optional<Genotype> choose_cell(const Space& space, const std::vector<double>& values, const CostTable& table,
                                    double least, double most) {
  const std::vector<Group> groups = groups_of(space, values, table);
  if (most == kInfinity) most = largest_cost(space, table);
  const double left = most - table.fixed;
  if (left < 0) return std::nullopt;
  double lowest = 0;  // of a fitted table
  for (const Group& group : groups) lowest += std::min(0.0, group.cheapest());
  const double step = left > lowest ? (left - lowest) / kBins : 1.0;
  std::vector<double> best(kBins + 1, -kInfinity);
  best[0] = 0;
  struct Pick {
    std::vector<int> option, moved;  // by bin, by option
  };
  std::vector<Pick> picks;
  for (const Group& group : groups) {
    const double shift = std::min(0.0, group.cheapest());
    Pick pick{std::vector<int>(kBins + 1), {}};
    std::vector<double> after(kBins + 1, -kInfinity);
    for (std::size_t k = 0; k < group.values.size(); ++k) {
      const double bins = std::ceil((group.costs[k] - shift) / step - 1e-9);
      const int down = int(std::min(bins, kBins + 1.0));
      pick.moved.push_back(down);
      for (int bin = down; bin <= kBins; ++bin) {
        const double candidate = best[bin - down] + group.values[k];
        if (!(candidate > after[bin])) continue;
        after[bin] = candidate;
        pick.option[bin] = int(k);
      }
    }
    best = std::move(after);
    picks.push_back(std::move(pick));
  }
  const double first_bin = std::max(0.0, std::ceil((least - table.fixed - lowest) / step));
  const int first = int(std::min(first_bin, kBins + 1.0));
  // What was rounded up may lie below the first bound, by a bin for each group at most.
  for (int start : {first, first + int(groups.size())}) {
    if (start > kBins) return std::nullopt;
    const auto top = std::max_element(best.begin() + start, best.end());
    if (*top == -kInfinity) return std::nullopt;
    int bin = int(top - best.begin());
    std::vector<std::vector<Entry>> chosen(space.cells.size());
    for (std::size_t g = groups.size(); g-- > 0;) {
      const Group& group = groups[g];
      const std::size_t k = std::size_t(picks[g].option[bin]);
      bin -= picks[g].moved[k];
      for (std::size_t i = 0; i < group.length; ++i) chosen[group.cell].push_back(group.options[k * group.length + i]);
    }
    Genotype found = genotype_of(space, std::move(chosen), values);
    if (table.predict(found) >= least) return found;
  }
  return std::nullopt;
}

}  // namespace pydarts
