// SPDX-License-Identifier: MIT
#include "costs/budget.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace pydarts {
namespace {

constexpr double kLowest = 0.9;  // cells are to cost at least this share of what a limit allows
constexpr int kRounds = 12;      // of stronger weights for the limits beside the first one
constexpr int kDrawn = 50;       // cells among which one of least memory is looked for
constexpr const char* kNames[] = {"latency", "macs", "weights", "memory"};
constexpr const char* kUnitNames[] = {"s", "multiply-adds", "weights", "bytes"};

double value_of(const std::vector<double>& log_weights, const Genotype& genotype) {
  return CostTable{0, log_weights}.predict(genotype);
}

}  // namespace

Budget::Budget(Space space, const NetworkShape& shape) : space_(std::move(space)), shape_(shape) {
  check_shape(space_, shape_);
  CountTables tables = count_tables(space_, shape_);
  tables_[int(CostKind::macs)] = std::move(tables.macs);
  tables_[int(CostKind::weights)] = std::move(tables.weights);
}

CostTable Budget::table(CostKind kind) const {
  auto& found = tables_[int(kind)];
  if (kind == CostKind::memory && !found) found = memory_table(space_, shape_);
  require(found.has_value(), "there are no latencies: measure or read them first");
  return kind == CostKind::latency ? found->scaled(correction_) : *found;
}

std::array<double, kCostKinds> Budget::predict(const Genotype& genotype) const {
  const Counts counts = count_network(genotype, shape_);
  const double latency = has_latency() ? table(CostKind::latency).predict(genotype) : 0;
  return {latency, double(counts.macs), double(counts.weights), double(counts.memory)};
}

std::vector<CostKind> Budget::binding(const Limits& limits) const {
  std::vector<CostKind> found;
  for (int i = 0; i < kCostKinds; ++i) {
    const CostKind kind = CostKind(i);
    if (limits.most[i] == kInfinity) continue;
    // What a fit of the memory says of the costliest cell is not certain.
    if (kind == CostKind::memory || largest_cost(space_, table(kind)) > limits.most[i]) found.push_back(kind);
  }
  return found;
}

std::optional<Genotype> Budget::meet(const std::vector<double>& log_weights, const Limits& limits,
                                     const std::vector<CostKind>& binding, const CostKind* first,
                                     bool uses_most) const {
  const double most = first ? limits.most[int(*first)] : kInfinity;
  const double least = !first ? 0 : uses_most ? kLowest * most : -kInfinity;
  const CostTable costs = table(first ? *first : CostKind::macs);
  std::vector<CostKind> others;
  for (CostKind kind : binding)
    if (!first || kind != *first) others.push_back(kind);
  std::array<double, kCostKinds> strength{};
  for (int round = 0; round < kRounds; ++round) {
    std::vector<double> values = log_weights;
    for (CostKind kind : others) {
      const CostTable other = table(kind);
      const double scale = strength[int(kind)] / limits.most[int(kind)];
      for (std::size_t k = 0; k < values.size(); ++k) values[k] -= scale * other.entries[k];
    }
    std::optional<Genotype> found = choose_cell(space_, values, costs, least, most);
    if (!found) return std::nullopt;
    const std::array<double, kCostKinds> predicted = predict(*found);
    bool met = true;
    for (CostKind kind : others)
      if (predicted[int(kind)] > limits.most[int(kind)]) {
        met = false;
        strength[int(kind)] = std::max(1.0, 3 * strength[int(kind)]);
      }
    if (met) return found;
  }
  return std::nullopt;
}

std::optional<Genotype> Budget::likeliest(const std::vector<double>& log_weights, const Limits& limits,
                                          const std::vector<CostKind>& binding) const {
  for (bool uses_most : {true, false}) {
    std::optional<Genotype> best;
    double top = 0;
    const auto consider = [&](const CostKind* first) {
      std::optional<Genotype> found = meet(log_weights, limits, binding, first, uses_most);
      if (!found) return;
      const double value = value_of(log_weights, *found);
      if (best && value <= top) return;
      top = value;
      best = std::move(found);
    };
    bool sums = false;
    for (const CostKind& kind : binding)
      if (kind != CostKind::memory) {
        sums = true;
        consider(&kind);
      }
    if (!sums) consider(nullptr);
    if (best) return best;
  }
  return std::nullopt;
}

double Budget::least(CostKind kind) const {
  const CostTable costs = table(kind);
  if (kind != CostKind::memory) return least_cost(space_, costs);
  // The fit says which cell needs least; what it needs is counted.
  const std::optional<Genotype> cheapest = choose_cell(space_, costs.scaled(-1).entries, costs, -kInfinity, kInfinity);
  double found = cheapest ? double(count_network(*cheapest, shape_).memory) : kInfinity;
  Random random(1);
  for (int i = 0; i < kDrawn; ++i)
    found = std::min(found, double(count_network(random_genotype(space_, random), shape_).memory));
  return found;
}

std::optional<Genotype> Budget::find(const std::vector<double>& log_weights, const Limits& limits) const {
  const std::vector<CostKind> binds = binding(limits);
  if (std::optional<Genotype> found = likeliest(log_weights, limits, binds)) return found;
  // With nothing to weigh them against the limits weigh most.
  return likeliest(std::vector<double>(log_weights.size()), limits, binds);
}

Genotype Budget::choose(const std::vector<double>& log_weights, const Limits& limits) const {
  if (std::optional<Genotype> found = find(log_weights, limits)) return *found;
  std::string all;
  for (CostKind kind : binding(limits)) {
    const double most = limits.most[int(kind)], cheapest = least(kind);
    require(most >= cheapest, "`limits->", kNames[int(kind)], "` (=", most, ") is met by no cell: the cheapest has ",
            cheapest, " ", kUnitNames[int(kind)]);
    all += text(all.empty() ? "" : ", ", "`", kNames[int(kind)], "` (=", most, ")");
  }
  throw InvalidArgument(text("`limits`: no cell was found that meets all of ", all));
}

}  // namespace pydarts
