// SPDX-License-Identifier: MIT
#include "costs/choice.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.hpp"
#include "costs/expectation.hpp"

namespace pydarts {
namespace {

constexpr int kBins = 4000;                    // into which what is left of a limit is cut
constexpr std::size_t kMostOptions = 1 << 20;  // of a node: a space may come from a file
constexpr std::size_t kMostPools = 12;         // of a cell whose sets are all tried where the cheapest is looked for
constexpr double kRounding = 1e-12;            // of a sum of costs
constexpr int kBoundRounds = 8;                // of other bounds where equal pools count once

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

// The cell of which each group holds one of its options.
Genotype of_options(const Space& space, const std::vector<Group>& groups, const std::vector<std::size_t>& chosen,
                    const std::vector<double>& values) {
  std::vector<std::vector<Entry>> by_cell(space.cells.size());
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t i = 0; i < groups[g].length; ++i)
      by_cell[groups[g].cell].push_back(groups[g].options[chosen[g] * groups[g].length + i]);
  return genotype_of(space, std::move(by_cell), values);
}

// Cells of which none is cheaper. Where equal pools count once, for each set of pools of a kind of cell: what it takes
// if these are paid, and nodes may hold them for nothing.
Genotype cheapest_cell(const Space& space, const CostTable& table) {
  const std::vector<std::size_t> offsets = table_offsets(space);
  const std::vector<Group> groups = groups_of(space, std::vector<double>(table.entries.size()), table);
  const auto pools = table.pools_once ? equal_pools(space) : std::vector<std::vector<std::size_t>>();
  std::vector<std::size_t> chosen(groups.size());
  for (std::size_t c = 0; c < space.cells.size(); ++c) {
    std::vector<std::vector<std::size_t>> own;
    for (const auto& pool : pools)
      if (pool[0] >= offsets[c] && pool[0] < offsets[c + 1] && own.size() < kMostPools) own.push_back(pool);
    double least = kInfinity;
    for (std::size_t paid = 0; paid < std::size_t(1) << own.size(); ++paid) {
      std::vector<double> costs(table.entries.begin() + std::ptrdiff_t(offsets[c]),
                                table.entries.begin() + std::ptrdiff_t(offsets[c + 1]));
      double total = 0;
      for (std::size_t i = 0; i < own.size(); ++i)
        if (paid >> i & 1) {
          total += costs[own[i][0] - offsets[c]];
          for (std::size_t at : own[i]) costs[at - offsets[c]] = 0;
        }
      std::vector<std::size_t> picks;
      for (const Group& group : groups) {
        if (group.cell != c) continue;
        std::size_t best = 0;
        double lowest = kInfinity;
        for (std::size_t k = 0; k < group.values.size(); ++k) {
          double cost = 0;
          for (std::size_t i = 0; i < group.length; ++i) {
            const Entry& entry = group.options[k * group.length + i];
            cost += costs[entry.edge * std::size_t(space.cells[c].columns()) + entry.column];
          }
          if (cost >= lowest) continue;
          lowest = cost;
          best = k;
        }
        total += lowest;
        picks.push_back(best);
      }
      if (total >= least) continue;
      least = total;
      std::size_t next = 0;
      for (std::size_t g = 0; g < groups.size(); ++g)
        if (groups[g].cell == c) chosen[g] = picks[next++];
    }
  }
  return of_options(space, groups, chosen, std::vector<double>(table.entries.size()));
}

// The cells of the largest sum of values whose sum of costs, with every pool, lies between two bounds.
std::optional<Genotype> choose_by_sum(const Space& space, const std::vector<double>& values, const CostTable& table,
                                      double least, double most) {
  const std::vector<Group> groups = groups_of(space, values, table);
  const bool bounded = most != kInfinity;
  if (!bounded) most = largest_cost(space, table);
  double lowest = table.fixed;
  for (const Group& group : groups) lowest += group.cheapest();
  const double left = most - lowest;
  if (left < -kRounding * std::abs(most)) return std::nullopt;
  // Bins are of what a cell costs more than the cheapest. Where nothing is left, no dearer one is in any. Each group
  // is rounded up: without a bound the costliest cell is to be in one, too.
  const double bins_left = bounded ? kBins : std::max(1.0, kBins - double(groups.size()));
  const double step = left > 0 ? left / bins_left : std::numeric_limits<double>::min();
  std::vector<double> best(kBins + 1, -kInfinity);
  best[0] = 0;
  struct Pick {
    std::vector<int> option, moved;  // by bin, by option
  };
  std::vector<Pick> picks;
  for (const Group& group : groups) {
    const double cheapest = group.cheapest();
    Pick pick{std::vector<int>(kBins + 1), {}};
    std::vector<double> after(kBins + 1, -kInfinity);
    for (std::size_t k = 0; k < group.values.size(); ++k) {
      const double bins = std::ceil((group.costs[k] - cheapest) / step - 1e-9);
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
  const double first_bin = std::max(0.0, std::ceil((least - lowest) / step));
  const int first = int(std::min(first_bin, kBins + 1.0));
  // What was rounded up may lie below the first bound, by a bin for each group at most.
  for (int start : {first, first + int(groups.size())}) {
    if (start > kBins) return std::nullopt;
    const auto top = std::max_element(best.begin() + start, best.end());
    if (*top == -kInfinity) return std::nullopt;
    int bin = int(top - best.begin());
    std::vector<std::size_t> chosen(groups.size());
    for (std::size_t g = groups.size(); g-- > 0;) {
      chosen[g] = std::size_t(picks[g].option[bin]);
      bin -= picks[g].moved[chosen[g]];
    }
    Genotype found = of_options(space, groups, chosen, values);
    if (table.sum(found) >= least) return found;
  }
  return std::nullopt;
}

// By pool whether a cell holds it more than once.
std::vector<char> repeated_pools(const std::vector<std::vector<std::size_t>>& pools, const Genotype& cell) {
  const std::vector<std::size_t> found = entries(cell);
  std::vector<char> repeated;
  for (const auto& pool : pools) {
    const auto is_of = [&](std::size_t at) { return std::find(pool.begin(), pool.end(), at) != pool.end(); };
    repeated.push_back(std::count_if(found.begin(), found.end(), is_of) > 1);
  }
  return repeated;
}

// Costs of cells that have some pools in any case, and hold them for nothing.
CostTable with_paid(const CostTable& table, const std::vector<std::vector<std::size_t>>& pools,
                    const std::vector<char>& paid) {
  CostTable found{table.fixed, table.entries};
  for (std::size_t i = 0; i < pools.size(); ++i)
    if (paid[i]) {
      found.fixed += table.entries[pools[i][0]];
      for (std::size_t at : pools[i]) found.entries[at] = 0;
    }
  return found;
}

// Values of which cells repeat no pools but those that are paid: each of the others stays where its value is largest.
std::vector<double> with_single(std::vector<double> values, const std::vector<std::vector<std::size_t>>& pools,
                                const std::vector<char>& paid) {
  for (std::size_t i = 0; i < pools.size(); ++i) {
    if (paid[i]) continue;
    const auto is_less = [&](std::size_t a, std::size_t b) { return values[a] < values[b]; };
    const std::size_t kept = *std::max_element(pools[i].begin(), pools[i].end(), is_less);
    for (std::size_t at : pools[i])
      if (at != kept) values[at] = -kInfinity;
  }
  return values;
}

}  // namespace

double least_cost(const Space& space, const CostTable& table) { return table.predict(cheapest_cell(space, table)); }

double largest_cost(const Space& space, const CostTable& table) {
  double total = table.fixed;
  for (const Group& group : groups_of(space, std::vector<double>(table.entries.size()), table))
    total += group.costliest();
  return total;
}

std::optional<Genotype> choose_cell(const Space& space, const std::vector<double>& values, const CostTable& table,
                                    double least, double most) {
  if (!table.pools_once || equal_pools(space).empty()) return choose_by_sum(space, values, table, least, most);
  const auto is_within = [&](const Genotype& cell) {
    const double cost = table.predict(cell);
    return least <= cost && cost <= most;
  };
  const CostTable free{0, std::vector<double>(values.size())}, value{0, values};
  const std::optional<Genotype> likeliest = choose_by_sum(space, values, free, 0, kInfinity);
  if (!likeliest || is_within(*likeliest)) return likeliest;
  const auto pools = equal_pools(space);
  std::optional<Genotype> best;
  const auto consider = [&](const std::optional<Genotype>& found) {
    if (!found || !is_within(*found)) return false;
    if (!best || value.sum(*found) > value.sum(*best)) best = found;
    return true;
  };
  std::set<std::vector<char>> tried;
  // A cell costs no more than these sums, and just as much if it repeats what is paid: it does so the next time.
  const auto try_from = [&](std::vector<char> paid) {
    for (int round = 0; round < kBoundRounds && tried.insert(paid).second; ++round) {
      const CostTable sums = with_paid(table, pools, paid);
      const std::optional<Genotype> found = choose_by_sum(space, values, sums, least, most);
      if (!found) break;
      if (!consider(found)) consider(choose_by_sum(space, with_single(values, pools, paid), sums, least, most));
      paid = repeated_pools(pools, *found);
    }
  };
  try_from(std::vector<char>(pools.size()));
  try_from(repeated_pools(pools, *likeliest));
  if (best) return best;
  const Genotype cheapest = cheapest_cell(space, table);
  try_from(repeated_pools(pools, cheapest));
  consider(cheapest);
  return best;
}

}  // namespace pydarts
